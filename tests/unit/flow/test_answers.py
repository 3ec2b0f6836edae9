"""RECALL in answer to a notice: whose, which message, what it reports, and what it never does."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.accounts.users import Users
from gateway.audit.event import Action
from gateway.errors import TryLater
from gateway.flow import threads, tries
from gateway.flow.answers import _ordered
from gateway.flow.tellings import note_refusal
from gateway.flow.tries import PER_SENDER
from gateway.spool.envelope import Identity
from gateway.store.rows import Row
from tests.support.spool import TENANT
from tests.unit.flow.desk import NURSE, PATIENT, Desk, plain

STRANGER = "mallory@clinic.test"
HOST = "mail.clinic.test"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A clinic on a Tuesday afternoon whose first digest is behind it."""
    found = Desk(tmp_path)
    found.told()
    try:
        yield found
    finally:
        found.close()


def notice_to(desk: Desk, sender: str) -> EmailMessage:
    """A notice about several messages, as it was written to that sender."""
    notice = EmailMessage()
    notice["Subject"], notice["Message-ID"] = "Today", threads.message_id(desk.directory, TENANT, HOST, "", sender)
    return notice


def urgent(desk: Desk) -> tuple[Row, EmailMessage]:
    """A message and the notice about it."""
    message = desk.send(subject="[urgent] Results")
    desk.ahead(days=1)
    (notice,) = [one for one in desk.told() if "opened yet" in one["Subject"]]
    return message, notice


@pytest.mark.parametrize(
    ("text", "subject"),
    [("RECALL", ""), ("recall.", ""), ("\r\n  Recall\r\nand some words", ""), ("Please", "RECALL"),
     ("thanks", "Re: AW: recall"), ("RECALL", "Re: something else")],
    ids=["body", "dot", "later-line", "subject", "subject-after-re", "both"],
)  # fmt: skip
def test_recall_in_the_first_line_takes_the_message_back(desk: Desk, text: str, subject: str) -> None:
    message, notice = urgent(desk)
    (report,) = desk.answer(notice, text, subject)
    assert (report["To"], report["Subject"]) == (NURSE, "Your message was taken back")
    assert "Links that stopped: 1." in plain(report)
    assert "Not one byte" in plain(report)
    assert "Oyelaran" not in report.as_string()
    assert [one[0] for one in desk.held_by.narrowed] == [message["id"]]
    assert desk.grants(message)[0]["revoked_at"]
    (revoked,) = desk.entries("link:revoked")
    assert (revoked["reason"], revoked["receipt"].startswith("elm/keyholder#7:")) == ("by-answer", True)
    assert [one["object"] for one in desk.entries("message:recalled")] == [message["id"]]
    assert not desk.left  # nothing of the answer is kept


def test_the_report_names_who_opened_how_much_and_with_which_proof(desk: Desk) -> None:
    message, notice = urgent(desk)
    desk.open(message, 48_210)
    (report,) = desk.answer(notice)
    said = plain(report)
    assert PATIENT in said
    assert "after a text-message code" in said
    assert "48 kB" in said
    assert "attachment" not in said.lower()


def test_everybody_named_in_the_answer_gets_nothing(desk: Desk) -> None:
    _, notice = urgent(desk)
    found = desk.answer(notice, "RECALL", "", NURSE, None, "postmaster@mail.clinic.test", "boss@elsewhere.example")
    assert [one["To"] for one in found] == [NURSE]


def test_from_a_digest_the_number_says_which(desk: Desk) -> None:
    first, second = desk.send(), desk.send("b@mail.example")
    desk.ahead(days=3)
    (digest,) = [one for one in desk.told() if one["Subject"] == "Your secure messages today"]
    number = second["reference"]
    desk.answer(digest, f"RECALL {number[:3]} {number[3:]}")
    assert [one[0] for one in desk.held_by.narrowed] == [second["id"]]
    (nothing,) = desk.answer(digest, "RECALL")
    assert nothing["Subject"] == "No message was taken back"
    assert desk.grants(first)[0]["revoked_at"] is None


@pytest.mark.parametrize("text", ["I recall that you said so", "Do not RECALL", "RECALLED", "thank you"])
def test_an_answer_without_the_word_alone_goes_its_way(desk: Desk, text: str) -> None:
    message, notice = urgent(desk)
    desk.answer(notice, text)
    assert desk.held_by.narrowed == []
    assert desk.grants(message)[0]["revoked_at"] is None


