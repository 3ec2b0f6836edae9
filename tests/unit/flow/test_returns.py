"""A bounce that comes late marks the recipient and reaches the sender, once; nobody can make up where it goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from gateway import words
from gateway.courier.port import Deferred
from gateway.errors import TryLater
from gateway.flow.audience import Audience
from gateway.flow.posting import Poster
from gateway.flow.returns import ODD, ReturnPaths, Returns
from gateway.mail.scan import Scanner
from gateway.mail.source import BytesSource
from gateway.spool.envelope import Envelope, Identity, Recipient
from gateway.store import schema
from gateway.store.rows import Row
from tests.support.flow import PHI, World
from tests.support.mail_pieces import fields, file, mime, multi, text
from tests.support.spool import TENANT

REPORT = (
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n'
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"--b--\r\n"
)
PATIENT = "pat@example.test"


def returns(world: World) -> Returns:
    english = words.language("en")
    poster = Poster(world.copies, world.records, world.deliverer, world.clock, english, lambda tenant: "")
    return Returns(world.store, world.records, world.returner, world.clock, poster, Audience())


def delivered(world: World, sender: str = "amy@clinic.test") -> Row:
    """The delivery of a notice that the next hop took."""
    world.flow.process(world.spool(PHI, PATIENT, sender=sender))
    world.deliver()
    return row_of(world)


def row_of(world: World) -> Row:
    with world.store.reading() as conn:
        found = world.rows.find(conn, select(schema.deliveries).where(schema.deliveries.c.treatment == "secure"))
    return found[0]


def came(world: World, address: str, queue: str = "spl_1", *, sender: str = "", data: bytes = REPORT) -> None:
    """A mail to that address is worked on."""
    scanner = Scanner()
    scanner.feed(data)
    envelope = Envelope(TENANT, queue, sender, (Recipient(address),), Identity("returned"), 1, "node-1")
    assert returns(world).ours(world.view, envelope)
    returns(world).take(world.view, envelope, scanner.close(), BytesSource(data))


def test_only_a_notice_in_the_place_of_a_message_has_a_return_path(world: World) -> None:
    paths, used = ReturnPaths(world.directory), list[str]()
    world.deliverer._return_path = lambda tenant, delivery: paths.address(world.view, delivery)
    world.smarthost.before = lambda outbound: used.append(outbound.mail_from)
    row = delivered(world)
    world.flow.process(world.spool(b"lunch at noon?", "friend@example.test"))
    world.flow.process(world.spool(PHI, PATIENT, sender=""))
    world.deliver()
    assert used[0] == paths.address(world.view, row["id"])
    assert paths.delivery(world.view, used[0]) == row["id"]
    assert used[1:] == ["amy@clinic.test"]  # the mail without a sender is held


def test_a_mail_whose_attachments_were_sealed_keeps_its_senders_own_return_path(world: World) -> None:
    """Its bounces go to the sender, with headers alone (decision 0028)."""
    paths, used = ReturnPaths(world.directory), list[tuple[str, tuple[tuple[str, str], ...]]]()
    world.deliverer._return_path = lambda tenant, delivery: paths.address(world.view, delivery)
    world.smarthost.before = lambda outbound: used.append((outbound.mail_from, tuple(outbound.mail_params)))
    body = multi("mixed", text("See attached."), file("text/plain", "a.txt", PHI))
    head, _, rest = mime(fields("verp"), body).partition(b"\r\n\r\n")
    verp = "bounce-7=pat=example.test@clinic.test"
    world.flow.process(world.spool(rest, PATIENT, head=head + b"\r\n", sender=verp, params=(("RET", "FULL"),)))
    world.deliver()
    assert used == [(verp, (("RET", "HDRS"),))]
    assert world.states() == {PATIENT: "delivered"}


def test_a_bounce_marks_the_recipient_and_reaches_the_sender_once(world: World) -> None:
    row = delivered(world)
    address = ReturnPaths(world.directory).address(world.view, row["id"])
    came(world, address)
    came(world, address)  # the same item again, after a crash
    came(world, address.upper(), "spl_2")
    world.due()
    assert (row_of(world)["state"], row_of(world)["status"], row_of(world)["why"]) == ("bounced", "5.1.1", "late")
    assert world.smarthost.times("amy@clinic.test") == 1
    assert f"Final-Recipient: rfc822; {PATIENT}".encode() in world.smarthost.attempts[-1][1]
    assert world.actions().count("message:bounced") == 1
    assert world.actions().count("bounce:received") == 2


@pytest.mark.parametrize("done", [False, True])
def test_a_bounce_is_counted_once_though_its_commit_is_reported_as_failed(world: World, done: bool) -> None:
    address = ReturnPaths(world.directory).address(world.view, delivered(world)["id"])
    with world.commits_fail(1, done=done), pytest.raises(TryLater):
        came(world, address)
    came(world, address)
    world.due()
    assert world.actions().count("message:bounced") == 1
    assert world.smarthost.times("amy@clinic.test") == 1
    assert world.deliverer.sweep(world.clock.now_us() + 1) == (0 if done else 1)


def test_a_bounce_waits_until_the_delivery_that_it_speaks_of_is_settled(world: World) -> None:
    world.smarthost.answers[PATIENT] = Deferred("4.4.2", "timeout", unknown=True)
    row = delivered(world)
    address = ReturnPaths(world.directory).address(world.view, row["id"])
    with pytest.raises(TryLater):
        came(world, address)
    world.smarthost.answers.clear()
    world.due(timedelta(hours=1))
    came(world, address)
    assert row_of(world)["state"] == "bounced"


def test_who_asked_for_no_report_gets_none_and_the_mark_is_made_all_the_same(world: World) -> None:
    row = delivered(world)
    world.returner.write = lambda **given: None  # type: ignore[assignment, method-assign, misc]
    came(world, ReturnPaths(world.directory).address(world.view, row["id"]))
    assert row_of(world)["state"] == "bounced"
    assert world.count(schema.deliveries) == 1


@pytest.mark.parametrize("sender", ["somebody@example.test", "amy@clinic.test"])
def test_a_report_with_a_sender_is_believed_by_nobody(world: World, sender: str) -> None:
    row = delivered(world)
    came(world, ReturnPaths(world.directory).address(world.view, row["id"]), sender=sender)
    assert row_of(world)["state"] == "delivered"
    assert world.actions()[-1] == "bounce:received"


def test_an_address_that_was_made_up_or_is_another_clinics_marks_nobody(world: World) -> None:
    row = delivered(world)
    paths = ReturnPaths(world.directory)
    address = paths.address(world.view, row["id"])
    local, _, host = address.partition("@")
    forged = f"{local[:-1]}{'a' if local[-1] != 'a' else 'b'}@{host}"
    assert paths.delivery(world.view, address) == row["id"]
    assert paths.delivery(world.view, forged) == ""
    assert paths.delivery(world.view, f"{local}@elsewhere.test") is None
    assert paths.delivery(world.view, "amy@clinic.test") is None
    assert paths.delivery(replace(world.view, public_url="https://other.test"), address) is None
    came(world, forged)
    assert row_of(world)["state"] == "delivered"


def many(world: World, address: str, times: int, data: bytes = REPORT) -> None:
    """So many mails to that address, all taken by one worker."""
    found, scanner = returns(world), Scanner()
    scanner.feed(data)
    message = scanner.close()
    for number in range(times):
        envelope = Envelope(TENANT, f"spl_{number}", "", (Recipient(address),), Identity("returned"), 1, "node-1")
        found.take(world.view, envelope, message, BytesSource(data))


def test_what_is_made_up_fills_no_log(world: World) -> None:
    many(world, f"r.{'a' * 26}.{'b' * 16}@{world.view.host}", 80)
    assert world.actions().count("bounce:received") == 60


def test_whoever_has_a_notice_fills_no_log_with_its_return_path_and_its_bounce_counts_all_the_same(
    world: World,
) -> None:
    address = ReturnPaths(world.directory).address(world.view, delivered(world)["id"])
    many(world, address, 20, REPORT.replace(b"failed", b"delayed"))
    assert world.actions().count("bounce:received") == 5
    many(world, address, 20)
    assert row_of(world)["state"] == "bounced"
    assert world.actions().count("bounce:received") == 11
    assert world.count(schema.tellings) == 11


QMAIL = (
    b"Subject: failure notice\r\n\r\nHi. This is the qmail-send program at mx.test.\r\n\r\n"
    b"<pat@example.test>:\r\n1.2.3.4 does not like recipient.\r\nRemote host said: 550 5.1.1 unknown\r\n\r\n"
    b"--- Below this line is a copy of the message.\r\n"
)
ODD_WORDS = b"Subject: returned\r\n\r\nYour letter could not be handed to our customer, sorry.\r\n"


def test_a_bounce_in_the_words_of_a_known_mail_system_counts_as_a_report(world: World) -> None:
    row = delivered(world)
    came(world, ReturnPaths(world.directory).address(world.view, row["id"]), data=QMAIL)
    world.due()
    assert (row_of(world)["state"], row_of(world)["status"]) == ("bounced", "5.1.1")
    assert world.smarthost.times("amy@clinic.test") == 1


def test_what_nobody_can_read_marks_the_recipient_and_is_told_once_in_plain_words(world: World) -> None:
    row = delivered(world)
    address = ReturnPaths(world.directory).address(world.view, row["id"])
    for queue in ("spl_1", "spl_1", "spl_2"):
        came(world, address, queue, data=ODD_WORDS)
    world.due()
    assert (row_of(world)["state"], row_of(world)["why"]) == ("delivered", ODD)
    assert world.smarthost.times("amy@clinic.test") == 1
    told = world.smarthost.attempts[-1][1]
    assert b"Subject: Your message may not have arrived" in told
    assert PATIENT.encode() in told
    assert b"customer" not in told
    came(world, address, "spl_3")  # a report that can be read comes after it
    assert (row_of(world)["state"], row_of(world)["why"]) == ("bounced", "late")


@pytest.mark.parametrize(
    ("data", "sender"),
    [(ODD_WORDS, "somebody@example.test"), (b"Auto-Submitted: auto-replied\r\n\r\nI am away.\r\n", "")],
    ids=["with-a-sender", "absence-note"],
)
def test_words_with_a_sender_and_absence_notes_mark_nobody(world: World, data: bytes, sender: str) -> None:
    row = delivered(world)
    came(world, ReturnPaths(world.directory).address(world.view, row["id"]), data=data, sender=sender)
    world.due()
    assert (row_of(world)["state"], row_of(world)["why"]) == ("delivered", row["why"])
    assert world.smarthost.times("amy@clinic.test") == 0
