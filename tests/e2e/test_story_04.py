"""Story 4: PHI in the subject alone: a neutral subject outside, the original on the page, and threads hold."""

from __future__ import annotations

import re
from email.message import EmailMessage

import pytest
from playwright.sync_api import Browser as Chromium

from gateway.demo import leaks, mails
from gateway.demo.clinic import DOMAIN, Clinic
from gateway.demo.sink import Received
from tests.e2e.test_pages import chromium, do, look

pytestmark = [pytest.mark.full, pytest.mark.browser]
__all__ = ["chromium"]
RECIPIENT, NUMBER = "story4@patient.test", "+15550100124"
SUBJECT = "Marguerite Oyelaran, DOB 03/14/1948, MRN 4471920: type 2 diabetes, A1c 8.1"
WORDS = ("Oyelaran", "03/14/1948", "4471920", "diabetes")
FIRST = f"<story4.first@{DOMAIN}>"


@pytest.fixture(scope="module")
def sent(shared: Clinic) -> tuple[Received, Received]:
    """Amy's mail about it, and her next one in the same thread, as they arrived."""
    people = shared.data / "story4.csv"
    people.write_text(f"address,name,phone,language\n{RECIPIENT},Story Four,{NUMBER},en\n")
    shared.command("people", "import", str(people))
    for name, more in (("second", {}), ("third", {"In-Reply-To": f"<story4.second@{DOMAIN}>"})):
        mail = EmailMessage()
        mail["From"], mail["To"] = f"Amy Reyes <{shared.amy.address}>", RECIPIENT
        mail["Subject"] = SUBJECT if not more else f"Re: {SUBJECT}"
        mail["Message-ID"] = f"<story4.{name}@{DOMAIN}>"
        mail["In-Reply-To"] = more.get("In-Reply-To", FIRST)
        mail["References"] = " ".join(dict.fromkeys([FIRST, mail["In-Reply-To"]]))
        mail.set_content("Hello,\n\nplease call us about this when you can.\n\nAmy\n")
        mails.submit(shared, mail, implicit_tls=False)
        shared.sink.wait_for(RECIPIENT, 1 if not more else 2)
    one, two = shared.sink.wait_for(RECIPIENT, 2)
    return one, two


def test_outside_the_subject_is_neutral_and_threads_hold(sent: tuple[Received, Received]) -> None:
    for copy in sent:
        assert leaks.words_in(copy, WORDS) == []
        assert "Riverside Clinic" in copy.header("Subject")
    first, second = sent
    assert first.header("Message-ID") == f"<story4.second@{DOMAIN}>"
    assert first.header("In-Reply-To") == first.header("References") == FIRST
    assert second.header("In-Reply-To") == first.header("Message-ID")
    assert second.header("References").split() == [FIRST, first.header("Message-ID")]


def test_an_answer_from_a_mail_program_lands_in_the_senders_thread(sent: tuple[Received, Received]) -> None:
    got = sent[0].parsed
    answer = EmailMessage()  # RFC 5322 3.6.4: what a mail program writes into a reply
    answer["In-Reply-To"] = got["Message-ID"]
    answer["References"] = f"{got['References']} {got['Message-ID']}"
    in_amys_sent_folder = {FIRST, f"<story4.second@{DOMAIN}>"}
    assert set(answer["References"].split()) == in_amys_sent_folder
    assert answer["In-Reply-To"] in in_amys_sent_folder


def test_the_page_shows_the_original_subject(
    shared: Clinic, chromium: Chromium, sent: tuple[Received, Received]
) -> None:
    link = sent[0].link
    assert link is not None
    texts = len([text for text in shared.texts() if text["to"] == NUMBER])
    page = chromium.new_context(viewport={"width": 320, "height": 800}, bypass_csp=True).new_page()
    page.goto(link)
    assert not [word for word in WORDS if word in page.content()]
    page.fill("#last4", NUMBER[-4:])
    do(page, "ask-text")
    code = re.search(r"\b\d{6}\b", shared.wait_for_text(NUMBER, texts + 1, 60))
    assert code is not None
    page.fill("#code", code[0])
    do(page, "verify")
    assert page.inner_text("h1") == SUBJECT
    look(page, "read")
    page.context.close()
