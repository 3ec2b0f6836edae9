"""What is sealed while the detector still looks: it is the object of its message, or nothing at all."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.actions.copies import NotEditable
from gateway.bench import letters
from gateway.errors import TryLater
from gateway.flow import beforehand
from gateway.flow.beforehand import Beforehand
from gateway.flow.isolate import Ahead
from gateway.flow.treat import Piece
from gateway.policy import Decision
from gateway.spool.item import Entry
from gateway.store import schema
from gateway.vault import Vault
from keys.derive import object_key, object_share
from tests.support.flow import TENANT, World
from tests.support.spool import eventually
from tests.unit.detect import samples

REPORT = letters.report(pages=3, bytes_wanted=20_000)
MENU = samples.pdf("Menu: soup and bread")


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beforehand, "LEAST_BYTES", 1)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The threads that seal beforehand, as they are begun; at the end all of them are over."""
    found: list[threading.Thread] = []

    class Seen(threading.Thread):
        def start(self) -> None:
            found.append(self)
            super().start()

    monkeypatch.setattr(beforehand.threading, "Thread", Seen)
    yield found
    for one in found:
        one.join(60)
        assert not one.is_alive()


def letter(world: World, file: bytes, *recipients: str) -> Entry:
    body = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nThe file is attached.\r\n--b\r\nContent-Type: application/pdf\r\n"
        b"Content-Disposition: attachment; filename=report.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(file).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )
    head = b"From: amy@clinic.test\r\nSubject: a word\r\nMessage-ID: <one@clinic.test>\r\nMIME-Version: 1.0\r\n"
    return world.spool(body, *recipients, head=head + b'Content-Type: multipart/mixed; boundary="b"\r\n')


def blobs(world: World) -> list[str]:
    folder = Path(world.vault._blobs._root)  # type: ignore[attr-defined]
    return sorted(one.name for one in folder.glob("??/*"))


def objects(world: World) -> list[Any]:
    with world.store.reading() as conn:
        return list(conn.execute(select(schema.objects)).mappings())


def seen_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    pieces: list[Piece] = []
    treat = world.treatment.treat
    monkeypatch.setattr(world.treatment, "treat", lambda piece: pieces.append(piece) or treat(piece))
    return pieces


def opened(world: World, piece: Piece, row: Any) -> bytes:
    """The object, opened with what only its message's seal knows."""
    seal = piece.beforehand.seal if piece.beforehand else None
    assert seal is not None
    ids = {"tenant": TENANT, "message": row["message"], "object_id": row["id"]}
    key = object_key(seal._mk, object_share(seal._share, **ids), **ids, kind=row["kind"])
    with world.vault.open(
        key, tenant=TENANT, object_id=row["id"], kind=row["kind"], blob=row["blob"], header_tag=row["header_tag"],
        sealed_bytes=row["sealed_bytes"],
    ) as reader:  # fmt: skip
        return b"".join(reader.read())


