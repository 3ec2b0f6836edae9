"""Steps 3 to 8 are safe to repeat: whatever fails, one message comes of one item, and effects keep their order."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import text

from gateway.actions.copies import NotEditable
from gateway.errors import NotFound, TryLater
from gateway.flow.outbound import Outbound
from gateway.mail.pieces import Edit, apply
from gateway.spool.item import Entry
from gateway.store import schema
from tests.support.flow import PHI, World

TRIES_BEFORE_HOLD = 3
HEAD = b"From: amy@clinic.test\r\nSubject: a word\r\nMessage-ID: <one@clinic.test>\r\n"


def fails(world: World, entry: Entry, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(TryLater):
            world.flow.process(entry)


@pytest.mark.parametrize("body", [b"lunch?", PHI])
@pytest.mark.parametrize("done", [False, True])
def test_item_whose_commit_was_reported_as_failed_is_delivered_once(world: World, body: bytes, done: bool) -> None:
    world.flow.process(world.spool(PHI))  # so that the person is known and the commit is the only one
    world.deliver()
    entry = world.spool(body)
    with world.commits_fail(1, done=done):
        fails(world, entry)
    world.flow.process(entry, again=True)
    world.due()
    assert world.count(schema.messages) == 2
    assert world.smarthost.times("b@example.test") == 2
    assert world.incoming.entry(entry.id) is None
    assert "message:duplicate" not in world.actions()


def test_item_that_was_committed_is_found_even_when_nobody_said_that_it_was_begun(world: World) -> None:
    entry = world.spool(b"lunch?")
    with world.commits_fail(1, done=True):
        fails(world, entry)
    world.flow.process(entry)
    assert world.incoming.entry(entry.id) is not None  # the original is what will be delivered
    world.due()
    assert world.smarthost.times("b@example.test") == 1


def test_senders_retry_makes_no_second_set_of_links(world: World) -> None:
    first, second = world.spool(PHI, head=HEAD), world.spool(PHI, head=HEAD)
    world.flow.process(first)
    world.flow.process(second)
    world.deliver()
    assert world.count(schema.messages) == 1
    assert world.smarthost.times("b@example.test") == 1
    assert world.actions().count("message:duplicate") == 1
    assert world.incoming.entry(second.id) is None


@pytest.mark.parametrize("table", ["messages", "deliveries"])
def test_a_mail_is_not_swallowed_as_a_retry_on_the_word_of_a_changed_row(world: World, table: str) -> None:
    first, second = world.spool(PHI, head=HEAD), world.spool(PHI, head=HEAD)
    world.flow.process(first)
    world.deliver()
    column = "rule" if table == "messages" else "treatment"
    world.store.run(lambda tx: tx.conn.execute(text(f"UPDATE {table} SET {column} = 'secure '")))
    world.flow.process(second)
    assert "message:duplicate" not in world.actions()
    assert world.actions().count("tamper:found") == 1
    assert world.count(schema.messages) == 2
    world.deliver()
    assert world.smarthost.times("b@example.test") == 2


@pytest.mark.parametrize(
    "other",
    [
        {"head": HEAD.replace(b"one@", b"two@")},
        {"recipients": ("c@example.test",)},
        {"sender": "bob@clinic.test"},
        {"body": PHI + b"."},
    ],
)
def test_mail_that_differs_is_no_retry(world: World, other: dict[str, Any]) -> None:
    given = {"body": PHI, "head": HEAD, "recipients": ()} | other
    for entry in (world.spool(PHI, head=HEAD), world.spool(given.pop("body"), *given.pop("recipients"), **given)):
        world.flow.process(entry)
    assert world.count(schema.messages) == 2


def test_two_tries_of_a_sender_worked_on_side_by_side_make_one_message(world: World) -> None:
    entries = [world.spool(PHI, head=HEAD) for _ in range(2)]
    together = threading.Barrier(2)
    treat = world.treatment.treat

    def meet(piece: Any) -> None:
        treat(piece)
        together.wait(10)  # both looked for an earlier one, and found none

    world.treatment.treat = meet  # type: ignore[method-assign]
    threads = [threading.Thread(target=world.flow.process, args=(entry,)) for entry in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.deliver()
    assert world.count(schema.messages) == 1
    assert world.smarthost.times("b@example.test") == 1
    assert [world.incoming.entry(entry.id) for entry in entries] == [None, None]


def test_nothing_is_begun_while_nothing_could_be_committed(world: World) -> None:
    entry = world.spool(PHI)
    world.store._trouble = "locked"
    fails(world, entry)
    assert world.keyholder.deposits == []
    world.outgoing.look()
    assert world.outgoing.waiting() == []
    world.store._trouble = ""
    world.flow.process(entry)
    assert len(world.keyholder.deposits) == 1


@pytest.mark.parametrize("part", ["parse", "assess"])
def test_mail_that_cannot_be_processed_is_held_whole_after_three_tries(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def broken(*given: Any) -> None:
        raise ValueError("words of the message")

    monkeypatch.setattr(
        *((Outbound, "parse", staticmethod(broken)) if part == "parse" else (world.isolated, "assess", broken))
    )
    entry = world.spool(PHI)
    fails(world, entry, TRIES_BEFORE_HOLD)
    assert world.count(schema.messages) == 0
    world.flow.process(entry)
    assert world.states()["b@example.test"] == "held"
    assert world.smarthost.times("b@example.test") == 0
    assert [one.kind for one in world.keyholder.deposits[0].objects] == ["original"]
    assert world.incoming.entry(entry.id) is None
    world.deliver()
    assert world.smarthost.times("amy@clinic.test") == 1  # the sender is told


def test_mail_whose_link_would_be_lost_is_held_and_not_sent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*given: Any, **more: Any) -> None:
        apply(10, [Edit(0, 8), Edit(3, 3, b"the link")])

    monkeypatch.setattr(world.copies, "secured", lost)
    entry = world.spool(PHI)
    fails(world, entry, TRIES_BEFORE_HOLD)
    world.flow.process(entry)
    world.deliver()
    assert world.states()["b@example.test"] == "held"
    assert world.smarthost.times("b@example.test") == 0


def test_neighbour_that_is_down_never_makes_mail_unprocessable(world: World) -> None:
    world.keyholder.trouble = TryLater("keyholder unavailable")
    entry = world.spool(PHI)
    fails(world, entry, TRIES_BEFORE_HOLD + 2)
    world.keyholder.trouble = None
    world.flow.process(entry)
    assert world.states() == {"b@example.test": "ready"}


def test_mail_that_the_rewriter_refuses_is_sealed_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = world.copies.secured

    def refuse(*given: Any, **more: Any) -> Any:
        if not more["whole_notice"]:
            raise NotEditable("cannot be edited")
        return sound(*given, **more)

    monkeypatch.setattr(world.copies, "secured", refuse)
    mail = (
        b"From: amy@clinic.test\r\nSubject: a word\r\nMessage-ID: <two@clinic.test>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n"
    )
    body = b"--b\r\n\r\nas asked\r\n--b\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\n%s\r\n--b--\r\n" % PHI
    world.flow.process(world.spool(body, head=mail))
    world.deliver()
    assert [one.kind for one in world.keyholder.deposits[-1].objects] == ["original"]
    ((_, sent),) = world.smarthost.attempts
    assert b"Oyelaran" not in sent
    assert world.count(schema.messages) == 1


def test_effects_come_in_their_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def note(owner: Any, name: str, word: str) -> None:
        sound = getattr(owner, name)

        def noted(*given: Any, **more: Any) -> Any:
            result = sound(*given, **more)
            order.append(word)
            return result

        monkeypatch.setattr(owner, name, noted)

    note(world.vault, "seal", "sealed")
    note(world.keyholder, "deposit", "deposited")
    note(world.copies, "write", "copy")
    note(world.records, "write", "committed")
    note(world.deliverer, "begin", "queued")
    note(world.incoming, "erase", "erased")
    world.flow.process(world.spool(PHI, "b@example.test", "c@example.test"))
    assert order == ["sealed", "deposited", "copy", "copy", "committed", "queued", "erased"]


def test_each_copy_holds_its_own_link_and_no_other(world: World) -> None:
    world.flow.process(world.spool(PHI, "b@example.test", "c@example.test"))
    world.deliver()
    links = [
        {word.rpartition(b"/m/")[2][:34] for word in sent.replace(b"=\r\n", b"").split() if b"/m/" in word}
        for _, sent in world.smarthost.attempts
    ]
    assert [len(found) for found in links] == [1, 1]
    assert not links[0] & links[1]


def test_mail_of_a_tenant_that_is_not_known_waits(world: World) -> None:
    entry = world.spool(b"lunch?")

    def unknown(id: str) -> Any:
        raise NotFound("no such tenant")

    world.flow._tenants = unknown
    fails(world, entry, TRIES_BEFORE_HOLD + 1)
    world.flow._tenants = world.tenant
    world.flow.process(entry)
    assert world.states() == {"b@example.test": "ready"}
