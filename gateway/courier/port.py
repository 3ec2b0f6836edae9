"""The port through which mail leaves, and the values that pass it.

Promises: an outcome is one of three frozen classes; none holds a word that the other server said except the evidence of
a delivery, which prints as redacted. Status strings are enhanced codes (RFC 3463).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from gateway.sensitive import Sensitive

Params: TypeAlias = tuple[tuple[str, str], ...]
"""ESMTP parameters as (name, value); a parameter without a value has the empty string."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One address of the envelope, its RCPT parameters, and the delivery it settles."""

    address: str = field(repr=False)
    params: Params = field(default=(), repr=False)
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message ready to leave. Each call of `chunks` starts anew: CRLF text of exactly `size` bytes."""

    mail_from: str = field(repr=False)
    recipients: tuple[Recipient, ...]
    size: int
    chunks: Callable[[], Iterator[bytes]] = field(repr=False)
    mail_params: Params = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a delivery rests on: who took it, and how well the line was protected."""

    host: str
    port: int
    tls_version: str = ""  # such as "TLSv1.3"; empty: plain text
    cipher: str = ""
    certificate_sha256: str = ""  # of the server's certificate, DER, in hex
    verified: bool = False  # the certificate was checked against the host's name and trusted authorities
    dsn: bool = False  # the next hop took over RET, ENVID, NOTIFY and ORCPT (RFC 3461)
    answer: Sensitive[str] = field(default_factory=lambda: Sensitive(""))  # its words, such as its queue id


@dataclass(frozen=True, slots=True)
class Delivered:
    """The smarthost took responsibility."""

    status: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Deferred:
    """Try again later. `reason` is a machine word; `unknown`: the line broke after the end, it may have been taken."""

    status: str
    reason: str
    code: int = 0  # the SMTP reply code; 0: none was given
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Bounced:
    """It will never be taken. `text_class` is the subject of the status in one word (RFC 3463 3), never server text."""

    status: str
    text_class: str
    code: int = 0


Outcome: TypeAlias = Delivered | Deferred | Bounced


@dataclass(frozen=True, slots=True)
class RecipientOutcome:
    """What became of one recipient."""

    recipient: Recipient
    outcome: Outcome


class Courier(Protocol):
    """Hands mail to the next hop.

    `deliver` returns one outcome per recipient, in order, and never raises for the neighbour's trouble; the caller
    retries what is Deferred and answers what is Bounced. It may be called from many threads at once. Delivered means
    that the next hop answered 2xx to the whole message. What `outbound.chunks` raises is passed on after the
    connection was cut without an end of data, so a broken source never looks like a whole message.
    """

    def deliver(self, outbound: Outbound) -> list[RecipientOutcome]:
        """One outcome per recipient."""

    def extensions(self) -> frozenset[str]:
        """Upper-case keywords that the next hop offers in EHLO; empty while it was never reached. May connect."""

    def close(self) -> None:
        """End idle connections."""


_CLASSES = {1: "address", 2: "mailbox", 3: "system", 4: "network", 5: "protocol", 6: "content", 7: "policy"}


def status_class(status: str) -> str:
    """The subject of an enhanced code in one word (RFC 3463 3)."""
    return _CLASSES.get(int(status.split(".")[1]), "other")
