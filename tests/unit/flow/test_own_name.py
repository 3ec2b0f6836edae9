"""A notice names a person only where that person signed in: From alone is a claim. A stranger's is no clinic's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.actions.copies import in_own_name
from gateway.actions.signing import Signer
from gateway.flow.judging import own_name
from gateway.mail.dkim import ED25519, Key
from gateway.mail.scan import Scanner
from gateway.spool.envelope import POSTMASTER, Identity
from tests.support.flow import World
from tests.support.spool import Keyring

AMY = Identity("app-password", "usr_amy", "amy@clinic.test")


@pytest.mark.parametrize(
    ("fields", "identity", "own"),
    [
        (b"From: Amy <Amy@Clinic.test>\r\n", AMY, True),
        (b"From: Dr. Bell <bell@clinic.test>\r\n", AMY, False),
        (b"From: amy@clinic.test, Dr. Bell <bell@clinic.test>\r\n", AMY, False),
        (b"From: amy@clinic.test\r\nFrom: Dr. Bell <bell@clinic.test>\r\n", AMY, False),
        (b'From: "amy@clinic.test" <bell@clinic.test>\r\n', AMY, False),
        (b"", AMY, False),
        (b"From: amy@clinic.test\r\n", Identity("network"), False),
        (b"From: amy@clinic.test\r\n", Identity("app-password", "usr_amy"), False),
    ],
    ids=["own", "another", "both", "twice", "in-the-name", "none", "network", "account-without-address"],
)
def test_only_who_signed_in_is_named(fields: bytes, identity: Identity, own: bool) -> None:
    scanner = Scanner()
    scanner.feed(fields + b"To: b@example.test\r\n\r\nhello\r\n")
    assert in_own_name(replace(Keyring().envelope(), identity=identity), scanner.close()) is own


STRANGER = b"From: Pat <pat@example.test>\r\nSubject: x\r\n"
FORGERIES = {
    "own": b"From: The director <boss@clinic.test>\r\nSubject: x\r\n",
    "below": b"From: boss@mail2.clinic.test\r\n",
    "portal": b"From: postmaster@mail.clinic.test\r\n",
    "case": b"From: boss@CLINIC.Test\r\n",
    "one-of-two": b"From: pat@example.test, boss@clinic.test\r\n",
    "second-field": b"From: pat@example.test\r\nFrom: boss@clinic.test\r\n",
    "sender": b"From: pat@example.test\r\nSender: boss@clinic.test\r\n",
    "nobody": b"Subject: x\r\n",
    "unreadable": b"From: boss\r\n",
}


def to_postmaster(world: World, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    """A stranger's mail to postmaster, as smtp spools it, goes its way."""
    before = world.ring.envelope
    monkeypatch.setattr(world.ring, "envelope", lambda *given: replace(before(*given), identity=Identity(POSTMASTER)))
    world.flow.process(world.spool(b"hello", "office@clinic.test", sender="", head=head))
    world.deliver()


@pytest.mark.parametrize("head", FORGERIES.values(), ids=list(FORGERIES))
def test_a_stranger_writes_to_postmaster_in_nobodys_name_of_the_clinic(
    world: World, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    to_postmaster(world, monkeypatch, head)
    assert world.smarthost.attempts == []
    assert world.actions().count("message:returned") == 1


def test_a_stranger_writes_to_postmaster_in_their_own_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    to_postmaster(world, monkeypatch, STRANGER)
    assert world.smarthost.attempts[0][1].endswith(STRANGER + b"\r\nhello")


def test_what_a_stranger_wrote_is_never_signed_in_the_clinics_name(world: World) -> None:
    key = Key("s1", ED25519, lambda digest: bytes(64))
    world.copies._signer = Signer({world.view.id: (key,)}, world.clock.now_us)
    data = [b"From: boss@clinic.test\r\n\r\nhello\r\n"]
    for kind, signed in ((POSTMASTER, False), ("network", True)):
        envelope = replace(world.ring.envelope(), queue=world.clock.new_id("spl"), identity=Identity(kind))
        copy = world.copies.write(envelope, data).result(30)
        world.outgoing.look()
        entry = world.outgoing.entry(copy)
        assert entry is not None
        with world.outgoing.open(entry) as item:
            assert (b"DKIM-Signature" in item.source.read(0, item.source.size)) is signed


@pytest.mark.parametrize(("domain", "own"), [("clinic.test", True), ("clinic.test.evil.test", False)])
def test_a_name_that_merely_begins_like_the_clinics_is_not_its_own(world: World, domain: str, own: bool) -> None:
    scanner = Scanner()
    scanner.feed(f"From: x@{domain}\r\n\r\nhello\r\n".encode())
    assert own_name(world.view, scanner.close()) is own