@pytest.mark.parametrize("filler", [" ", "re: ", ".", "[1]"], ids=["blanks", "re", "dots", "numbers"])
def test_a_hostile_line_is_no_order_and_costs_no_more_than_its_length(filler: str) -> None:
    assert _ordered(f"recall{filler * 300_000}x") is None
    assert _ordered(f"{filler * 300_000}recall") is None
    assert _ordered("Re: AW:  recall 402 917 .") is not None


def test_an_answer_to_somebody_elses_mail_goes_its_way(desk: Desk) -> None:
    _, notice = urgent(desk)
    notice.replace_header("Message-ID", "<someone@elsewhere.example>")
    desk.answer(notice)
    assert desk.held_by.narrowed == []
    assert desk.entries("message:recalled") == []


def test_nobody_takes_back_what_another_sent(desk: Desk) -> None:
    message, notice = urgent(desk)
    (answer,) = desk.answer(notice, sender=STRANGER)
    assert (answer["To"], answer["Subject"]) == (STRANGER, "No message was taken back")
    assert PATIENT not in answer.as_string()
    assert message["reference"] not in plain(answer).replace(" ", "")
    assert desk.held_by.narrowed == []
    assert [(one["outcome"], one["reason"]) for one in desk.entries("message:recalled")] == [
        ("refused", "another-notice")
    ]


def test_a_notice_about_one_message_takes_no_other_one_back(desk: Desk) -> None:
    _, notice = urgent(desk)
    other = desk.send("b@mail.example")
    (answer,) = desk.answer(notice, f"RECALL {other['reference']}")
    assert answer["Subject"] == "No message was taken back"
    assert desk.held_by.narrowed == []


def test_a_sender_who_was_refused_five_times_takes_nothing_back_for_an_hour(desk: Desk) -> None:
    message, notice = urgent(desk)
    for number in range(PER_SENDER + 2):
        found = desk.answer(notice, "RECALL 000000")
        assert len(found) == (number < PER_SENDER)
    assert desk.answer(notice) == []  # theirs, and right, and too late
    assert desk.held_by.narrowed == []
    reasons = [one["reason"] for one in desk.entries("message:recalled")]
    assert reasons == ["not-theirs"] * PER_SENDER + ["too-many"] * 3
    assert {one["object"] for one in desk.entries("message:recalled")} == {message["id"]}
    desk.answer(notice, sender=STRANGER)  # another one's tries are their own
    assert desk.entries("message:recalled")[-1]["reason"] == "another-notice"
    desk.ahead(hours=1, seconds=1)
    desk.answer(notice)
    assert [one[0] for one in desk.held_by.narrowed] == [message["id"]]


def test_a_node_tells_of_so_many_refusals_an_hour_and_logs_all(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "PER_NODE", 2)
    _, notice = urgent(desk)
    told = [len(desk.answer(notice, sender=f"someone{number}@clinic.test")) for number in range(4)]
    assert told == [1, 1, 0, 0]
    assert [one["outcome"] for one in desk.entries("message:recalled")] == ["refused"] * 4


@pytest.mark.parametrize("name", ["another-message", "cut", "changed", "of-another-tenant"])
def test_a_made_up_id_takes_nothing_back(desk: Desk, name: str) -> None:
    message, notice = urgent(desk)
    id = str(notice["Message-ID"])
    if name == "another-message":
        fake = id.replace(message["id"][4:], "A" * 16)
    elif name == "cut":
        fake = id.replace("@", "")[:-30] + "@mail.clinic.test>"
    elif name == "changed":
        fake = id[:35] + ("b" if id[35] != "b" else "c") + id[36:]
    else:
        assert threads.answered(desk.directory, TENANT, HOST, id, NURSE) == threads.Answered(message["id"], True)
        assert threads.answered(desk.directory, TENANT, HOST, id, STRANGER) == threads.Answered("", False)
        assert threads.answered(desk.directory, TENANT, "mail.other.test", id, STRANGER) is None
        assert len(id) < 78  # in one piece on a line, so that no mail program splits it
        assert id != threads.message_id(desk.directory, TENANT, HOST, message["id"], NURSE)
        return
    notice.replace_header("Message-ID", fake)
    desk.answer(notice)
    assert desk.held_by.narrowed == []


