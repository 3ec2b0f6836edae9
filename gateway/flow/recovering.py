"""What commands may do with a clinic's recovery key: an officer's act, what it opens, a new link, and what was proved.

The private half never comes here: the command that has the kit gets what is sealed to it and the shares that an
officer's act releases, and puts them together itself. Promises: no share leaves before the openings that quote the
keyholder's receipts are committed; a new link is written down before it is sent, and its secret is kept nowhere; a
message counts as opened elsewhere only by the proof of somebody who had its key, on another node and machine than this
one. DESIGN §4 (`recovery`); decision 0042; 45 CFR 164.312(b), 164.308(a)(7)(ii)(D).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from gateway.accounts.users import Users
from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event, receipt_text
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.control import Command
from gateway.errors import Misconfigured, NotFound, Refused
from gateway.flow.office import ProofRefused
from gateway.flow.posting import Poster
from gateway.flow.proved import read_proof, where
from gateway.flow.records import Records
from gateway.share import answering
from gateway.share.portal import Denied, PortalClient
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from keys import recovery
from keys.client import WorkerClient
from keys.errors import Tampered as BrokenSeal

OPERATOR = Actor("operator", "")
NOT_A_PROOF = {
    "not-an-officer": "only an officer of this clinic opens mail with the recovery key",
    "unknown": "there is no such message, or no such link of it, in this clinic",
    "no-recovery": "it was sealed while the clinic had no recovery key: nothing but its links opens it",
    "destroyed": "its key is destroyed: nothing opens it any more",
    "not-live": "it ended or was taken back, and no legal hold keeps it",
    "same-person": "you asked for it: another officer must confirm it",
    "bad-act": "name messages and a reason",
    "no-act": "there is no such act for this message",
    "expired": "the act is over; ask for it again",
    "needs-second": "another officer must confirm it first",
    "taken": "this act made its link already",
}  # fmt: skip


class Recovering:
    """The commands' side. Everything is handed in; `node_public` is the public half of this node's key."""

    def __init__(
        self, store: Store, users: Users, records: Records, officers: PortalClient | WorkerClient,
        keyholder: WorkerClient, audit: AuditLog, poster: Poster, tenants: Callable[[], list[TenantView]],
        clock: Clock, node_public: bytes,
    ) -> None:  # fmt: skip
        self._store = store
        self._users = users
        self._records = records
        self._officers = officers
        self._keyholder = keyholder
        self._audit = audit
        self._poster = poster
        self._tenants = tenants
        self._clock = clock
        self._node = node_public

    def commands(self) -> dict[str, Command]:
        """By name, as the control socket calls them."""
        return {
            "recovery.state": self.state, "recovery.confirm": self.confirm, "recovery.proved": self.proved,
            "recovery.grant": self.grant, "recovery.decide": self.decide, "recovery.open": self.open,
            "recovery.relink": self.relink,
        }  # fmt: skip

    def state(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """As the keyholder has it, with the clinic's ``name``."""
        view = self._tenant(given)
        with answering():
            return self._keyholder.recovery_state(view.id) | {"name": view.display_name}

    def confirm(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Check values (hexadecimal) that were read from sheets of the kit: ``confirmed``. Raises Misconfigured."""
        view = self._tenant(given)
        try:
            with answering():
                answer = self._keyholder.recovery_confirm(view.id, [str(one) for one in given["checks"]])
        except Denied as denied:
            if denied.reason == "no-recovery":
                raise Misconfigured("this clinic has no recovery key; see: sealgate keys recovery make") from denied
            raise Misconfigured("a check value belongs to no sheet of the recovery key in force") from denied
        numbers = "-".join(map(str, answer["confirmed"]))
        self._note(Event(Action.RECOVERY_CONFIRMED, view.id, view.id, OPERATOR, reason=f"sheets-{numbers}"))
        return answer

    def proved(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Note that a message was opened elsewhere, as the printed proof says: ``message``. Raises Misconfigured."""
        view, proof = self._tenant(given), read_proof(str(given["proof"]))
        if proof is None:
            raise Misconfigured("that is no proof: 'sealgate keys recovery open' prints it, and it begins with opened.")
        with self._store.reading() as conn:
            grants = self._records.rows.find(conn, _recovery_grants(proof.message))
        try:
            key = next(
                (recovery.sealed_for(row["wrap"]) for row in grants
                 if row["tenant"] == view.id and recovery.proves(row["wrap"], proof.secret)),
                "",
            )  # fmt: skip
        except BrokenSeal:
            key = ""
        if not key:
            raise Misconfigured("the proof is of no message here; nothing was recorded")
        if proof.here(self._node, str(given["machine"])):
            raise Misconfigured(
                "that message was opened on this machine: restore a backup on another one, and open it there"
            )
        try:
            with answering():
                answer = self._keyholder.recovery_proved(view.id, key, proof.message)
        except Denied as denied:
            raise Misconfigured("that message is sealed to an earlier recovery key: open a newer one") from denied
        quoted = receipt_text(answer["receipt"])
        self._note(Event(Action.RECOVERY_CONFIRMED, view.id, proof.message, OPERATOR, reason="opened", receipt=quoted))
        return {"message": proof.message}

    def grant(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is sealed to the recovery key for one message, and opens nothing without it: ``tenant``, ``message``,
        ``grant``, ``wrap``. Raises NotFound, Misconfigured.
        """
        view, message = self._tenant(given), str(given["message"])
        _, _, grants, _ = self._rows(view, message)
        if not grants:
            raise Misconfigured(f"{message}: {NOT_A_PROOF['no-recovery']}")
        one = grants[-1]
        return {"tenant": view.id, "message": message, "grant": one["id"], "wrap": _b64(one["wrap"])}

    def decide(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """An officer's act, proved by password and code: ``id``, ``complete``, ``until_us``. Raises ProofRefused,
        Misconfigured.
        """
        view, act = self._tenant(given), str(given["act"])
        messages = [str(one) for one in given["messages"]]
        with self._store.reading() as conn:
            user = self._users.find(conn, view.id, str(given["as"]))
        id = str(user["id"]) if user is not None else self._users.nobody(view.id, str(given["as"]))
        actor = Actor("user", id)
        try:
            with answering():
                answer = self._officers.recover(
                    view.id, id, str(given["password"]), str(given["totp"]), "local", act=act, messages=messages,
                    link=str(given.get("link") or ""), reason=str(given.get("reason") or ""),
                )  # fmt: skip
        except Denied as denied:
            about = str(denied.data.get("message") or "")
            self._refused(view.id, about, actor, denied)
            raise ProofRefused(denied.reason) from denied
        about = messages[0] if len(messages) == 1 else view.id
        self._note(
            Event(
                Action.RECOVERY_ASKED, view.id, about, actor, reason=act, proof=2, request=answer["id"],
                receipt=receipt_text(answer["receipt"]),
            )
        )  # fmt: skip
        return {"id": answer["id"], "complete": answer["complete"], "until_us": answer["expires_us"]}

    def open(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the kit opens of one message, once its openings are committed: rows, shares, what is sealed to the
        recovery key. Raises Misconfigured, NotFound.
        """
        view, act, message = self._tenant(given), str(given["act"]), str(given["message"])
        row, objects, grants, people = self._rows(view, message)
        try:
            with answering():
                answer = self._keyholder.recovery_release(view.id, act, message)
        except Denied as denied:
            self._refused(view.id, message, OPERATOR, denied)
            raise Refused(denied.reason) from denied
        actor = Actor("user", str(answer["user"]))
        wrap = next((one["wrap"] for one in grants if one["id"] == answer["grant"]), None)
        if wrap is None:
            raise NotFound("the recovery grant has no row here")
        proof = int(answer["proof"])

        def work(tx: Tx) -> None:
            say = self._audit.append
            meta = receipt_text(answer["meta"]["receipt"])
            say(tx, Event(Action.RECOVERY_OPENED, view.id, message, actor, proof=proof, request=act))
            say(tx, Event(Action.META_OPENED, view.id, message, actor, reason="recover", proof=proof, receipt=meta))
            for one in objects:
                quoted = receipt_text(answer["receipts"][one["id"]])
                opened = Event(
                    Action.OBJECT_OPENED, view.id, one["id"], actor, reason="recovery recover", proof=proof,
                    request=act, receipt=quoted,
                )  # fmt: skip
                say(tx, opened)

        self._store.run(work)  # before any share leaves (DESIGN §1, 3)
        return {
            "tenant": view.id, "message": message, "grant": answer["grant"], "wrap": _b64(wrap),
            "meta": _b64(row["meta"]) if row["meta"] is not None else "", "meta_key": answer["meta"]["key"],
            "received_us": row["received_at"], "reference": row["reference"] or "", "to": people,
            "sender": self._records.sender(row), "node": where(self._node),
            "objects": [
                {
                    "id": one["id"], "kind": one["kind"], "position": one["position"], "blob": one["blob"],
                    "header_tag": _b64(one["header_tag"]), "sealed_bytes": one["sealed_bytes"],
                    "inner_meta": _b64(one["inner_meta"]), "share": answer["shares"][one["id"]],
                }
                for one in objects
            ],
        }  # fmt: skip

    def relink(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The new link of an act, with MK wrapped for it by who has the kit: written down, sent, the old one ended.

        ``grant``, ``old``. Raises Refused, NotFound.
        """
        view, act, grant = self._tenant(given), str(given["act"]), str(given["grant"])
        wrap, token, code = base64.b64decode(str(given["wrap"])), str(given["token"]), str(given["code"])
        try:
            with answering():
                made = self._keyholder.recovery_relink(view.id, act, grant)
        except Denied as denied:
            self._refused(view.id, grant, OPERATOR, denied)
            raise Refused(denied.reason) from denied
        with self._store.reading() as conn:
            row = self._records.message(conn, made["message"])
            person = self._records.rows.get(conn, schema.people, made["person"])
            table = schema.deliveries
            deliveries = self._records.rows.find(conn, select(table).where(table.c.grant == made["old"]))
        if row is None or person is None or row["tenant"] != view.id or person["tenant"] != view.id:
            raise NotFound("no such message or person")
        to = self._records.directory.open(view.id, "people", person["id"], person["address"])
        link = f"{view.public_url}/m/{token}"
        posted = self._poster.to_person(view, to, "relinked", row, url=link, code=code)
        actor, proof = Actor("user", str(made["user"])), int(made["proof"])
        quoted = receipt_text(made["receipt"])

        def work(tx: Tx) -> None:
            rows, now = self._records.rows, self._clock.now_us()
            rows.insert(
                tx, schema.grants, id=grant, tenant=view.id, message=row["id"], person=person["id"], kind="link",
                wrap=wrap, expires_at=made["expires_us"], created_at=now, revoked_at=None,
            )  # fmt: skip
            for one in deliveries:
                rows.update(tx, schema.deliveries, one["id"], grant=grant)
            self._audit.append(
                tx,
                Event(
                    Action.RECOVERY_RELINKED, view.id, made["old"], actor, reason=grant, proof=proof, request=act,
                    receipt=quoted,
                ),
            )  # fmt: skip
            self._audit.append(tx, Event(Action.LINK_CREATED, view.id, grant, actor, request=row["id"]))
            self._poster.insert(tx, posted)

        self._store.run(work)
        self._poster.submit(posted, to)
        self._end(view.id, row, made["old"], actor, act)
        return {"grant": grant, "old": made["old"]}

    def _end(self, tenant: str, row: Row, old: str, actor: Actor, act: str) -> None:
        """The link that was replaced: first at the keyholder, then here. A crash in between is finished at start-up."""
        with answering():
            receipt = self._keyholder.narrow(tenant, row["id"], old, {"revoke": True}, actor.id, act)

        def work(tx: Tx) -> None:
            self._records.rows.update(tx, schema.grants, old, revoked_at=self._clock.now_us())
            ended = Event(
                Action.LINK_REVOKED, tenant, old, actor, reason="relinked", request=act, receipt=receipt_text(receipt)
            )
            self._audit.append(tx, ended)

        self._store.run(work)

    def _rows(self, view: TenantView, message: str) -> tuple[Row, list[Row], list[Row], list[str]]:
        objects = schema.objects
        with self._store.reading() as conn:
            row = self._records.message(conn, message)
            if row is None or row["tenant"] != view.id:
                raise NotFound("no such message")
            found = self._records.rows.find(
                conn, select(objects).where(objects.c.message == message).order_by(objects.c.position, objects.c.id)
            )
            grants = self._records.rows.find(conn, _recovery_grants(message))
            deliveries = self._records.deliveries(conn, message)
        people = [self._records.opened(one)[0].address for one in deliveries if one["treatment"] != "notice"]
        return row, found, grants, list(dict.fromkeys(people))

    def _refused(self, tenant: str, about: str, actor: Actor, denied: Denied) -> None:
        """The event, and the words where it is none of a proof's. Raises Misconfigured."""
        event = Event(Action.RECOVERY_REFUSED, tenant, about, actor, outcome="refused", reason=denied.reason)
        self._note(event)
        if denied.reason in NOT_A_PROOF:
            named = f"{about}: " if about else ""
            raise Misconfigured(f"{named}{NOT_A_PROOF[denied.reason]}") from denied

    def _note(self, event: Event) -> None:
        self._store.run(lambda tx: self._audit.append(tx, event))

    def _tenant(self, given: Mapping[str, Any]) -> TenantView:
        wanted, views = given.get("tenant"), self._tenants()
        if wanted is None and len(views) > 1:
            raise Misconfigured("name a tenant with --tenant: " + ", ".join(sorted(view.name for view in views)))
        for view in views:
            if wanted in (None, view.id, view.name):
                return view
        raise NotFound("no such tenant")


def _recovery_grants(message: str) -> Any:
    table = schema.grants
    return select(table).where(table.c.message == message, table.c.kind == recovery.KIND).order_by(table.c.id)


def _b64(value: bytes) -> str:
    return base64.b64encode(bytes(value)).decode("ascii")
