"""News that come from the keyholder, past the portal: a phone number, a new code app, passkey or remembered browser,
recovery codes made or used, a card that was used twice, a passkey of an account, and for officers a change that waits,
a new account that counts at once, a clinic that closed or opened.

Promises: a number that changed, and a first one of somebody who has live messages, is told to that person and to the
senders of those messages, and so is a recovery code that was used; a new code app, passkey or browser is told to the
person before it opens anything else (a portal in the wrong hands could set one up behind a code that was typed to
read); a card used twice is told to the senders of what
was put on hold and to the officers; one mail for each of them per turn, in the transaction
that writes the event; news stay with the keyholder until then.
What is the officers' is told to every one of them; before a closing is written down, the doors know of it.
A changed row of one person keeps no other's news waiting. DESIGN §4 "Doors", c and e.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event
from gateway.clock import Clock
from gateway.errors import Tampered
from gateway.flow.audience import Audience
from gateway.flow.posting import Posted, Poster
from gateway.flow.records import Records
from gateway.logs import Log
from gateway.share import answering
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from keys.client import WorkerClient

log = Log("gateway.tellings")
BATCH = 50
ENROLLED = "enrolled"
TO_PERSON = {
    "phone": "phone", "phone-first": "phone_first", ENROLLED: "enrolled", "recovery-made": "recovery_made",
    "recovered": "recovered", "inbox": "inbox",
}  # fmt: skip
TO_NOBODY_ELSE = frozenset({ENROLLED, "recovery-made", "inbox"})
TO_OFFICERS = {
    "proposal": ("change_waits", Action.SETTINGS_PROPOSED),
    "account": ("account_added", Action.USER_ANNOUNCED),
    "password": ("password_set", Action.USER_ANNOUNCED),
    "app-password": ("app_password_made", Action.USER_ANNOUNCED),
    "staff-passkey": ("passkey_made", None),
    "closed": ("clinic_closed", Action.TENANT_CLOSED),
    "reopened": ("clinic_reopened", Action.TENANT_REOPENED),
    "disposal": ("erasure_waits", None),  # these have their entries from whoever decided, and from the worker
    "erased": ("erasure_done", None),
    "hold-set": ("hold_set", None),
    "resent": ("mail_resent", None),
    "hold-lifted": ("hold_lifted", None),
    "recovery-key-set": ("recovery_set", Action.RECOVERY_SET),
    "recovery-key-asked": ("recovery_act", None),
    "recovery-key-used": ("recovery_used", None),
    "recovery-key-relinked": ("relinked_by", None),
}
TO_SENDER = {"phone": "number_changed", "phone-first": "number_first", "frozen": "card_twice", "recovered": "recovered",
             **{kind: words for kind, (words, _) in TO_OFFICERS.items()}}  # fmt: skip
OF_OWNERS = frozenset({"password", "app-password", "staff-passkey"})
"""What was done to somebody's account: its owner hears it too."""
OF_OWNERS_ALONE = frozenset({"staff-passkey"})
OF_DOORS = frozenset({"closed", "reopened"})
_KEYHOLDER = Actor("keyholder", "")


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news with all that is told of it. `readers` are inboxes of senders and officers; `person` is the
    proposal, account or tenant where it is the officers'.
    """

    id: str
    view: TenantView
    person: str
    kind: str
    address: str = field(repr=False)
    readers: frozenset[str] = field(repr=False)
    grants: tuple[str, ...]


class PersonNews:
    """Behind the duty of `Tellings`. Everything is handed in."""

    def __init__(
        self, store: Store, records: Records, keyholder: WorkerClient, poster: Poster, audience: Audience,
        tenants: Callable[[str], TenantView], clock: Clock, renew: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._records = records
        self._keyholder = keyholder
        self._poster = poster
        self._audience = audience
        self._tenants = tenants
        self._clock = clock
        self._renew = renew

    def __call__(self) -> int:
        """Tell what the keyholder has; how many mails. Raises TryLater."""
        with answering():
            waiting = self._keyholder.take_changes(BATCH)
        if any(news["kind"] in OF_DOORS for news in waiting):
            self._renew()
        found: list[Item] = []
        over: list[str] = []
        for news in waiting:
            try:
                item = self._item(news)
            except Tampered:
                log.error("tellings:row-tampered", kind=str(news["kind"]))
                continue
            over.append(str(news["id"]))
            if item is not None:
                found.append(item)
        count = self._told(found) if found else 0
        if count is None:
            return 0
        for id in over:
            with answering():
                self._keyholder.change_done(id)
        return count

    def _item(self, news: Mapping[str, Any]) -> Item | None:
        """None for what was told before, and for a person who is not there."""
        tenant, person, kind = str(news["tenant"]), str(news["person"]), str(news["kind"])
        if kind in TO_OFFICERS:
            return self._officers_item(news)
        with self._store.reading() as conn:
            row = self._records.rows.get(conn, schema.people, person)
            told = self._records.rows.get(conn, schema.tellings, str(news["id"]))
        if row is None or row["tenant"] != tenant or told is not None:
            return None
        view = self._tenants(tenant)
        if kind in TO_NOBODY_ELSE:
            address = self._records.directory.open(tenant, "people", person, row["address"])
            return Item(str(news["id"]), view, person, kind, address, frozenset(), ())
        messages = self._messages(tenant, person, kind)
        readers = {self._audience.of(view, self._records.sender(message)) for _, message in messages}
        if kind == "frozen":
            readers |= self._officers(tenant)
        address = self._records.directory.open(tenant, "people", person, row["address"])
        grants = tuple(grant for grant, _ in messages if grant != news["about"])
        return Item(str(news["id"]), view, person, kind, address, frozenset(readers - {""}), grants)

    def _officers_item(self, news: Mapping[str, Any]) -> Item | None:
        with self._store.reading() as conn:
            told = self._records.rows.get(conn, schema.tellings, str(news["id"]))
        if told is not None:
            return None
        tenant = str(news["tenant"])
        kind, about = str(news["kind"]), str(news["about"])
        readers = set[str]() if kind in OF_OWNERS_ALONE else self._officers(tenant)
        owner = self._owner(tenant, about) if kind in OF_OWNERS else ""
        return Item(str(news["id"]), self._tenants(tenant), about, kind, owner, frozenset(readers | {owner} - {""}), ())

    def _owner(self, tenant: str, user: str) -> str:
        """Whose account it is; empty for one that nobody knows here."""
        with self._store.reading() as conn:
            row = self._records.rows.get(conn, schema.users, user)
        if row is None or row["tenant"] != tenant:
            return ""
        return self._records.directory.open(tenant, "users", user, row["address"])

    def _messages(self, tenant: str, person: str, kind: str) -> list[tuple[str, Row]]:
        """The person's links that the keyholder calls live or frozen (for a card: frozen), each with its message."""
        table = schema.grants
        statement = select(table).where(
            table.c.tenant == tenant, table.c.person == person, table.c.kind == "link", table.c.revoked_at.is_(None),
            table.c.expires_at > self._clock.now_us(),
        )  # fmt: skip
        with self._store.reading() as conn:
            rows, changed = self._records.rows.sift(conn, statement.order_by(table.c.id))
            messages = {row["id"]: self._message(conn, row) for row in rows}
        for id in changed:
            log.error("tellings:row-tampered", object=id)
        states: dict[str, Any] = {}
        for start in range(0, len(rows), 500):
            with answering():
                states |= self._keyholder.grant_state(tenant, [row["id"] for row in rows[start : start + 500]])
        wanted = ("frozen",) if kind == "frozen" else ("live", "frozen")
        found = [(row["id"], messages[row["id"]]) for row in rows if states[row["id"]]["state"] in wanted]
        return [(grant, message) for grant, message in found if message is not None]

    def _message(self, conn: Any, grant: Row) -> Row | None:
        try:
            return self._records.message(conn, grant["message"])
        except Tampered:  # alarmed where it was read; the other messages' senders hear all the same
            return None

    def _officers(self, tenant: str) -> set[str]:
        table = schema.users
        statement = select(table).where(table.c.tenant == tenant, table.c.role == "officer", table.c.state == "active")
        with self._store.reading() as conn:
            rows, _ = self._records.rows.sift(conn, statement)
        return {self._records.directory.open(tenant, "users", row["id"], row["address"]) for row in rows}

    def _told(self, items: list[Item]) -> int | None:
        """One mail to each person and to each inbox per kind, and the events; None when it was told meanwhile."""
        posts: list[tuple[Posted, str]] = []
        inboxes: dict[tuple[str, str, str], list[Item]] = {}
        for item in items:
            if item.kind in TO_PERSON:
                posts.append((self._poster.to_person(item.view, item.address, TO_PERSON[item.kind]), item.address))
            for to in sorted(item.readers):
                inboxes.setdefault((item.view.id, item.kind, to), []).append(item)
        for (_, kind, to), theirs in inboxes.items():
            people = [item.address for item in theirs if item.address]
            lines = [self._poster.account(one) for one in dict.fromkeys(people)] if kind in OF_OWNERS else []
            named = [] if kind in OF_OWNERS else people
            posts.append((self._poster.to_sender(theirs[0].view, to, TO_SENDER[kind], None, named, lines), to))

        def work(tx: Tx) -> None:
            now = self._clock.now_us()
            for item in items:
                self._records.rows.insert(
                    tx, schema.tellings, id=item.id, tenant=item.view.id, kind=item.kind, about=item.person,
                    state="done", created_at=now, done_at=now,
                )  # fmt: skip
                for event in _events(item):
                    self._records.log.append(tx, event)
            for posted, _ in posts:
                self._poster.insert(tx, posted)

        try:
            self._store.run(work)
        except IntegrityError:  # another worker told some of it: what is left is looked at again in a moment
            return None
        for posted, to in posts:
            self._poster.submit(posted, to)
        return len(posts)


def _events(item: Item) -> list[Event]:
    if item.kind in TO_OFFICERS:
        _, action = TO_OFFICERS[item.kind]
        if action is None:
            return []
        reason = item.kind if item.kind in OF_OWNERS else ""
        return [Event(action, item.view.id, item.person, Actor("operator", ""), reason=reason, request=item.id)]
    if item.kind in TO_NOBODY_ELSE:  # the portal's own event names the message, and the notice has an event
        return []
    if item.kind == "frozen":  # the link with which the code was tried is in the portal's own event
        return [
            Event(Action.LINK_FROZEN, item.view.id, grant, _KEYHOLDER, reason="redeemed", request=item.id)
            for grant in item.grants
        ]
    return [Event(Action.PERSON_CHANGED, item.view.id, item.person, _KEYHOLDER, reason=item.kind, request=item.id)]