def test_an_answer_whose_commit_failed_is_obeyed_again_and_reported_once(desk: Desk) -> None:
    message, notice = urgent(desk)
    with desk.commits_fail(1, done=True), pytest.raises(TryLater):
        desk.answer(notice)
    for entry in desk.incoming.waiting():
        desk.flow.process(entry, again=True)
    desk.due()
    assert desk.smarthost.times(NURSE) == 1
    assert len(desk.held_by.narrowed) == 1
    assert desk.grants(message)[0]["revoked_at"]
    assert desk.incoming.waiting() == []


def test_a_program_that_answers_takes_nothing_back(desk: Desk) -> None:
    _, notice = urgent(desk)
    head = (
        f"From: {NURSE}\r\nSubject: RECALL\r\nAuto-Submitted: auto-replied\r\nIn-Reply-To: {notice['Message-ID']}\r\n"
        "Message-ID: <robot@clinic.test>\r\n"
    )
    desk.flow.process(desk.spool(b"RECALL\r\n", "postmaster@mail.clinic.test", head=head.encode(), sender=NURSE))
    assert desk.held_by.narrowed == []


@pytest.mark.parametrize("local", ["amy%other.example", "other.example!amy", '"amy@other.example"'])
def test_a_sender_with_a_further_way_orders_nothing_and_hears_nothing(desk: Desk, local: str) -> None:
    sender = f"{local}@clinic.test"
    (passed,) = desk.answer(notice_to(desk, sender), "RECALL", "", sender)
    assert passed["From"] == sender  # a mail like any other, to whom it was written
    assert desk.entries("message:recalled") == []


def test_who_signed_in_as_another_user_takes_nothing_back(desk: Desk) -> None:
    from dataclasses import replace

    from tests.support.flow import Entry

    message, notice = urgent(desk)
    head = f"From: {NURSE}\r\nSubject: RECALL\r\nIn-Reply-To: {notice['Message-ID']}\r\nMessage-ID: <o@clinic.test>\r\n"
    envelope = replace(
        desk.ring.envelope(NURSE, ("postmaster@mail.clinic.test",)), identity=Identity("app-password", "usr_other")
    )
    item = desk.writer.begin(envelope)
    item.write(head.encode() + b"\r\nRECALL\r\n")
    item.finish().result(10)
    desk.incoming.look()
    entry = desk.incoming.entry(item.id)
    assert isinstance(entry, Entry)
    desk.flow.process(entry)
    assert desk.held_by.narrowed == []
    assert desk.grants(message)[0]["revoked_at"] is None


# told at once


def refused(desk: Desk, grant: str, reason: str) -> None:
    """As the portal does it: the telling and the event in one transaction."""
    from gateway.audit.event import Actor, Event

    def work(tx: object) -> None:
        note_refusal(tx, desk.rows, desk.clock, TENANT, grant, reason)  # type: ignore[arg-type]
        event = Event(Action.CODE_REFUSED, TENANT, grant, Actor("visitor", ""), outcome="refused", reason=reason)
        desk.audit.append(tx, event)  # type: ignore[arg-type]

    desk.store.run(work)


def test_three_wrong_tries_on_a_link_are_told_once_a_day(desk: Desk) -> None:
    grant = desk.grants(desk.send())[0]["id"]
    refused(desk, grant, "wrong")
    refused(desk, grant, "last-four")
    assert desk.told() == []
    refused(desk, grant, "wrong")
    (told,) = desk.told()
    assert (told["To"], told["Subject"]) == (NURSE, "Someone could not open your message")
    assert PATIENT in plain(told)
    for _ in range(5):
        refused(desk, grant, "wrong")
    assert desk.told() == []
    desk.ahead(days=1)
    for _ in range(3):
        refused(desk, grant, "wrong")
    assert [one["Subject"] for one in desk.told() if "could not" in one["Subject"]] == [told["Subject"]]


def test_a_second_redeemer_is_told_at_once_and_recall_answers_it(desk: Desk) -> None:
    message = desk.send()
    refused(desk, desk.grants(message)[0]["id"], "redeemed")
    (told,) = desk.told()
    assert told["Subject"] == "Your message is on hold"
    desk.answer(told)
    assert [one[0] for one in desk.held_by.narrowed] == [message["id"]]


