"""Sending again without the sender: asked for on a staff page, carried out by the worker (decision 0053).

Promises: who may, is the keyholder's answer, and so is whom the new link is for; the link's secret is made here, put
into the mail and kept nowhere; the person's earlier link to the message ends once the new one is written down; asked
twice, or begun again after a crash, there is one new link. DESIGN §4 (`staff`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from gateway.accounts.people import People
from gateway.actions.tenants import TenantView
from gateway.audit.event import Action, Actor, Event, receipt_text
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.errors import NotFound
from gateway.flow.officer_held import keep
from gateway.flow.posting import Poster
from gateway.flow.records import Records
from gateway.flow.sent import SentMail, user_of
from gateway.flow.trail import Happened, Origin, Trail
from gateway.flow.visit import Denial
from gateway.share import Directory, answering
from gateway.share.portal import Denied, PortalClient, Session
from gateway.spool.envelope import Recipient
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Rows
from keys.client import WorkerClient
from keys.links import new_link_secret, printed_code, token
from keys.wrap import WrapContext, unwrap, wrap

KIND = "resend"


class ResendDesk:
    """The pages' side. Everything is handed in."""

    def __init__(
        self, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, people: People,
        mail: SentMail, clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._rows = rows
        self._keys = keys
        self._trail = trail
        self._directory = directory
        self._people = people
        self._mail = mail
        self._clock = clock

    def possible(self, session: Session, message: str) -> bool:
        """Whether this person could send it again now: for what a page offers."""
        try:
            with answering():
                return self._keys.may_resend(session["handle"], message)
        except Denied:
            return False

    def ask(
        self, origin: Origin, session: Session, message: str, address: str, reason: str, code: str
    ) -> Denial | None:
        """Record that it is to be sent to that address, proved by a code. NotFound for mail that is not theirs."""
        with self._store.reading() as conn:
            self._mail.own(conn, origin, session, message)
            person = self._people.find(conn, origin.tenant, address)
        if person is None:
            person = self._store.run(lambda tx: self._people.add(tx, origin.tenant, address))
        try:
            with answering():
                answer = self._keys.resend_act(session["handle"], code, message, person, reason)
        except Denied as denied:
            self._trail.record(
                origin,
                Happened(
                    Action.ACT_REFUSED, message, user_of(session), outcome="refused", reason=denied.reason,
                    proof=session["proof"],
                ),
            )  # fmt: skip
            return Denial(denied.reason)

        def work(tx: Tx) -> None:
            keep(
                tx, self._rows, self._directory, tenant=origin.tenant, message=message, answer=answer, kind=KIND,
                user=str(session["user"]), reason=reason, now_us=self._clock.now_us(),
            )  # fmt: skip
            happened = Happened(
                Action.ACT_RECORDED, message, user_of(session), reason=KIND, proof=session["proof"],
                receipt=receipt_text(answer["receipt"]),
            )  # fmt: skip
            self._trail.append(tx, origin, [happened])

        self._store.run(work)
        return None


class Resending:
    """The worker's side. Everything is handed in."""

    def __init__(
        self, store: Store, records: Records, keyholder: WorkerClient, poster: Poster, audit: AuditLog,
        tenants: Callable[[str], TenantView], clock: Clock,
    ) -> None:  # fmt: skip
        self._store = store
        self._records = records
        self._keyholder = keyholder
        self._poster = poster
        self._audit = audit
        self._tenants = tenants
        self._clock = clock

    def resend(self, tenant: str, message: str, act: str) -> str:
        """The new link of a recorded act, written down and sent; its grant. Raises Denied, NotFound, TryLater."""
        grant = "lnk_" + hashlib.sha256(act.encode()).hexdigest()[:12]  # the same after a crash
        with answering():
            given = self._keyholder.staff_link(tenant, message, act, grant)
        with self._store.reading() as conn:
            row = self._records.message(conn, message)
            staff = self._records.rows.get(conn, schema.grants, given["staff"])
            person = self._records.rows.get(conn, schema.people, given["person"])
            before = self._records.rows.get(conn, schema.grants, grant)
        if row is None or staff is None or person is None or row["tenant"] != tenant or person["tenant"] != tenant:
            raise NotFound("no such message or person")
        if before is None:
            self._send(row, staff, person, grant, act, given)
        self._end_earlier(tenant, message, person["id"], grant, given["user"], act)
        return grant

    def _send(self, row: Any, staff: Any, person: Any, grant: str, act: str, given: dict[str, Any]) -> None:
        tenant, message = str(row["tenant"]), str(row["id"])
        view = self._tenants(tenant)
        mk = unwrap(
            base64.b64decode(given["secret"]), staff["wrap"], WrapContext(tenant, message, staff["id"], "staff", 1)
        )
        secret = new_link_secret()
        wrapped = wrap(secret, mk, WrapContext(tenant, message, grant, "link", 1))
        to = self._records.directory.open(tenant, "people", person["id"], person["address"])
        link = f"{view.public_url}/m/{token(grant, secret)}"
        posted = self._poster.to_person(view, to, "relinked", row, url=link, code=printed_code(secret))
        actor, now = Actor("user", str(given["user"])), self._clock.now_us()
        delivery = self._records.delivery(
            id=self._clock.new_id("dlv"), tenant=tenant, message=message, recipient=Recipient(to), mail_params=(),
            treatment="secure", state="delivered", copy=None, now_us=now, person=person["id"], grant=grant,
        )  # fmt: skip

        def work(tx: Tx) -> None:
            rows = self._records.rows
            rows.insert(
                tx, schema.grants, id=grant, tenant=tenant, message=message, person=person["id"], kind="link",
                wrap=wrapped, expires_at=given["expires_us"], created_at=now,
            )  # fmt: skip
            rows.insert(tx, schema.deliveries, **(delivery | {"settled_at": now}))
            quoted = receipt_text(given["receipt"])
            self._audit.append(
                tx, Event(Action.MESSAGE_RESENT, tenant, message, actor, reason=grant, request=act, receipt=quoted)
            )
            self._audit.append(tx, Event(Action.LINK_CREATED, tenant, grant, actor, request=message))
            self._poster.insert(tx, posted)

        self._store.run(work)
        self._poster.submit(posted, to)

    def _end_earlier(self, tenant: str, message: str, person: str, grant: str, user: str, act: str) -> None:
        """The person's links that this one replaces: at the keyholder first, so that a start finishes it."""
        table = schema.grants
        statement = select(table).where(
            table.c.message == message, table.c.person == person, table.c.kind == "link", table.c.id != grant,
            table.c.revoked_at.is_(None),
        )  # fmt: skip
        with self._store.reading() as conn:
            earlier = self._records.rows.find(conn, statement)
        for one in earlier:
            with answering():
                receipt = self._keyholder.narrow(tenant, message, one["id"], {"revoke": True}, user, act)

            def work(tx: Tx, id: str = one["id"], quoted: str = receipt_text(receipt)) -> None:
                self._records.rows.update(tx, table, id, revoked_at=self._clock.now_us())
                ended = Event(
                    Action.LINK_REVOKED, tenant, id, Actor("user", user), reason="relinked", request=act, receipt=quoted
                )
                self._audit.append(tx, ended)

            self._store.run(work)
