"""What a worker hands in: a message's share, its grants and objects, as they travel to the keyholder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keys.keyholder.wire import b64


@dataclass(frozen=True, slots=True)
class DepositGrant:
    """One way to open a message. `secret` is R, for the kinds review and staff only."""

    id: str
    kind: str
    floor: int
    person: str | None = None
    secret: bytes | None = None


@dataclass(frozen=True, slots=True)
class DepositObject:
    """One sealed object: its id, kind and the FLOE header tag that pins it."""

    id: str
    kind: str
    header_tag: bytes


@dataclass(frozen=True, slots=True)
class Deposit:
    """What the keyholder must know of a message before any copy of it leaves. `share` is S; times in microseconds."""

    tenant: str
    message: str
    expires_us: int
    share: bytes
    grants: Sequence[DepositGrant]
    objects: Sequence[DepositObject]
    sender_user: str | None = None
    hold_until_us: int | None = None

    def params(self) -> dict[str, Any]:
        """As it travels."""
        return {
            "tenant": self.tenant, "message": self.message, "expires_us": self.expires_us, "share": b64(self.share),
            "sender_user": self.sender_user, "hold_until_us": self.hold_until_us,
            "grants": [
                {"id": g.id, "kind": g.kind, "floor": g.floor, "person": g.person}
                | ({} if g.secret is None else {"secret": b64(g.secret)})
                for g in self.grants
            ],
            "objects": [{"id": o.id, "kind": o.kind, "header_tag": b64(o.header_tag)} for o in self.objects],
        }  # fmt: skip