def test_a_changed_number_is_told_to_its_person_once(desk: Desk) -> None:
    message = desk.send()
    person = desk.grants(message)[0]["person"]
    change = news(1, person)
    desk.held_by.changes = [change]
    told, sender = sorted(desk.told(), key=lambda one: str(one["To"]), reverse=True)
    assert (told["To"], told["Subject"]) == (PATIENT, "Your phone number at Elm Street Clinic was changed")
    assert (sender["To"], sender["Subject"]) == (NURSE, "The phone number of a person you wrote to was changed")
    assert desk.held_by.changes == []
    desk.held_by.changes = [change]  # the keyholder did not hear that it was done
    assert desk.told() == []
    assert desk.held_by.changes == []


def test_a_changed_row_of_one_person_keeps_no_other_waiting_and_its_own_news_is_kept(desk: Desk) -> None:
    first, second = (desk.grants(desk.send(to))[0]["person"] for to in ("b@mail.example", PATIENT))
    desk.store.run(lambda tx: tx.conn.execute(text("UPDATE people SET language = 'xx' WHERE id = :id"), {"id": first}))
    changes = [news(n, one) for n, one in enumerate((first, second))]
    desk.held_by.changes = list(changes)
    assert sorted(str(one["To"]) for one in desk.told()) == [NURSE, PATIENT]
    assert desk.held_by.changes == changes[:1]


def test_a_first_number_is_told_to_its_person_and_in_one_mail_to_the_sender_of_what_waits(desk: Desk) -> None:
    people = [desk.grants(desk.send(to))[0]["person"] for to in ("b@mail.example", PATIENT)]
    taken = desk.send(PATIENT, sender="bob@clinic.test")
    desk.held_by.revoked.add(desk.grants(taken)[0]["id"])  # its sender has nothing to lose any more
    desk.held_by.changes = [news(n, one, "phone-first") for n, one in enumerate(people)]
    mails = {str(one["To"]): one for one in desk.told()}
    assert sorted(mails) == [NURSE, "b@mail.example", PATIENT]
    assert mails[NURSE]["Subject"] == "A phone number was added for a person you wrote to"
    words = plain(mails[NURSE])
    assert PATIENT in words
    assert "b@mail.example" in words
    told = [(one["object"], one["reason"], one["actor"]["kind"]) for one in desk.entries("person:changed")]
    assert told == [(one, "phone-first", "keyholder") for one in people]
    assert desk.held_by.changes == []


def test_a_new_code_app_or_browser_is_told_to_its_person_alone_past_the_portal(desk: Desk) -> None:
    person = desk.grants(desk.send())[0]["person"]
    desk.held_by.changes = [news(1, person, "enrolled", "fac_1"), news(2, "per_unknown", "enrolled")]
    (mail,) = desk.told()
    assert str(mail["To"]) == PATIENT
    assert str(mail["Subject"]).startswith("A new way to open your messages")
    assert "please call the clinic" in plain(mail)
    assert [one["reason"] for one in desk.entries("notice:sent")].count("enrolled") == 1
    assert desk.held_by.changes == []


def test_a_card_used_twice_is_told_to_the_senders_of_all_that_is_on_hold_and_to_the_officers(desk: Desk) -> None:
    mine, other = desk.send(), desk.send(sender="bob@clinic.test")
    desk.send("b@mail.example", sender="eve@clinic.test")
    for name, role in (("olga", "officer"), ("sam", "staff")):
        users = Users(desk.rows, desk.directory, desk.clock)
        desk.store.run(lambda tx, name=name, role=role, users=users: users.add(
            tx, TENANT, f"{name}@clinic.test", role, user=f"usr_{name}"
        ))  # fmt: skip
    grants = [desk.grants(one)[0] for one in (mine, other)]
    desk.held_by.frozen |= {one["id"] for one in grants}
    desk.held_by.changes = [news(1, grants[0]["person"], "frozen", grants[0]["id"])]
    told = desk.told()
    assert sorted(str(one["To"]) for one in told) == [NURSE, "bob@clinic.test", "olga@clinic.test"]
    assert {one["Subject"] for one in told} == {"A card was used twice, and messages are on hold"}
    assert [one["object"] for one in desk.entries("link:frozen")] == [grants[1]["id"]]  # the other is the portal's
    assert desk.held_by.changes == []


def news(number: int, person: str, kind: str = "phone", about: str = "") -> dict[str, Any]:
    """As the keyholder hands it out."""
    return {"id": f"chg_{number}", "tenant": TENANT, "person": person, "kind": kind, "about": about, "at_us": 1}
