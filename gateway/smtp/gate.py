"""May mail be taken now, and from whom? Decided from the snapshot, the worker's health and the disk.

Promises: without a fresh health file, a valid snapshot, a key for this epoch and room on the disk nothing is taken;
who is neither signed in nor in a tenant's own network sends nothing; nobody sends from a domain that is not their
tenant's. DESIGN §2 "Snapshot", §7. A network shared with strangers never stands in a snapshot.
"""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.clock import Clock
from gateway.errors import TryLater
from gateway.mail import returned
from gateway.smtp import replies
from gateway.smtp.replies import Reply
from gateway.spool import health
from gateway.spool.envelope import Identity
from gateway.spool.snapshot import Address, Snapshot, SnapshotReader, SubmissionUser, TenantEntry

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


def domain_of(address: str) -> str:
    """The domain of an address in lower case and A-labels; empty for the null sender."""
    domain = address.rpartition("@")[2].lower().rstrip(".")
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def known(snapshot: Snapshot, address: Address | None, login: SubmissionUser | None) -> tuple[str, str | None] | None:
    """Tenant and user of a client whose mail was refused, for that tenant's log; None for a stranger."""
    if login is not None:
        return login.tenant, login.user
    trusted = snapshot.tenants_of(address) if address is not None else []
    return (trusted[0].id, None) if len(trusted) == 1 else None


def admit_report(snapshot: Snapshot, hosts: Mapping[str, str], address: str) -> TenantEntry | None:
    """The clinic whose return path this recipient could be, for a report from a stranger; None when it is none's.

    Whether the address was made up is the worker's to see: this process has no key that could tell.
    """
    found = returned.parts(address)
    domain = hosts.get(found[2]) if found is not None else None
    return snapshot.tenants.get(snapshot.by_domain.get(domain or "", ""))


def admit(
    snapshot: Snapshot, address: Address | None, login: SubmissionUser | None, mail_from: str, *, login_required: bool
) -> tuple[TenantEntry, Identity] | Reply:
    """For which tenant, and as whom, this client sends from `mail_from`; or the refusal."""
    domain = domain_of(mail_from) if mail_from else ""
    if login is not None:
        tenant = snapshot.tenants.get(login.tenant)
        # Signed in an hour ago says nothing of now: whoever was disabled since sends no more on an open connection.
        if tenant is None or login not in snapshot.users.get(login.username.casefold(), ()):
            return replies.LOGIN_REQUIRED
        if domain and domain not in tenant.domains:
            return replies.NOT_YOUR_DOMAIN
        return tenant, Identity("app-password", login.user, login.username)
    if login_required:
        return replies.LOGIN_REQUIRED
    trusted = snapshot.tenants_of(address) if address is not None else []
    if not trusted:
        return replies.NOT_AUTHORISED
    if domain:
        trusted = [tenant for tenant in trusted if domain in tenant.domains]
        if not trusted:
            return replies.NOT_YOUR_DOMAIN
    if len(trusted) > 1:
        return replies.AMBIGUOUS
    return trusted[0], Identity("network")
