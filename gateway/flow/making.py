"""Steps 4 to 7 of an outgoing message: assess, decide, and make durable what its transaction will name.

Promises: nothing made here has an effect before the transaction of step 8; mail that the rewriter cannot edit is sealed
whole instead. DESIGN §3, §4 (order of effects).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.actions.copies import NotEditable
from gateway.actions.tenants import TenantView
from gateway.audit.event import GATEWAY, Action
from gateway.flow import facts as factual
from gateway.flow.beforehand import Beforehand
from gateway.flow.judging import Judged, judge, leaves_if_phi
from gateway.flow.looking import Looked, Looker
from gateway.flow.message_rows import MessageRows, handed_in_by
from gateway.flow.records import Prepared
from gateway.flow.treat import Piece, Treatment
from gateway.mail.model import Message
from gateway.mail.source import Source
from gateway.policy import Decision
from gateway.spool.envelope import Envelope
from gateway.steps import reached
from gateway.store.database import Store


class Making:
    """Makes pieces; commits none. Thread-safe."""

    def __init__(self, store: Store, looker: Looker, treatment: Treatment, rows: MessageRows) -> None:
        self._store = store
        self._looker = looker
        self._treatment = treatment
        self._rows = rows

    def piece(
        self,
        view: TenantView,
        envelope: Envelope,
        source: Source,
        message: Message,
        retry: bytes,
        *,
        forced: Decision | None = None,
        parent: str | None = None,
        spooled: bool = True,
        adjust: Callable[[Decision], Decision] = lambda decision: decision,
        release: Decision | None = None,
        suspect: bool = False,
        judged: Judged | None = None,
    ) -> Piece:
        """Steps 4 to 7 of one message: everything durable that its transaction will name.

        `forced` decides for every recipient without reading, and then the message is sealed whole; `adjust` is what an
        officer's release changes, and `release` decides when held mail cannot be read now either. `suspect`: it is
        held for malware and goes out only when a scanner says today that there is none. Raises Harmful for held mail
        with malware; mail that comes in with it is held. `judged` is what came of steps 4 to 6 when they were made just
        now.
        """
        wanted = partial(leaves_if_phi, view, envelope, source, message, adjust)
        with self._treatment.beforehand(view.id, wanted) as begun:
            if judged is None:
                looked = Looked(forced=forced)
                if forced is None:
                    looked = self._looker.look(message, source, release=release, suspect=suspect, likely=begun.likely)
                reached(5)
                reason = factual.plain_reason(view, envelope, message, lambda: self._role(envelope))
                judged = judge(view, envelope, source, message, looked, adjust, reason)
                reached(6)
            with self._store.reading() as conn:
                user = self._rows.user(conn, envelope, forced=judged.looked.assessment is None)
            piece = self.made(view, envelope, source, message, retry, judged, user, parent, spooled, begun)
        reached(7)
        return piece

    def _role(self, envelope: Envelope) -> str:
        with self._store.reading() as conn:
            return self._rows.role(conn, envelope)

    def made(
        self,
        view: TenantView,
        envelope: Envelope,
        source: Source,
        message: Message,
        retry: bytes,
        judged: Judged,
        user: str | None,
        parent: str | None = None,
        spooled: bool = True,
        begun: Beforehand | None = None,
    ) -> Piece:
        """Step 7: what the decisions ask for, and the rows. What nobody but its sender touches makes rows only."""
        looked, forced = judged.looked, judged.looked.forced
        for whole in dict.fromkeys((forced is not None, True)):
            # A new row for each: what the first try deposited under its ids is left behind and swept up.
            row = self._rows.row(
                view, envelope, message, source, retry, judged.decisions, looked.assessment, parent, user,
                begun.message if begun else "",
            )  # fmt: skip
            piece = Piece(
                view,
                envelope,
                source,
                message,
                looked.reading,
                judged.decisions,
                Prepared(row),
                assessment=looked.assessment,
                parent=parent,
                spooled=spooled,
                unread_whole=whole,
                beforehand=begun,
            )
            piece.prepared.event(
                Action.MESSAGE_ACCEPTED,
                row["id"],
                handed_in_by(envelope, row["user"]),
                request=envelope.queue,
                reason=envelope.identity.kind,
                bytes=source.size,
            )
            for name in looked.scanned.names:
                piece.prepared.event(Action.MALWARE_FOUND, row["id"], GATEWAY, outcome="refused", reason=name)
            try:
                self._treatment.treat(piece)
            except NotEditable:
                if whole:
                    raise
                begun = None
                continue
            break
        return piece
