"""When mail is taken, and from whom."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import TryLater
from gateway.smtp import auth, replies
from gateway.smtp.gate import Gate, admit, client_address
from gateway.spool import health, snapshot
from gateway.spool.snapshot import SnapshotReader, SubmissionUser, parse
from tests.support.spool import HOUR_US, NODE, TENANT, Keyring, fresh, tenant, write_signs

OTHER = "tnt_0000000000000002"


@pytest.fixture
def ring() -> Keyring:
    return Keyring()


def gate(ring: Keyring, tmp_path: Path, free_disk_bytes: int = 1) -> Gate:
    if not (tmp_path / "in").exists():
        fresh(tmp_path / "in")
    reader = SnapshotReader(tmp_path / "snapshot.json", ring.root.public, NODE, tmp_path / "serial")
    return Gate(reader, tmp_path / "health.json", tmp_path / "in", ring.clock, free_disk_bytes)


def test_mail_is_taken_when_all_is_well(ring: Keyring, tmp_path: Path) -> None:
    write_signs(tmp_path, ring)
    assert gate(ring, tmp_path).snapshot().node == NODE
    assert gate(ring, tmp_path).epoch_public() == ring.public()


def test_silent_worker_means_later(ring: Keyring, tmp_path: Path) -> None:
    write_signs(tmp_path, ring)
    ring.clock.ahead_us += 5_100_000
    with pytest.raises(TryLater, match="worker-silent"):
        gate(ring, tmp_path).snapshot()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no-health-file"),
        (b"", "unreadable"),
        (b'{"v":1}', "unreadable"),
        (b"[]", "unreadable"),
        (b"\xff", "unreadable"),
    ],
)
def test_health_file_that_cannot_be_read_means_later(
    ring: Keyring, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    write_signs(tmp_path, ring)
    (tmp_path / "health.json").unlink()
    if content is not None:
        (tmp_path / "health.json").write_bytes(content)
    with pytest.raises(TryLater, match=reason):
        gate(ring, tmp_path).snapshot()


def test_health_of_the_future_and_unwell_mean_later(ring: Keyring, tmp_path: Path) -> None:
    write_signs(tmp_path, ring)
    health.write(tmp_path / "health.json", health.Health(ring.clock.now_us() + 10_000_000, True))
    with pytest.raises(TryLater, match="worker-silent"):
        gate(ring, tmp_path).snapshot()
    health.write(tmp_path / "health.json", health.Health(ring.clock.now_us(), False, "log"))
    with pytest.raises(TryLater, match="log"):
        gate(ring, tmp_path).snapshot()


def test_no_snapshot_an_old_one_and_one_without_this_epoch_mean_later(ring: Keyring, tmp_path: Path) -> None:
    write_signs(tmp_path, ring)
    (tmp_path / "snapshot.json").unlink()
    with pytest.raises(TryLater, match="no-snapshot"):
        gate(ring, tmp_path).snapshot()
    write_signs(tmp_path, ring, time_us=ring.clock.now_us() - snapshot.MAX_AGE_US - 1_000_000)
    with pytest.raises(TryLater, match="too-old"):
        gate(ring, tmp_path).snapshot()
    write_signs(tmp_path, ring, epochs=[])
    with pytest.raises(TryLater, match="epoch"):
        gate(ring, tmp_path).snapshot()


def test_full_disk_and_missing_spool_mean_later(ring: Keyring, tmp_path: Path) -> None:
    write_signs(tmp_path, ring)
    with pytest.raises(TryLater, match="disk-full"):
        gate(ring, tmp_path, free_disk_bytes=1 << 60).snapshot()
    (tmp_path / "in").rename(tmp_path / "away")
    reader = SnapshotReader(tmp_path / "snapshot.json", ring.root.public, NODE, tmp_path / "serial")
    with pytest.raises(TryLater, match="spool-missing"):
        Gate(reader, tmp_path / "health.json", tmp_path / "in", ring.clock, 1).snapshot()


def test_lower_serial_is_refused_also_after_a_restart(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    old, new = ring.snapshot(), ring.snapshot()

    def reader() -> SnapshotReader:
        return SnapshotReader(path, ring.root.public, NODE, tmp_path / "serial")

    first = reader()
    snapshot.write(path, *new)
    assert first.current(ring.clock.now_us()).serial == 2
    snapshot.write(path, *old)
    assert first.current(ring.clock.now_us()).serial == 2  # the last good one stays in force
    assert first.refused == 1
    with pytest.raises(TryLater):
        reader().current(ring.clock.now_us())
    snapshot.write(path, *new)
    assert reader().current(ring.clock.now_us()).serial == 2  # the same again is no step back
    ring.serial = 1
    snapshot.write(path, *ring.snapshot(tenants=[]))
    with pytest.raises(TryLater):
        reader().current(ring.clock.now_us())


def test_snapshot_of_another_signer_node_or_with_one_changed_byte_is_refused(ring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    payload, signature = ring.snapshot()
    stranger = Keyring(clock=ring.clock)
    bad = [
        (payload.replace("clinic.test", "evil00.test"), signature),
        (payload, bytes((signature[0] ^ 1,)) + signature[1:]),
        (payload, b""),
        stranger.snapshot(),
        ring.snapshot(node="node-2"),
    ]
    for wrong in bad:
        snapshot.write(path, *wrong)
        reader = SnapshotReader(path, ring.root.public, NODE, tmp_path / "serial")
        with pytest.raises(TryLater):
            reader.current(ring.clock.now_us())
        assert reader.refused == 1
    path.write_bytes(b"\x00")
    with pytest.raises(TryLater):
        SnapshotReader(path, ring.root.public, NODE, tmp_path / "serial").current(ring.clock.now_us())
    snapshot.write(path, payload, signature)
    reader = SnapshotReader(path, ring.root.public, NODE, tmp_path / "serial")
    assert reader.current(ring.clock.now_us()).by_domain["clinic.test"] == TENANT


def test_epoch_key_changes_with_the_hour(ring: Keyring, tmp_path: Path) -> None:
    text, _ = ring.snapshot()
    value = parse(text)
    now_us = ring.clock.now_us()
    first, second = value.epoch_public(now_us), value.epoch_public(now_us + HOUR_US)
    assert second[0] == first[0] + 1
    assert first[1] != second[1]
    with pytest.raises(TryLater):
        value.epoch_public(now_us + 2 * HOUR_US)


@pytest.fixture
def two(ring: Keyring) -> snapshot.Snapshot:
    """Two tenants that share one network; the first has another of its own."""
    text, _ = ring.snapshot(
        tenants=[
            tenant(networks=("192.0.2.0/25", "203.0.113.7")),
            tenant(networks=("203.0.113.0/24", "2001:db8::/48"), id=OTHER, domains=["practice.test"]),
        ]
    )
    return parse(text)


def ask(two: snapshot.Snapshot, address: str, sender: str, login: SubmissionUser | None = None, required: bool = False):
    answer = admit(two, client_address(address), login, sender, login_required=required)
    return answer if isinstance(answer, replies.Reply) else (answer[0].id, answer[1].kind)


@pytest.mark.parametrize(
    ("address", "sender", "expected"),
    [
        ("192.0.2.9", "a@clinic.test", (TENANT, "network")),
        ("::ffff:192.0.2.9", "a@clinic.test", (TENANT, "network")),
        ("192.0.2.9", "a@CLINIC.test", (TENANT, "network")),
        ("192.0.2.9", "a@praxis-münchen.test", (TENANT, "network")),
        ("192.0.2.9", "", (TENANT, "network")),
        ("192.0.2.9", "a@practice.test", replies.NOT_YOUR_DOMAIN),
        ("192.0.2.9", "a@clinic.test.evil.test", replies.NOT_YOUR_DOMAIN),
        ("192.0.2.9", "clinic.test@evil.test", replies.NOT_YOUR_DOMAIN),
        ("192.0.2.200", "a@clinic.test", replies.NOT_AUTHORISED),
        ("198.51.100.1", "", replies.NOT_AUTHORISED),
        ("2001:db8::5", "a@practice.test", (OTHER, "network")),
        ("203.0.113.7", "a@clinic.test", (TENANT, "network")),
        ("203.0.113.7", "a@practice.test", (OTHER, "network")),
        ("203.0.113.7", "", replies.AMBIGUOUS),
        ("not an address", "a@clinic.test", replies.NOT_AUTHORISED),
    ],
)
def test_who_may_send_from_which_domain(two: snapshot.Snapshot, address: str, sender: str, expected: object) -> None:
    assert ask(two, address, sender) == expected
    assert ask(two, address, sender, required=True) == replies.LOGIN_REQUIRED


def test_signed_in_user_sends_for_their_own_tenant_from_anywhere(two: snapshot.Snapshot) -> None:
    user = SubmissionUser(TENANT, "usr_1", "scanner", b"", b"")
    disabled, two = two, replace(two, users={"scanner": (user,)})
    assert ask(disabled, "198.51.100.1", "a@clinic.test", user, True) == replies.LOGIN_REQUIRED
    assert ask(two, "198.51.100.1", "a@clinic.test", user, True) == (TENANT, "app-password")
    assert ask(two, "198.51.100.1", "", user, True) == (TENANT, "app-password")
    assert ask(two, "203.0.113.7", "a@practice.test", user) == replies.NOT_YOUR_DOMAIN
    gone = SubmissionUser("tnt_gone", "usr_1", "scanner", b"", b"")
    assert ask(two, "192.0.2.9", "a@clinic.test", gone) == replies.LOGIN_REQUIRED


def test_any_of_a_names_app_passwords_is_right_and_nothing_else(ring: Keyring) -> None:
    def entry(password: bytes, user: str) -> SubmissionUser:
        return SubmissionUser(TENANT, user, "Scan", b"salt", hashlib.sha256(b"salt" + password).digest())

    text, _ = ring.snapshot()
    base = parse(text)
    users = {"scan": (entry(b"one", "usr_1"), entry(b"two", "usr_2"))}
    with_users = snapshot.Snapshot(
        base.node, base.serial, base.time_us, base.tenants, base.by_domain, users, base.epochs, base.extensions
    )
    assert auth.check(with_users, "SCAN", b"one") == users["scan"][0]
    assert auth.check(with_users, "scan", b"two") == users["scan"][1]
    assert auth.check(with_users, "scan", b"three") is None
    assert auth.check(with_users, "nobody", b"one") is None
    assert auth.check(with_users, "nobody", b"") is None
    assert "salt" not in repr(users)


def test_address_of_a_client_is_read_strictly() -> None:
    assert client_address("fe80::1%eth0") == ipaddress.ip_address("fe80::1")
    assert client_address("") is None


def test_replies_are_ascii_lines_with_a_class_that_fits() -> None:
    for name in dir(replies):
        reply = getattr(replies, name)
        if isinstance(reply, replies.Reply):
            assert reply.line.endswith(b"\r\n")
            assert len(reply.line) < 512
            assert reply.enhanced[0] == str(reply.code)[0]
