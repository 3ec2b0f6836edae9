"""Held mail: listed, released by an officer's recorded act, dropped, or returned to its sender when its time is over.

Promises: what is held opens only with the R that the keyholder gives for an act it recorded itself, and goes out as
that act says; a release makes a new message with new keys and goes through the same steps as any mail; R is destroyed
once the copies are durable; nobody reads the mail by releasing it. DESIGN §4 (`review`), §3 (held mail).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, select

from gateway.actions.bounce import Failure, Returner
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action, Actor, Event
from gateway.clock import Clock
from gateway.errors import GatewayError, NotFound, Refused, TryLater
from gateway.flow.delivery import Deliverer
from gateway.flow.jobs import Job, Target
from gateway.flow.looking import Harmful
from gateway.flow.outbound import Outbound
from gateway.flow.records import Records
from gateway.flow.scanning import RULE as MALWARE
from gateway.logs import Log
from gateway.policy import Decision
from gateway.share import answering
from gateway.spool.envelope import POSTMASTER, Envelope, Identity
from gateway.store import schema
from gateway.store.database import Store, Tx
from gateway.store.rows import Row
from gateway.vault import Vault
from gateway.vault.vault import Reader
from keys.client import WorkerClient
from keys.derive import object_key
from keys.errors import Denied
from keys.wrap import WrapContext, unwrap

log = Log("gateway.held")
ENDED = ("released", "dropped", "returned")
CHUNK_BYTES = 262_144


class NotHeld(Refused):
    """This message is not held: it may have been released, dropped or returned already."""

    http_status = 409


class NotApproved(Refused):
    """The keyholder has no fresh approval of this by an officer."""


@dataclass(slots=True)
class VaultSource:
    """A held original, read from the vault by ranges."""

    reader: Reader

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.reader.plain_bytes

    def read(self, start: int, stop: int) -> bytes:
        """Exactly those bytes."""
        return b"".join(self.reader.read(start, stop))

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        """Those bytes in pieces."""
        yield from self.reader.read(start, stop)


class Held:
    """What can be done with held mail. Thread-safe."""

    def __init__(
        self,
        *,
        store: Store,
        records: Records,
        vault: Vault,
        keyholder: WorkerClient,
        outbound: Outbound,
        returner: Returner,
        deliverer: Deliverer,
        tenants: Callable[[str], TenantView],
        clock: Clock,
    ) -> None:
        self._store = store
        self._records = records
        self._vault = vault
        self._keyholder = keyholder
        self._outbound = outbound
        self._returner = returner
        self._deliverer = deliverer
        self._tenants = tenants
        self._clock = clock

    def rows(self, conn: Connection, tenant: str) -> tuple[list[Row], list[str]]:
        """Messages that are held, oldest first; and the ids of those whose row was changed by somebody else."""
        table = schema.messages
        held = (table.c.tenant == tenant, table.c.state == "held", table.c.hold_until.is_not(None))
        return self._records.rows.sift(conn, select(table).where(*held).order_by(table.c.received_at))

    def need(self, tenant: str, message: str) -> Row:
        """The held message of that id. Raises NotFound, NotHeld."""
        with self._store.reading() as conn:
            row = self._records.message(conn, message)
        if row is None or row["tenant"] != tenant:
            raise NotFound("no such message")
        if row["state"] != "held":
            raise NotHeld("not held")
        return row

    def possible(self, tenant: str, message: str, act: str) -> Row:
        """The held message, if this act on it can be asked for at all. Raises NotFound, NotHeld, Harmful.

        Mail that is held for malware never goes out as it came; protected it goes out only when the scanner no longer
        finds anything, which is seen at the release itself.
        """
        row = self.need(tenant, message)
        if act == "release-as-is" and row["rule"] == MALWARE:
            raise Harmful("held for malware")
        return row

    def release(self, tenant: str, message: str, act: str, officer: str) -> str:
        """Send it: protected (a secure message) or as it came, whichever the officer's act at the keyholder says.

        Returns the new message's id. Raises NotApproved, TryLater, Harmful.
        """
        row = self.need(tenant, message)
        view = self._tenants(tenant)
        try:
            with answering():
                given = self._keyholder.release_held(tenant, message, act)
        except Denied as denied:
            raise NotApproved(denied.reason) from denied
        as_is = given["act"] == "release-as-is"  # nobody's word but the keyholder's: the officer's proof is bound to it
        if as_is and row["rule"] == MALWARE:
            raise Harmful("held for malware")
        reader = self._open(row, given)
        try:
            source = VaultSource(reader)
            envelope, deliveries = self._envelope(row)
            parsed = self._outbound.parse(source)
            retry = self._records.directory.index(tenant, f"released {message}")
            piece = self._outbound.making.piece(
                view,
                envelope,
                source,
                parsed,
                retry,
                parent=message,
                spooled=False,
                adjust=lambda decision: _released(decision, as_is),
                release=_released(None, as_is),
                suspect=row["rule"] == MALWARE,
            )

            def more(tx: Tx) -> None:
                self._end(tx, row, deliveries, "released", Actor("user", officer), Action.MESSAGE_RELEASED, act)

            self._outbound.commit(piece, more)
        finally:
            reader.close()
        self._forgotten(row)
        return str(piece.prepared.message["id"])

    def drop(self, tenant: str, message: str, act: str, officer: str) -> None:
        """Do not send it; the sender is told, the contents are destroyed."""
        self._give_up(
            self.need(tenant, message), "dropped", "dropped", Actor("user", officer), Action.MESSAGE_DROPPED, act
        )

    def erased(self, row: Row, actor: Actor) -> None:
        """Its contents were destroyed while it waited: it is dropped, and the sender is told. Raises NotHeld."""
        self._give_up(row, "dropped", "dropped", actor, Action.MESSAGE_DROPPED, "")

    def return_expired(self) -> int:
        """Return what was held too long, and finish what a crash left half done."""
        table = schema.messages
        with self._store.reading() as conn:
            late, also = self._records.rows.sift(
                conn, select(table).where(table.c.state == "held", table.c.hold_until < self._clock.now_us())
            )
            ended, changed = self._records.rows.sift(
                conn, select(table).where(table.c.state.in_(ENDED), table.c.hold_until.is_not(None))
            )
        for id in (*also, *changed):
            log.error("held:row-tampered", message=id)
        count = 0
        for row in late:
            try:
                self._give_up(row, "returned", "held_expired", GATEWAY, Action.MESSAGE_RETURNED, "")
                count += 1
            except NotHeld:
                continue  # an officer was faster
            except (GatewayError, Denied) as error:  # the others have waited as long
                log.error("held:return-failed", message=row["id"], error=type(error).__name__)
        for row in ended:
            self._forgotten(row)
        return count

    def _give_up(self, row: Row, state: str, reason: str, actor: Actor, action: Action, act: str) -> None:
        envelope, deliveries = self._envelope(row)
        failures = [Failure(recipient, "5.7.1") for recipient in envelope.recipients]
        written = self._returner.write(
            tenant=row["tenant"],
            message=row["id"],
            mail_from=envelope.mail_from,
            mail_params=envelope.mail_params,
            arrived_us=row["received_at"],
            node=row["node"],
            failures=failures,
            reason=reason,
        )
        notice: dict[str, Any] | None = None
        if written is not None:
            notice = self._records.delivery(
                id=self._clock.new_id("dlv"),
                tenant=row["tenant"],
                message=row["id"],
                recipient=written.recipient,
                mail_params=(),
                treatment="notice",
                state="ready",
                copy=written.copy,
                now_us=self._clock.now_us(),
            )

        def work(tx: Tx) -> None:
            self._end(tx, row, deliveries, state, actor, action, act)
            if notice is not None:
                self._records.rows.insert(tx, schema.deliveries, **notice)

        self._store.run(work)
        if written is not None and notice is not None:
            target = Target(notice["id"], written.recipient, "notice", 0)
            self._deliverer.submit(
                [
                    Job(
                        tenant=row["tenant"],
                        message=row["id"],
                        item=written.copy,
                        direction="out",
                        mail_from="",
                        mail_params=(),
                        targets=(target,),
                        accepted_us=row["received_at"],
                        since_us=notice["created_at"],
                    )
                ]
            )
        self._forgotten(row)

    def _end(self, tx: Tx, row: Row, deliveries: list[Row], state: str, actor: Actor, action: Action, act: str) -> None:
        if not self._records.end_hold(tx, row["id"], state):
            raise NotHeld("settled meanwhile")
        for delivery in deliveries:
            self._records.rows.update(
                tx, schema.deliveries, delivery["id"], state=state, settled_at=self._clock.now_us()
            )
        self._records.log.append(tx, Event(action, row["tenant"], row["id"], actor, request=act, policy=row["policy"]))

    def _forgotten(self, row: Row) -> None:
        """`_forget`, where the decision is committed already: what fails is done at the next `return_expired`."""
        try:
            self._forget(row)
        except (GatewayError, Denied) as error:
            log.warning("held:forget-later", message=row["id"], error=type(error).__name__)

    def _forget(self, row: Row) -> None:
        """R and S are destroyed and the mark that this is still to do is taken away. May be repeated."""
        with answering():
            self._keyholder.held_done(row["tenant"], row["id"])
            with self._store.reading() as conn:
                links = conn.execute(
                    select(schema.grants.c.id).where(
                        schema.grants.c.message == row["id"], schema.grants.c.kind == "link"
                    )
                ).first()
            if links is None:  # a message held for one and secured for another lives on for the other
                try:
                    self._keyholder.destroy_message(row["tenant"], row["id"])
                except Denied as denied:
                    if denied.reason != "on-hold":  # the keyholder destroys it when the hold is lifted
                        raise
        self._store.run(lambda tx: self._records.rows.update(tx, schema.messages, row["id"], hold_until=None))

    def _open(self, row: Row, given: dict[str, Any]) -> Reader:
        with self._store.reading() as conn:
            objects = self._records.rows.find(
                conn,
                select(schema.objects).where(
                    schema.objects.c.message == row["id"], schema.objects.c.kind == "original"
                ),
            )
            grants = self._records.rows.find(
                conn,
                select(schema.grants).where(schema.grants.c.message == row["id"], schema.grants.c.kind == "review"),
            )
        if not objects or not grants:
            raise TryLater("the held original is not there")
        original, grant = objects[-1], grants[-1]
        tenant, message = row["tenant"], row["id"]
        mk = unwrap(
            base64.b64decode(given["secret"]), grant["wrap"], WrapContext(tenant, message, grant["id"], "review", 1)
        )
        share = base64.b64decode(given["shares"][original["id"]])
        key = object_key(mk, share, tenant=tenant, message=message, object_id=original["id"], kind="original")
        return self._vault.open(
            key,
            tenant=tenant,
            object_id=original["id"],
            kind="original",
            blob=original["blob"],
            header_tag=original["header_tag"],
            sealed_bytes=original["sealed_bytes"],
        )

    def _envelope(self, row: Row) -> tuple[Envelope, list[Row]]:
        with self._store.reading() as conn:
            deliveries = [one for one in self._records.deliveries(conn, row["id"]) if one["state"] == "held"]
        opened = [self._records.opened(one) for one in deliveries]
        return Envelope(
            tenant=row["tenant"],
            queue=row["queue"],
            mail_from=self._records.sender(row),
            recipients=tuple(recipient for recipient, _ in opened),
            # Whose word it is does not change with its release: a stranger's is not signed as the clinic's.
            identity=Identity(POSTMASTER) if row["identity"] == POSTMASTER else Identity("held", row["user"]),
            arrived_us=row["received_at"],
            node=row["node"],
            mail_params=opened[0][1] if opened else (),
        ), deliveries


def _released(decision: Decision | None, as_is: bool) -> Decision:
    """What an officer's release makes of a decision: everything sealed, or everything as it came."""
    if as_is:
        made = Decision(
            treatment="as-is",
            sealed_parts=frozenset(),
            neutral_subject=False,
            rule="released-as-is",
            policy="officer",
            reasons=("released by an officer",),
        )
    else:
        made = Decision(
            treatment="secure",
            sealed_parts=frozenset(),
            neutral_subject=True,
            rule="released-protected",
            policy="officer",
            reasons=("released by an officer",),
        )
    return made if decision is None else replace(made, policy=decision.policy)