def test_a_report_is_sealed_while_it_is_looked_at_and_is_the_object_of_its_message(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = seen_pieces(world, monkeypatch)
    world.flow.process(letter(world, REPORT))
    (row,) = objects(world)
    assert len(begun) == 1
    assert blobs(world) == [row["blob"]]
    assert opened(world, pieces[0], row) == REPORT
    (deposit,) = world.keyholder.deposits
    assert [one.id for one in deposit.objects] == [row["id"]]
    assert deposit.message == row["message"] == pieces[0].prepared.message["id"]
    assert deposit.expires_us == pieces[0].prepared.message["expires_at"] == pieces[0].prepared.grants[0]["expires_at"]
    world.deliver()
    assert world.smarthost.times("b@example.test") == 1


def test_nothing_is_begun_for_what_leaves_nobodys_copy(world: World, begun: list[threading.Thread]) -> None:
    world.flow.process(letter(world, REPORT, "ben@clinic.test"))
    world.flow.process(letter(world, MENU, "b@example.test"))
    assert (begun, blobs(world)) == ([], [])


def test_what_was_begun_in_vain_is_removed(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ahead, "likely", lambda self: True)
    world.flow.process(letter(world, MENU))
    assert len(begun) == 1
    eventually(lambda: blobs(world) == [])
    world.deliver()
    assert world.smarthost.times("b@example.test") == 1
    assert objects(world) == []


def test_what_was_begun_is_removed_when_its_message_must_be_tried_again(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(piece: Piece) -> None:
        raise TryLater("the keyholder is away")

    entry = letter(world, REPORT)
    with monkeypatch.context() as patch:
        patch.setattr(world.treatment, "treat", fails)
        with pytest.raises(TryLater):
            world.flow.process(entry)
    eventually(lambda: blobs(world) == [])
    world.flow.process(entry, again=True)
    assert [row["blob"] for row in objects(world)] == blobs(world)
    assert len(begun) == 2


def test_a_crash_between_seal_and_transaction_leaves_a_blob_that_is_swept_up_and_one_object_afterwards(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(piece: Piece) -> None:
        begun[0].join(60)  # the blob is durable, and nothing else is
        raise TryLater("as if the process were gone")

    entry = letter(world, REPORT)
    with monkeypatch.context() as patch:
        patch.setattr(world.treatment, "treat", dies)
        patch.setattr(Beforehand, "__exit__", lambda *_: None)
        with pytest.raises(TryLater):
            world.flow.process(entry)
    assert (len(blobs(world)), objects(world), world.keyholder.deposits) == (1, [], [])
    world.flow.process(entry, again=True)
    (row,) = objects(world)
    assert world.vault.sweep(lambda names: {row["blob"]}, world.clock.now() + timedelta(days=400)) == 1
    assert blobs(world) == [row["blob"]]


def test_a_vault_that_fails_beforehand_fails_the_message_before_anything_is_named(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise TryLater("vault write: no space")

    entry = letter(world, REPORT)
    with monkeypatch.context() as patch:
        patch.setattr(Vault, "seal", fails)
        with pytest.raises(TryLater):
            world.flow.process(entry)
        assert len(begun) == 1
    assert (world.keyholder.deposits, objects(world)) == ([], [])
    world.flow.process(entry, again=True)
    assert len(objects(world)) == 1


def test_a_message_that_cannot_be_edited_is_sealed_anew_and_the_rest_is_swept_up(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    secured, calls = world.copies.secured, 0

    def once(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise NotEditable("the message cannot be edited")
        return secured(*given, **more)

    monkeypatch.setattr(world.copies, "secured", once)
    world.flow.process(letter(world, REPORT))
    (row,) = objects(world)
    assert row["kind"] == "original"
    first, second = world.keyholder.deposits
    assert first.message != second.message == row["message"]
    assert len(blobs(world)) == 2
    assert world.vault.sweep(lambda names: {row["blob"]}, world.clock.now() + timedelta(days=400)) == 1
    assert blobs(world) == [row["blob"]]


def test_a_guess_that_fails_fails_no_message(
    world: World, begun: list[threading.Thread], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> bool:
        raise ValueError("a policy with a fault")

    monkeypatch.setattr(world.treatment, "beforehand", lambda tenant, _wanted: Beforehand(
        world.vault, world.clock, tenant, fails
    ))  # fmt: skip
    world.flow.process(letter(world, REPORT))
    assert (begun, len(objects(world))) == ([], 1)


def test_an_object_of_another_kind_is_not_taken_for_it(world: World) -> None:
    with Beforehand(world.vault, world.clock, TENANT, lambda *_: True) as one:
        one._begin((2,), b"bytes")
        made = one.take((2,))
        assert made is not None
        assert one.take((2,)) is None
        assert one.seal is not None
        with pytest.raises(ValueError, match="another kind"):
            one.seal.add("original", "", "text/plain", [], made=made)


def test_nothing_is_begun_for_what_an_officer_lets_go_as_it_is(world: World, begun: list[threading.Thread]) -> None:
    entry = letter(world, REPORT)
    with world.incoming.open(entry) as item:
        message = world.flow.parse(item.source)
        as_is = Decision("as-is", frozenset(), False, "released", "built-in", ())
        world.flow.making.piece(world.view, item.envelope, item.source, message, b"key", adjust=lambda decision: as_is)
    assert (begun, blobs(world)) == ([], [])
