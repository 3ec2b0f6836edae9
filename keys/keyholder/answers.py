"""Shapes of the keyholder's answers as its clients see them."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Receipt(TypedDict):
    """Proof that the keyholder recorded something: its log's origin, the entry's index and leaf hash, its signature.

    `signature` is made with the tenant's release log key over ``lp("sealgate/receipt/v1", log, index, leaf_hash)``.
    """

    log: str
    index: int
    leaf_hash: str
    signature: str
    resumed: bool


class Session(TypedDict):
    """A session as the portal may know it. Exactly one of `person` and `user` is set. Times in microseconds."""

    handle: str
    tenant: str
    person: str | None
    user: str | None
    role: str | None
    proof: int
    method: str
    scope: dict[str, str] | str
    expires_us: int
    first_proof_us: int


class Released(TypedDict):
    """One object's share (base64) and the receipt; `secret` (R) only for an officer reading held mail."""

    share: str
    receipt: Receipt
    secret: NotRequired[str]


class InboxSession(Session):
    """A session that covers an inbox; `key` (base64) is that of the browser's copy of the private half."""

    inbox: str
    key: str
