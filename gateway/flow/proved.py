"""The proof that a message was opened elsewhere: a line that the opening command prints and another installation reads.

`opened.<message>.<base62 of the proof and of two marks>`. Promises: nobody makes one who did not open that message with
its recovery key and the keyholder's share; it says on which node and machine that was only to whoever knows these, so
that the installation itself can refuse what was opened where it runs. It opens nothing.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field

from keys.encoding import b62decode, b62encode, lp
from keys.recovery import PROOF_BYTES

_MARK_BYTES = 8
_BYTES = PROOF_BYTES + 2 * _MARK_BYTES
_DIGITS = 43
"""As many base62 digits as 32 bytes take."""
_FORM = re.compile(r"opened\.(?P<message>msg_[0-9A-Za-z]{1,40})\.(?P<rest>[0-9A-Za-z]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows of one message. `node` and `machine` are marks under the secret."""

    message: str
    secret: bytes = field(repr=False)
    node: bytes
    machine: bytes

    def here(self, node: bytes, machine: str) -> bool:
        """Whether it was opened at this node (public key) or on this machine (its id; empty where it has none)."""
        same_node = hmac.compare_digest(self.node, _mark(self.secret, "node", where(node)))
        same_machine = bool(machine) and hmac.compare_digest(self.machine, _mark(self.secret, "machine", machine))
        return same_node or same_machine

    def text(self) -> str:
        """The line."""
        return f"opened.{self.message}.{b62encode(self.secret + self.node + self.machine, _DIGITS)}"


def make_proof(message: str, secret: bytes, node: str, machine: str) -> Proof:
    """Of a message that was opened; `node` as `where` gave it there, `machine` the id of the machine, or empty."""
    return Proof(message, secret, _mark(secret, "node", node), _mark(secret, "machine", machine))


def read_proof(text: str) -> Proof | None:
    """The proof of a typed line; None for what is none."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        return None
    try:
        raw = b62decode(found["rest"], _BYTES)
    except ValueError:
        return None
    rest = raw[PROOF_BYTES:]
    return Proof(found["message"], raw[:PROOF_BYTES], rest[:_MARK_BYTES], rest[_MARK_BYTES:])


def where(node_public: bytes) -> str:
    """A node in words: its public key."""
    return node_public.hex()


def _mark(secret: bytes, what: str, value: str) -> bytes:
    return hmac.digest(secret, lp("sealgate/opened-where/v1", what, value.encode("utf-8")), "sha256")[:_MARK_BYTES]
