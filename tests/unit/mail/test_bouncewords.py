"""Bounces in free words: the forms of known mail systems are read, everything else is none of them."""

from __future__ import annotations

import pytest

from gateway.mail import returned
from gateway.mail.returned import CameBack
from gateway.mail.scan import Scanner
from gateway.mail.source import BytesSource

ORIGINAL = "Subject: x\n\nThe following addresses had permanent fatal errors, 5.7.9.\n"
FORMS = {
    "qmail": (
        "Hi. This is the qmail-send program at mx.test.\nI gave up.\n\n<a@b.test>:\nRemote host said: 550 no such user "
        "(#5.1.1)\n\n--- Below this line is a copy of the message.\n\n" + ORIGINAL, CameBack("failed", "5.1.1")),
    "qmail-without-code": (
        "\nHi. This is the mail daemon at mx.test.\n\n<a@b.test>:\nNo.\n", CameBack("failed", "5.0.0")),
    "qmail-names-nobody": ("Hi. This is the qmail-send program at mx.test.\n\nAll is well.\n", CameBack("unread")),
    "exim": (
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
        "delivered to one or more of its\nrecipients. This is a permanent error.\n\n  a@b.test\n    550 5.1.1 unknown\n"
        "\n------ This is a copy of the message, including all the headers. ------\n" + ORIGINAL,
        CameBack("failed", "5.1.1")),
    "exim-delayed": (
        "This message was created automatically by mail delivery software.\nA message that you sent has not yet been "
        "delivered to one or more of its\nrecipients after more than 24 hours.\n", CameBack("delayed", "4.0.0")),
    "sendmail": (
        "   ----- The following addresses had permanent fatal errors -----\n<a@b.test>\n\n   ----- Transcript of "
        "session follows -----\n550 <a@b.test>... User unknown\n\n   ----- Original message follows -----\n" + ORIGINAL,
        CameBack("failed", "5.0.0")),
    "sendmail-warning": (
        "    **********************************************\n    **      THIS IS A WARNING MESSAGE ONLY      **\n"
        "   ----- The following addresses had transient non-fatal errors -----\n<a@b.test>\n",
        CameBack("delayed", "4.0.0")),
    "postfix": (
        "This is the Postfix program at host mx.test.\n\nYour message could not be delivered to one or more "
        "recipients.\n\n<a@b.test>: host x[192.0.2.1] said: 552 5.2.2 full\n", CameBack("failed", "5.2.2")),
    "exchange": (
        "Your message did not reach some or all of the intended recipients.\n\n a@b.test on 1/2/2003\n  The e-mail "
        "account does not exist. <mx.test #5.1.1>\n", CameBack("failed", "5.1.1")),
    "exchange-later": (
        "Delivery has failed to these recipients or groups:\n\na@b.test\nThe email address wasn't found.\n",
        CameBack("failed", "5.0.0")),
    "exchange-delayed": (
        "Delivery is delayed to these recipients or groups:\n\na@b.test\n", CameBack("delayed", "4.0.0")),
    "absence": ("I am away until Monday. Your message will be read then.\n", CameBack("unread")),
    "quoting-one": ("I am away.\n\n--- Original message ---\n" + ORIGINAL, CameBack("unread")),
    "an-address-is-no-code": (
        "Your message did not reach some or all of the intended recipients: 5.1.1.7 is no code.\n",
        CameBack("failed", "5.0.0")),
}  # fmt: skip


def read(text: str, fields: str = "") -> CameBack:
    data = (fields + "Subject: x\r\n\r\n").encode() + text.replace("\n", "\r\n").encode()
    scanner = Scanner()
    scanner.feed(data)
    return returned.read(scanner.close(), BytesSource(data))


@pytest.mark.parametrize(("text", "expected"), FORMS.values(), ids=FORMS)
def test_the_forms_of_known_mail_systems_are_read_and_no_others(text: str, expected: CameBack) -> None:
    assert read(text) == expected


def test_who_is_named_as_failed_has_failed_whatever_the_words() -> None:
    assert read("Out.\n", "X-Failed-Recipients: a@b.test\r\n") == CameBack("failed", "5.0.0")


def test_words_of_a_bounce_that_calls_itself_an_automatic_answer_are_read_all_the_same() -> None:
    """Exim marks its bounces as auto-replied."""
    assert read(FORMS["exim"][0], "Auto-Submitted: auto-replied\r\n") == CameBack("failed", "5.1.1")


def test_html_and_quoted_printable_are_read_as_their_words() -> None:
    fields = "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    assert read("<p>Delivery has <b>failed</b> to these=\n recipients</p> 5=2E1=2E1", fields) == CameBack(
        "failed", "5.1.1"
    )
