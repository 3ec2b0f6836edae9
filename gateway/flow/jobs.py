"""One attempt to deliver: a queued copy (or the original) and the recipients it is for."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.spool.envelope import Params, Recipient
from gateway.spool.opening import OpenItem


@dataclass(frozen=True, slots=True)
class Target:
    """One delivery row and the recipient it stands for."""

    delivery: str
    recipient: Recipient = field(repr=False)
    treatment: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Job:
    """Deliver one spooled item to these recipients in one SMTP transaction.

    `direction` says which spool holds `item`: ``in`` for an original that goes as it is, ``out`` for a copy of ours.
    `accepted_us` is when the message was accepted; `since_us` is when we began to deliver it, which for held mail is
    when it was released, and its age decides when to give up. `fresh` says that nobody else can have settled any of
    it: its rows were just written, it was reserved before that (`Deliverer.reserve`), and it has every delivery of its
    item. `original` is the item itself, opened and verified a moment ago, where it is small: it is not opened twice.
    """

    tenant: str
    message: str
    item: str
    direction: str
    mail_from: str = field(repr=False)
    mail_params: Params = field(repr=False)
    targets: tuple[Target, ...]
    accepted_us: int
    since_us: int
    fresh: bool = False
    original: OpenItem | None = field(default=None, repr=False, compare=False)
