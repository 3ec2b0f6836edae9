"""Sealing one message into the vault: its key MK, its share S, its objects and the grants that can open it.

Promises: MK, S, R and the link secrets exist in this object only, which the flow drops after its transaction; an object
is durable before it is named in a deposit; every object is sealed for its tenant, message, id and kind, so that nothing
opens in another's place. DESIGN §4 (three shares, order of effects), §4a (object, wrap).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway.vault import Stored, Vault
from keys import recovery
from keys.client import Deposit, DepositGrant, DepositObject
from keys.datakey import DataKey, ValueKey
from keys.derive import meta_key, object_key, object_share
from keys.encoding import canonical, lp
from keys.inboxes import seal_message
from keys.links import new_link_secret, printed_code, token
from keys.wrap import WrapContext, wrap

FLOOR = 2  # a link never opens PHI alone; 2 is "code by text, from staff, or TOTP" (DESIGN §4, Proofs)
KEY_VERSION = 1
FILES = ("file", "original")


@dataclass(frozen=True, slots=True)
class LinkGrant:
    """One recipient's way in. `token`, and `code` for typing, go into that recipient's mail and nowhere else."""

    id: str
    person: str
    token: str = field(repr=False)
    code: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class Sealed:
    """One object that is durable and that nothing names yet."""

    id: str
    kind: str
    key: DataKey = field(repr=False)
    stored: Stored


@dataclass(slots=True)
class MessageSeal:
    """Builds one sealed message; not shared between threads, but for `sealed`."""

    vault: Vault
    clock: Clock
    tenant: str
    expires_us: int
    message: str = ""
    reference: str = field(default_factory=lambda: f"{secrets.randbelow(1_000_000):06d}")
    _mk: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    _share: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    _objects: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _grants: list[dict[str, Any]] = field(default_factory=list, repr=False)
    _deposit_grants: list[DepositGrant] = field(default_factory=list, repr=False)
    file_bytes: int = 0

    def __post_init__(self) -> None:
        self.message = self.message or self.clock.new_id("msg")

    def add(
        self,
        kind: str,
        name: str,
        media_type: str,
        chunks: Iterable[bytes | memoryview],
        *,
        public_name: str | None = None,
        made: Sealed | None = None,
    ) -> str:
        """Seal one object and return its id. `public_name` stands on lists when the name itself may be PHI; `made` is
        what this seal's `sealed` made of the same bytes before.

        Raises TryLater when the vault cannot make it durable.
        """
        if made is None:
            made = self.sealed(kind, chunks)
        elif made.kind != kind:
            raise ValueError("an object of another kind")
        object_id, key, stored = made.id, made.key, made.stored
        shown = {
            "name": public_name if public_name is not None else name,
            "type": media_type,
            "bytes": stored.plain_bytes,
        }
        inner = {"name": name, "type": media_type, "bytes": stored.plain_bytes}
        if kind in FILES:
            self.file_bytes += stored.plain_bytes
        self._objects.append(
            {
                "id": object_id,
                "tenant": self.tenant,
                "message": self.message,
                "kind": kind,
                "position": len(self._objects),
                "blob": stored.blob,
                "header_tag": stored.header_tag,
                "sealed_bytes": stored.sealed_bytes,
                "meta": self._meta().seal(
                    lp("sealgate/objmeta/v1", self.tenant, self.message, object_id), canonical(shown)
                ),
                "inner_meta": key.value_key("sealgate/inner/v1").seal(
                    lp(self.tenant, object_id, stored.header_tag), canonical(inner)
                ),
                "created_at": self.clock.now_us(),
            }
        )
        return object_id

    def sealed(self, kind: str, chunks: Iterable[bytes | memoryview]) -> Sealed:
        """Seal one object of this message and change nothing else, so that another thread may do it.

        Raises TryLater when the vault cannot make it durable.
        """
        object_id = self.clock.new_id("obj")
        opened = object_share(self._share, tenant=self.tenant, message=self.message, object_id=object_id)
        key = object_key(self._mk, opened, tenant=self.tenant, message=self.message, object_id=object_id, kind=kind)
        stored = self.vault.seal(key, tenant=self.tenant, object_id=object_id, kind=kind, chunks=chunks)
        return Sealed(object_id, kind, key, stored)

    def link(self, person: str) -> LinkGrant:
        """A grant for one recipient, opened by a fresh link secret."""
        grant, secret = self.clock.new_id("lnk", 12), new_link_secret()
        self._grant(grant, "link", person, secret)
        self._deposit_grants.append(DepositGrant(grant, "link", FLOOR, person))
        return LinkGrant(grant, person, token(grant, secret), printed_code(secret))

    def review(self) -> str:
        """A grant for those who may release held mail, opened by a random R that the keyholder keeps."""
        return self._by_keyholder("review")

    def staff(self) -> str:
        """The same for those who may send it again without its sender, where the clinic's policy says so."""
        return self._by_keyholder("staff")

    def _by_keyholder(self, kind: str) -> str:
        grant, secret = self.clock.new_id("lnk", 12), os.urandom(32)
        self._grant(grant, kind, None, secret)
        self._deposit_grants.append(DepositGrant(grant, kind, FLOOR, None, secret))
        return grant

    def recover(self, public: bytes) -> str:
        """A grant for the clinic's recovery key, whose private half is with its officers. After the last object."""
        grant = self.clock.new_id("lnk", 12)
        place = recovery.Place(self.tenant, self.message, grant, KEY_VERSION)
        first = b""
        if self._objects:
            name = self._objects[0]["id"]
            first = object_share(self._share, tenant=self.tenant, message=self.message, object_id=name)
        self._row(grant, recovery.KIND, None, recovery.seal(public, self._mk, first, place))
        self._deposit_grants.append(DepositGrant(grant, recovery.KIND, FLOOR))
        return grant

    def inbox(self, person: str, inbox: str, public: bytes) -> str:
        """A grant for a recipient who keeps an inbox, beside the link. ValueError for a key that cannot be used."""
        grant = self.clock.new_id("lnk", 12)
        sealed = seal_message(
            public, self._mk, tenant=self.tenant, message=self.message, grant=grant, person=person, inbox=inbox
        )
        self._row(grant, "inbox", person, sealed, inbox)
        self._deposit_grants.append(DepositGrant(grant, "inbox", FLOOR, person))
        return grant

    def _grant(self, grant: str, kind: str, person: str | None, secret: bytes) -> None:
        context = WrapContext(self.tenant, self.message, grant, kind, KEY_VERSION)
        self._row(grant, kind, person, wrap(secret, self._mk, context))

    def _row(self, grant: str, kind: str, person: str | None, wrapped: bytes, inbox: str | None = None) -> None:
        self._grants.append(
            {
                "id": grant,
                "tenant": self.tenant,
                "message": self.message,
                "person": person,
                "kind": kind,
                "inbox": inbox,
                "wrap": wrapped,
                "expires_at": self.expires_us,
                "created_at": self.clock.now_us(),
                "revoked_at": None,
            }
        )

    def _meta(self) -> ValueKey:
        return meta_key(self._share, tenant=self.tenant, message=self.message)

    def message_meta(self, subject: str, sender: str, sender_name: str) -> bytes:
        """Subject and sender as signed-in pages show them, sealed under the meta key."""
        value = canonical({"subject": subject, "from": sender, "from_name": sender_name})
        return self._meta().seal(lp("sealgate/msgmeta/v1", self.tenant, self.message), value)

    def deposit(self, sender_user: str | None, hold_until_us: int | None = None) -> Deposit:
        """What the keyholder must have before any copy leaves."""
        objects = [DepositObject(row["id"], row["kind"], row["header_tag"]) for row in self._objects]
        return Deposit(
            tenant=self.tenant,
            message=self.message,
            expires_us=self.expires_us,
            share=self._share,
            grants=self._deposit_grants,
            objects=objects,
            sender_user=sender_user,
            hold_until_us=hold_until_us,
        )

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Rows for the table `objects`."""
        return self._objects

    @property
    def grants(self) -> list[dict[str, Any]]:
        """Rows for the table `grants`."""
        return self._grants

    @property
    def files(self) -> int:
        """How many files, as a notice counts them."""
        return sum(row["kind"] in FILES for row in self._objects)
