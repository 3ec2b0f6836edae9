"""What commands may do to a running installation: the queue, people and users, the log's latest head.

Promises: a release or drop needs an officer's password and a TOTP code that the keyholder checks and binds to this act;
an operator can list what is held by id, rule, kinds and age, and sees no address, subject or file name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.accounts.people import People
from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import SYSTEM, Action, Actor, Event, receipt_text
from gateway.audit.log import AuditLog
from gateway.audit.sequencer import Sequencer
from gateway.clock import Clock
from gateway.control import Command
from gateway.errors import Misconfigured, NotFound, Refused
from gateway.flow.held import Held
from gateway.flow.officer_held import keep
from gateway.flow.records import Records
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient
from gateway.store import schema
from gateway.store.database import Store, Tx
from keys.client import WorkerClient

OPERATOR = Actor("operator", "")
PROPOSAL = re.compile(r"prp_[0-9a-f]{40}", re.ASCII)
KEPT = re.compile(
    r"head \d{1,8} size \d{1,16} (?:unlocked|(?:compliance|governance) \d{4}-\d{2}-\d{2}) hidden \d{1,9}", re.ASCII
)
"""What `flow.keeping.said` writes of an export to a keeper."""
BACKUP = re.compile(r"bkp_[0-9a-f]{20}", re.ASCII)
NOT_A_CHANGE = {
    "role": "only an officer or an administrator of this clinic approves a change",
    "not-an-officer": "only an officer of this clinic ends a change that waits",
    "not-open": "no such change waits; see: sealgate tenant show",
    "same-person": "you approved it before, or it is about your own account: it needs another person",
}  # fmt: skip
NOT_A_PROOF = ("role", "not-officer", "not-held", "not-allowed")


class ProofRefused(Refused):
    """The password or the code is not right, or the code was used before. Wait for the next code and try again."""


class Office:
    """The commands' side of the running gateway."""

    def __init__(
        self,
        *,
        store: Store,
        records: Records,
        people: People,
        users: Users,
        held: Held,
        officers: PortalClient | WorkerClient,
        audit: AuditLog,
        sequencer: Sequencer,
        tenants: Callable[[], list[TenantView]],
        clock: Clock,
        refresh: Callable[[], None],
    ) -> None:
        self._store = store
        self._records = records
        self._people = people
        self._users = users
        self._held = held
        self._officers = officers
        self._audit = audit
        self._sequencer = sequencer
        self._tenants = tenants
        self._clock = clock
        self._refresh = refresh

    def commands(self) -> dict[str, Command]:
        """By name, as the control socket calls them."""
        return {
            "queue.release": lambda given: self.decide(given, "release-as-is" if given.get("as_is") else "release"),
            "queue.drop": lambda given: self.decide(given, "drop"),
            "user.record": self.user_record,
            "user.changed": self.user_changed,
            "user.find": self.user_find,
            "person.record": self.person_record,
            "log.note": self.log_note,
            "log.lookup": self.log_lookup,
            "backup.note": self.backup_note,
            "tenant.approve": lambda given: self.change(given, "approve"),
            "tenant.withdraw": lambda given: self.change(given, "withdraw"),
        }

    # held mail

    def decide(self, given: Mapping[str, Any], act: str) -> dict[str, Any]:
        """Release (protected or as it came) or drop a held message as an officer, who proves with password and TOTP
        that it is this act on this message. Raises ProofRefused.
        """
        view = self._tenant(given)
        message = str(given["id"])
        self._held.possible(view.id, message, act)
        with self._store.reading() as conn:
            user = self._users.find(conn, view.id, str(given["as"]))
        try:
            with answering():
                answer = self._officers.officer_decision(
                    view.id,
                    str(user["id"]) if user is not None else "usr_0000000000000000",
                    str(given["password"]),
                    str(given["totp"]),
                    "local",
                    act,
                    message,
                    str(given.get("reason") or ""),
                )
        except Denied as denied:
            reason = denied.reason
            actor = Actor("user", str(user["id"]) if user is not None else "")
            event = Event(Action.SESSION_REFUSED, view.id, message, actor, outcome="refused", reason=reason)
            self._store.run(lambda tx: self._audit.append(tx, event))
            raise (Refused if reason in NOT_A_PROOF else ProofRefused)(reason) from denied
        assert user is not None
        self._store.run(lambda tx: self._keep(tx, view.id, message, answer, act, str(user["id"]), given))
        if not answer["complete"]:
            return {"id": message, "waiting": "second person"}
        done: dict[str, Any] = {"id": message}
        if act == "drop":
            self._held.drop(view.id, message, answer["act"], user["id"])
            done["dropped"] = True
        else:
            done["released_as"] = self._held.release(view.id, message, answer["act"], user["id"])
        self._store.run(lambda tx: self._records.rows.update(tx, schema.held_acts, answer["act"], state="done"))
        return done

    def _keep(
        self,
        tx: Tx,
        tenant: str,
        message: str,
        answer: Mapping[str, Any],
        act: str,
        user: str,
        given: Mapping[str, Any],
    ) -> None:
        """The row that the pages show. It is carried out here at once; after a crash the worker's duty goes on."""
        confirmed = keep(
            tx, self._records.rows, self._records.directory, tenant=tenant, message=message, answer=answer, kind=act,
            user=user, reason=str(given.get("reason") or ""), now_us=self._clock.now_us(), state="working",
        )  # fmt: skip
        action = Action.ACT_CONFIRMED if confirmed else Action.ACT_RECORDED
        quoted = receipt_text(answer["receipt"])
        event = Event(action, tenant, message, Actor("user", user), reason=act, proof=2, receipt=quoted)
        self._audit.append(tx, event)

    def change(self, given: Mapping[str, Any], act: str) -> dict[str, Any]:
        """Approve or withdraw a change that waits, as a member who proves with password and TOTP that it is this one.

        Raises ProofRefused, Refused.
        """
        view, proposal = self._tenant(given), str(given["id"])
        with self._store.reading() as conn:
            user = self._users.find(conn, view.id, str(given["as"]))
        id = str(user["id"]) if user is not None else self._users.nobody(view.id, str(given["as"]))
        actor = Actor("user", id)
        try:
            with answering():
                answer = self._officers.decide_change(
                    view.id, id, str(given["password"]), str(given["totp"]), "local", act, proposal
                )
        except Denied as denied:
            why, named = denied.reason, proposal if PROPOSAL.fullmatch(proposal) else ""
            event = Event(Action.SETTINGS_REFUSED, view.id, named, actor, outcome="refused", reason=why)
            self._store.run(lambda tx: self._audit.append(tx, event))
            if why in NOT_A_CHANGE:
                raise Misconfigured(NOT_A_CHANGE[why]) from denied
            raise ProofRefused(why) from denied
        quoted = receipt_text(answer.pop("receipt"))
        done = Event(
            Action.SETTINGS_ACCEPTED if act == "approve" else Action.SETTINGS_REFUSED, view.id, proposal, actor,
            reason=act, proof=2, receipt=quoted,
        )  # fmt: skip
        self._store.run(lambda tx: self._audit.append(tx, done))
        return dict(answer)

    # people and users: the rows; their factors are the keyholder's, put there by the operator

    def user_record(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Write a user's row and event. The keyholder knows the id already."""
        view = self._tenant(given)

        def work(tx: Tx) -> None:
            self._users.add(
                tx,
                view.id,
                str(given["address"]),
                str(given["role"]),
                user=str(given["id"]),
                name=str(given.get("name") or ""),
            )
            self._audit.append(
                tx, Event(Action.USER_ADDED, view.id, str(given["id"]), OPERATOR, reason=str(given["role"]))
            )

        self._store.run(work)
        return {"id": str(given["id"])}

    def user_find(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Id, role and state of an address. Raises NotFound."""
        view = self._tenant(given)
        with self._store.reading() as conn:
            row = self._users.find(conn, view.id, str(given["address"]))
        if row is None:
            raise NotFound("no such user")
        return {"id": row["id"], "role": row["role"], "state": row["state"], "tenant": view.id}

    def user_changed(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Note that the keyholder changed a user (app password, disabled); smtp hears of it with the next snapshot."""
        view = self._tenant(given)
        user, what = str(given["id"]), str(given["what"])
        actions = {
            "app-password": Action.USER_APP_PASSWORD,
            "disabled": Action.USER_DISABLED,
            "password": Action.USER_CHANGED,
        }
        if what not in actions:
            raise Misconfigured("unknown change of a user")

        def work(tx: Tx) -> None:
            if what == "disabled":
                self._records.rows.update(tx, schema.users, user, state="disabled")
            self._audit.append(tx, Event(actions[what], view.id, user, OPERATOR))

        self._store.run(work)
        self._refresh()
        return {"id": user}

    def person_record(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Add or rename a person; the id is what the keyholder's record of the phone number hangs on."""
        view = self._tenant(given)

        def work(tx: Tx) -> str:
            address = str(given["address"])
            known = self._people.find(tx.conn, view.id, address)
            person = self._people.add(
                tx, view.id, address, name=str(given.get("name") or ""), language=str(given.get("language") or "en")
            )
            action = Action.PERSON_ADDED if known is None else Action.PERSON_CHANGED
            self._audit.append(tx, Event(action, view.id, person, OPERATOR))
            return person

        return {"id": self._store.run(work), "tenant": view.id}

    def log_note(self, given: Mapping[str, Any]) -> dict[str, int]:
        """Record that the log was exported or searched, and sign what was appended up to now."""
        view = self._tenant(given)
        actions = {"exported": Action.LOG_EXPORTED, "searched": Action.LOG_SEARCHED, "kept": Action.LOG_KEPT}
        action, reason = actions.get(str(given["what"])), str(given.get("reason") or "")
        if action is None or (reason and (action is not Action.LOG_KEPT or not KEPT.fullmatch(reason))):
            raise Misconfigured("unknown use of the log")
        self._store.run(lambda tx: self._audit.append(tx, Event(action, view.id, view.id, OPERATOR, reason=reason)))
        with self._store.reading(log=view.id):  # until that entry has its number, by whichever worker
            pass
        return {"signed": self._sequencer.run_once()}

    def backup_note(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Write into the system log that a backup was made, or that one was restored elsewhere and held."""
        actions = {"made": Action.BACKUP_MADE, "verified": Action.BACKUP_VERIFIED}
        action, id, kind = actions.get(str(given["what"])), str(given["id"]), str(given.get("kind") or "")
        if action is None or not BACKUP.fullmatch(id) or kind not in ("", "content", "keyholder"):
            raise Misconfigured("unknown word about a backup")
        self._store.run(lambda tx: self._audit.append(tx, Event(action, SYSTEM, id, OPERATOR, reason=kind)))
        return {"id": id}

    def log_lookup(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The keyed index of an address (or of "@" and a domain), and the users whose address begins with a name.

        For a search at the command line; the index key stays here.
        """
        view = self._tenant(given)
        value = str(given["value"])
        directory = self._records.directory
        with self._store.reading() as conn:
            rows = self._users.all(conn, view.id) if "@" not in value else []
        named = [row["id"] for row in rows if self._users.address(row).partition("@")[0].lower() == value.lower()]
        return {"index": directory.index(view.id, value).hex(), "users": named}

    def _tenant(self, given: Mapping[str, Any]) -> TenantView:
        wanted = given.get("tenant")
        views = self._tenants()
        if wanted is None and len(views) > 1:
            raise Misconfigured("name a tenant with --tenant: " + ", ".join(sorted(view.name for view in views)))
        for view in views:
            if wanted in (None, view.id, view.name):
                return view
        raise NotFound("no such tenant")
