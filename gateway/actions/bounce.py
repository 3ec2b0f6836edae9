"""Telling the sender what could not be delivered, or not yet: a DSN, made before the transaction that records it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.actions.copies import Copies
from gateway.actions.tenants import TenantView
from gateway.clock import Clock
from gateway.mail.dsn import FailedRecipient
from gateway.mail.model import Message
from gateway.mail.scan import Scanner
from gateway.spool.envelope import Envelope, Identity, Params, Recipient

HEADER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Failure:
    """One recipient that will not get it."""

    recipient: Recipient = field(repr=False)
    status: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """A DSN that is durable in the outbound spool under the id `copy`, for `recipient`."""

    copy: str
    recipient: Recipient = field(repr=False)


class Returner:
    """Writes DSNs."""

    def __init__(self, copies: Copies, tenants: Callable[[str], TenantView], clock: Clock) -> None:
        self._copies = copies
        self._tenants = tenants
        self._clock = clock

    def write(
        self, *, tenant: str, message: str, mail_from: str, mail_params: Params, arrived_us: int, node: str,
        failures: Sequence[Failure], head: bytes = b"", reason: str = "", retry_until_us: int | None = None,
    ) -> Written | None:  # fmt: skip
        """Durable when it returns; None for the null sender and for recipients that asked for no notice (NOTIFY=NEVER).

        `head` is the beginning of the original, for the fields that identify it. With `retry_until_us` they are
        delayed until then and no failures yet.
        """
        delayed = retry_until_us is not None
        wanted = [one for one in failures if wants(one.recipient, delayed=delayed)]
        if not mail_from or not wanted:
            return None
        envelope = Envelope(
            tenant=tenant, queue=message, mail_from=mail_from, recipients=tuple(one.recipient for one in wanted),
            identity=Identity("system"), arrived_us=arrived_us, node=node, mail_params=mail_params,
        )  # fmt: skip
        failed = tuple(
            FailedRecipient(one.recipient.address, one.status, original=_param(one.recipient, "ORCPT"), code=one.code,
                            reason=reason) for one in wanted
        )  # fmt: skip
        action, view = "delayed" if delayed else "failed", self._tenants(tenant)
        data = self._copies.dsn(view, envelope, _parsed(head), message, failed, action, retry_until_us)
        if data is None:
            return None
        copy = self._clock.new_id("spl")
        recipient = Recipient(self._copies.reader(self._tenants(tenant), mail_from))
        self._copies.write(self._copies.envelope(envelope, copy, (recipient,), (), system=True), [data]).result(60)
        return Written(copy, recipient)


def _parsed(head: bytes) -> Message | None:
    if not head:
        return None
    scanner = Scanner()
    scanner.feed(head)
    return scanner.close()


def _param(recipient: Recipient, wanted: str) -> str:
    return next((value for name, value in recipient.params if name.upper() == wanted), "")


def wants(recipient: Recipient, *, delayed: bool) -> bool:
    """Whether the sender may be told of that recipient; without NOTIFY of failures and of delays (RFC 3461 4.1)."""
    notify = _param(recipient, "NOTIFY").upper()
    return not notify or ("DELAY" if delayed else "FAILURE") in notify.split(",")
