"""What a server answered, and which outcome that is. Pure.

Promises: a fault of our own set-up (password, TLS, command not spoken) waits for repair instead of bouncing mail.
Clauses: RFC 5321 4.2, 4.5.3.1.10; RFC 2034; RFC 3463.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gateway.courier.port import Bounced, Deferred, status_class
from gateway.sensitive import Sensitive

_ENHANCED = re.compile(r"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")
_OURS_TO_MEND = frozenset({500, 502, 503, 530, 534, 535, 538})


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Its text does not print."""

    code: int
    text: Sensitive[str] = field(default_factory=lambda: Sensitive(""))

    @property
    def good(self) -> bool:
        """2yz."""
        return self.code // 100 == 2

    @property
    def status(self) -> str:
        """The enhanced code it gave, if it fits its class (RFC 2034 4), else the class alone."""
        kind = self.code // 100
        found = _ENHANCED.match(self.text.reveal())
        return found[0] if found and found[1] == str(kind) else f"{kind if kind in (2, 4, 5) else 4}.0.0"


def refusal(reply: Reply, *, at_rcpt: bool = False) -> Bounced | Deferred:
    """The outcome of an answer that is no success."""
    status, code, kind = reply.status, reply.code, reply.code // 100
    if kind == 4:
        return Deferred(status, status_class(status), code)
    if kind != 5:
        return Deferred("4.5.0", "protocol", code)
    if at_rcpt and code == 552 and status in ("5.0.0", "5.5.3"):
        # RFC 5321 4.5.3.1.10: 552 to RCPT once meant "too many recipients" and is taken as temporary.
        return Deferred("4.5.3", "too-many-recipients", code)
    if code in _OURS_TO_MEND:
        return Deferred("4.3.5", "setup", code)
    return Bounced(status, status_class(status), code)
