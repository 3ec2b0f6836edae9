"""May mail be taken now, and from whom? Decided from the snapshot, the worker's health and the disk.

Promises: without a fresh health file, a valid snapshot, a key for this epoch and room on the disk nothing is taken;
who is neither signed in nor in a tenant's own network sends nothing; nobody sends from a domain that is not their
tenant's; a network shared with strangers admits nobody before the header has proved whose mail it is (`smtp/proof.py`).
DESIGN §2 "Snapshot", §7.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import TryLater
from gateway.mail import returned
from gateway.mail.address import domain_of
from gateway.smtp import replies
from gateway.smtp.replies import Reply
from gateway.spool import health
from gateway.spool.envelope import Identity
from gateway.spool.known import Address, DeviceEntry, SharedEntry
from gateway.spool.snapshot import Snapshot, SnapshotReader, SubmissionUser, TenantEntry

_LOOK_AGAIN_SECONDS = 0.25


class Gate:
    """Looks at most four times a second. Asked by the event loop, and by the threads that finish large items."""

    def __init__(
        self, snapshots: SnapshotReader, health_file: Path, spool: Path, clock: Clock, free_disk_bytes: int
    ) -> None:
        self._snapshots = snapshots
        self._health_file = health_file
        self._spool = spool
        self._clock = clock
        self._free_disk_bytes = free_disk_bytes
        self._lock = threading.Lock()
        self._next = 0.0
        self._found: Snapshot | str = "not looked yet"

    def snapshot(self) -> Snapshot:
        """The snapshot by which mail may be taken now. Raises TryLater with the reason as a machine word."""
        with self._lock:
            now = time.monotonic()
            if now >= self._next:
                self._next = now + _LOOK_AGAIN_SECONDS
                self._found = self._look()
            found = self._found
        if isinstance(found, str):
            raise TryLater(found)
        return found

    def extensions(self) -> frozenset[str]:
        """What the smarthost is known to take; nothing while we know nothing."""
        try:
            return self.snapshot().extensions
        except TryLater:
            return frozenset()

    def epoch_public(self) -> tuple[int, bytes]:
        """For the spool writer: this hour's epoch and key. Raises TryLater."""
        return self.snapshot().epoch_public(self._clock.now_us())

    def _look(self) -> Snapshot | str:
        now_us = self._clock.now_us()
        sign = health.read(self._health_file, now_us)
        if not sign.ok:
            return sign.reason or "unhealthy"
        try:
            snapshot = self._snapshots.current(now_us)
            snapshot.epoch_public(now_us)
        except TryLater as error:
            return error.detail.replace(" ", "-")
        try:
            disk = os.statvfs(self._spool)
        except OSError:
            return "spool-missing"
        if disk.f_bavail * disk.f_frsize < self._free_disk_bytes or (disk.f_files and not disk.f_favail):
            return "disk-full"
        return snapshot


def client_address(peer: str) -> Address | None:
    """The address of a connection; an IPv4 one that came mapped into IPv6 as what it is."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@dataclass(frozen=True, slots=True)
class Pending:
    """Whose mail it is, its header will prove: one of these clinics, or nobody."""

    candidates: tuple[tuple[TenantEntry, SharedEntry], ...]


Admitted = tuple[TenantEntry, Identity]


def known(
    snapshot: Snapshot, address: Address | None, login: SubmissionUser | None, certificate: str = ""
) -> tuple[str, str | None] | None:
    """Tenant and user of a client whose mail was refused, for that tenant's log; None for a stranger."""
    if login is not None:
        return login.tenant, login.user
    found = {tenant.id for tenant, _ in snapshot.devices_of(address, certificate)}
    if address is not None:
        found |= {tenant.id for tenant in snapshot.tenants_of(address)}
        found |= {tenant.id for tenant, _ in snapshot.proofs_of(address)}
    return (found.pop(), None) if len(found) == 1 else None


def admit_report(snapshot: Snapshot, hosts: Mapping[str, str], address: str) -> TenantEntry | None:
    """The clinic whose return path this recipient could be, for a report from a stranger; None when it is none's.

    Whether the address was made up is the worker's to see: this process has no key that could tell.
    """
    found = returned.parts(address)
    domain = hosts.get(found[2]) if found is not None else None
    return snapshot.tenants.get(snapshot.by_domain.get(domain or "", ""))


def admit(
    snapshot: Snapshot, address: Address | None, login: SubmissionUser | None, mail_from: str, *, login_required: bool,
    certificate: str = "",
) -> Admitted | Pending | Reply:  # fmt: skip
    """For which tenant, and as whom, this client sends from `mail_from`; or the refusal. `certificate` is the SHA-256
    of the one it proved to have, in hexadecimal.
    """
    domain = domain_of(mail_from) if mail_from else ""
    if login is not None:
        tenant = snapshot.tenants.get(login.tenant)
        # Signed in an hour ago says nothing of now: whoever was disabled since sends no more on an open connection.
        if tenant is None or login not in snapshot.users.get(login.username.casefold(), ()):
            return replies.LOGIN_REQUIRED
        if domain and domain not in tenant.domains:
            return replies.NOT_YOUR_DOMAIN
        for of, device in snapshot.devices_of(address, certificate):
            if of is tenant and device.may_send(mail_from):  # a scanner with a password is a scanner all the same
                return tenant, Identity("device", login.user, device.name)
        return tenant, Identity("app-password", login.user, login.username)
    devices = snapshot.devices_of(address, certificate)
    if login_required:
        devices = [one for one in devices if one[1].certificates]
        if not devices:
            return replies.LOGIN_REQUIRED
    if devices:
        return _device(devices, mail_from, domain)
    trusted = snapshot.tenants_of(address) if address is not None else []
    pending = [] if trusted or address is None else snapshot.proofs_of(address)
    if not trusted and not pending:
        return replies.NOT_AUTHORISED
    if domain:
        trusted = [tenant for tenant in trusted if domain in tenant.domains]
        pending = [one for one in pending if domain in one[0].domains]
        if not trusted and not pending:
            return replies.NOT_YOUR_DOMAIN
    if any(_reserved(tenant, mail_from) for tenant in (*trusted, *(one[0] for one in pending))):
        return replies.NOT_ITS_ADDRESS
    if pending:
        return Pending(tuple(pending))
    if len(trusted) > 1:
        return replies.AMBIGUOUS
    return trusted[0], Identity("network")


def _device(found: list[tuple[TenantEntry, DeviceEntry]], mail_from: str, domain: str) -> Admitted | Reply:
    """The device among those that the connection can be; one that showed its certificate before one that has none."""
    fits = [one for one in found if one[1].may_send(mail_from) and (not domain or domain in one[0].domains)]
    fits = [one for one in fits if one[1].certificates] or fits
    if not fits:
        return replies.NOT_ITS_ADDRESS
    if len(fits) > 1:
        return replies.AMBIGUOUS
    tenant, device = fits[0]
    return tenant, Identity("certificate" if device.certificates else "device", None, device.name)


def _reserved(tenant: TenantEntry, mail_from: str) -> bool:
    """Whether only a certificate may send from that address, in whichever way it is written."""
    local = mail_from.rpartition("@")[0]
    if len(local) > 1 and local.startswith('"'):  # RFC 5321 4.1.2: quotes and backslashes are no part of the name
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    address = f"{local.lower()}@{domain_of(mail_from)}"
    return any(one.certificates and address in one.senders for one in tenant.devices)
