"""The signed snapshot: all that `smtp` knows about tenants, networks, passwords and epochs.

Promises: only what the keyholder signed for this node is used; a lower serial than one seen before is refused, also
after a restart; a refused file leaves the last good snapshot in force until that is too old. DESIGN §2, "Snapshot".
Who can change the file can at most make it stale, and then mail is answered 451.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.errors import Misconfigured, Tampered, TryLater
from gateway.logs import Log
from gateway.spool import known
from gateway.spool.item import current_epoch
from gateway.spool.known import Address, DeviceEntry, Network, SharedEntry, within
from gateway.spool.layout import sync_folder
from keys.errors import Tampered as SealBroken
from keys.signing import verify_signature

_log = Log("gateway.spool")
LABEL = "sealgate/snapshot/v1"
MAX_AGE_US = 900_000_000
MAX_FILE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class SubmissionUser:
    """A submission name and the verifier of its app password: SHA-256(salt ‖ password)."""

    tenant: str
    user: str
    username: str = field(repr=False)
    salt: bytes = field(repr=False)
    verifier: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TenantEntry:
    """What smtp may know of one tenant. Limits of 0 mean: the listener's own."""

    id: str
    domains: frozenset[str]
    networks: tuple[Network, ...]
    max_message_bytes: int = 0
    max_recipients: int = 0
    devices: tuple[DeviceEntry, ...] = ()
    shared: tuple[SharedEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One verified snapshot. `users` by case-folded submission name: a name may have several app passwords."""

    node: str
    serial: int
    time_us: int
    tenants: Mapping[str, TenantEntry]
    by_domain: Mapping[str, str]
    users: Mapping[str, tuple[SubmissionUser, ...]]
    epochs: Mapping[int, bytes]
    extensions: frozenset[str]

    def epoch_public(self, now_us: int) -> tuple[int, bytes]:
        """The epoch of this hour and its public key. Raises TryLater if the snapshot has none for it."""
        epoch = current_epoch(now_us)
        public = self.epochs.get(epoch)
        if public is None:
            raise TryLater("no key for this epoch")
        return epoch, public

    def tenants_of(self, address: Address) -> list[TenantEntry]:
        """The tenants in whose own networks this client address lies."""
        return [tenant for tenant in self.tenants.values() if within(address, tenant.networks)]

    def proofs_of(self, address: Address) -> list[tuple[TenantEntry, SharedEntry]]:
        """The clinics that share the network of this client with strangers."""
        found = ((tenant, one) for tenant in self.tenants.values() for one in tenant.shared)
        return [(tenant, one) for tenant, one in found if within(address, one.networks)]

    def devices_of(self, address: Address | None, certificate: str) -> list[tuple[TenantEntry, DeviceEntry]]:
        """The devices that this connection can be."""
        found = ((tenant, one) for tenant in self.tenants.values() for one in tenant.devices)
        return [(tenant, one) for tenant, one in found if one.is_it(address, certificate)]

    def expects(self, address: Address) -> bool:
        """Whether mail may come from there without a sign-in."""
        return bool(self.tenants_of(address) or self.proofs_of(address) or self.devices_of(address, ""))


def write(path: Path, payload: str, signature: bytes) -> None:
    """Replace the snapshot file by rename, with what the keyholder signed, unchanged."""
    fresh = path.with_name(path.name + ".new")
    text = json.dumps({"payload": payload, "signature": base64.b64encode(signature).decode("ascii")})
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    os.replace(fresh, path)
    sync_folder(path.parent)


def parse(payload: str) -> Snapshot:
    """The snapshot that this text says. ValueError for a shape that the keyholder does not write."""
    try:
        value = json.loads(payload)
        tenants: dict[str, TenantEntry] = {}
        by_domain: dict[str, str] = {}
        users: dict[str, list[SubmissionUser]] = {}
        for one in value["tenants"]:
            entry = _tenant(one)
            tenants[entry.id] = entry
            for domain in entry.domains:
                if by_domain.setdefault(domain, entry.id) != entry.id:
                    raise ValueError("a domain of two tenants")
            for user in one.get("users", ()):
                users.setdefault(str(user["username"]).casefold(), []).append(
                    SubmissionUser(
                        tenant=entry.id,
                        user=str(user["user"]),
                        username=str(user["username"]),
                        salt=base64.b64decode(user["salt"], validate=True),
                        verifier=base64.b64decode(user["verifier"], validate=True),
                    )
                )
        return Snapshot(
            node=str(value["node"]),
            serial=int(value["serial"]),
            time_us=int(value["time_us"]),
            tenants=tenants,
            by_domain=by_domain,
            users={name: tuple(found) for name, found in users.items()},
            epochs={int(one["epoch"]): _public(one["public"]) for one in value["epochs"]},
            extensions=frozenset(name.upper() for name, on in dict(value.get("extensions") or {}).items() if on),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("a snapshot of another shape") from error


def _tenant(value: dict[str, Any]) -> TenantEntry:
    limits = value.get("limits") or {}
    return TenantEntry(
        id=str(value["id"]),
        domains=frozenset(str(domain).lower().rstrip(".") for domain in value["domains"]),
        networks=tuple(ipaddress.ip_network(network, strict=False) for network in value["networks"]),
        max_message_bytes=int(limits.get("max_message_bytes") or 0),
        max_recipients=int(limits.get("max_recipients") or 0),
        devices=known.devices(value.get("devices")),
        shared=known.shared(value.get("shared")),
    )


def _public(text: str) -> bytes:
    public = base64.b64decode(text, validate=True)
    if len(public) != 32:
        raise ValueError("an epoch key of another length")
    return public


class SnapshotReader:
    """Keeps the newest acceptable snapshot. One thread.

    `serial_file` lies in smtp's own folder and remembers the highest serial over restarts. A serial may come again with
    the same content (a restart reads the file it read before), never with another.
    """

    def __init__(self, path: Path, keyholder_public: bytes, node: str, serial_file: Path) -> None:
        self._path = path
        self._public = keyholder_public
        self._node = node
        self._serial_file = serial_file
        self._seen: tuple[int, int, int] | None = None
        self._snapshot: Snapshot | None = None
        self._serial, self._digest = self._remembered()
        self.refused = 0

    def current(self, now_us: int) -> Snapshot:
        """The snapshot in force, read again when the file changed.

        Raises TryLater when there is none, or none newer than 15 minutes (it is renewed every minute).
        """
        self._refresh()
        snapshot = self._snapshot
        if snapshot is None:
            raise TryLater("no snapshot")
        if abs(now_us - snapshot.time_us) > MAX_AGE_US:
            raise TryLater("the snapshot is too old")
        return snapshot

    def _refresh(self) -> None:
        try:
            stat = os.stat(self._path)
        except OSError:
            return
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._seen:
            return
        try:
            self._snapshot = self._load()
        except OSError:
            _log.error("snapshot:unreadable")  # looked at again next time
            return
        except Tampered as error:
            self.refused += 1
            _log.error("snapshot:refused", reason=error.detail, count=self.refused)
        self._seen = seen

    def _load(self) -> Snapshot:
        with open(self._path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        try:
            value = json.loads(content)
            payload = value["payload"].encode("utf-8")
            verify_signature(self._public, base64.b64decode(value["signature"], validate=True), LABEL, payload)
            snapshot = parse(payload.decode("utf-8"))
        except SealBroken as error:
            raise Tampered("bad signature") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Tampered("not a snapshot") from error
        if snapshot.node != self._node:
            raise Tampered("another node's snapshot")
        digest = hashlib.sha256(payload).hexdigest()
        if snapshot.serial < self._serial or (snapshot.serial == self._serial and self._digest not in ("", digest)):
            raise Tampered("a serial that was used before")
        if snapshot.serial > self._serial:
            self._remember(snapshot.serial, digest)
        return snapshot

    def _remembered(self) -> tuple[int, str]:
        try:
            serial, digest = self._serial_file.read_text("ascii").split()
            return int(serial), digest
        except FileNotFoundError:
            return 0, ""
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{self._serial_file} cannot be read; it guards against an old snapshot") from error

    def _remember(self, serial: int, digest: str) -> None:
        fresh = self._serial_file.with_name(self._serial_file.name + ".new")
        with open(fresh, "w", encoding="ascii") as file:
            file.write(f"{serial} {digest}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._serial_file)
        sync_folder(self._serial_file.parent)  # or a power cut brings the lower serial back
        self._serial, self._digest = serial, digest
