"""The check, first part: mail in by each way, what left the building, what robots achieve."""

from __future__ import annotations

import smtplib
import ssl
from collections import Counter
from email.message import EmailMessage

from gateway.demo import browser, documents, leaks, mails
from gateway.demo.sink import Received
from gateway.demo.story import NOTHING_OPENED, Sealed, Story, expect, page
from gateway.demo.visitor import Visitor

WAIT_SECONDS = 60.0
SCANNERS = (
    "Mozilla/5.0 (compatible; MailScanner/1.0; link check)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/124.0 Safari/537.36",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "curl/8.5.0",
)
SECRETS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "lab": ((mails.LAB_FILE, "Oyelaran"), (documents.PATIENT, documents.BORN, "4471920", "Hemoglobin", "metformin")),
    "image": (("chest.dcm", "OYELARAN^MARGUERITE", "4471920", "19480314"), ()),
    "result": (("result.zip", "result.hl7"), ("Oyelaran^Marguerite", "4471920", "12 Elm St", "4548-4")),
    "form": (("form.png",), ()),
    "second": ((mails.LAB_FILE, "Oyelaran"), (documents.PATIENT, documents.BORN, "4471920", "metformin")),
}
"""What must not leave: words that can be read in the original mail, and words that a compressed file holds."""
FILES = {
    "lab": documents.lab_report, "image": documents.dicom, "result": documents.hl7_in_zip,
    "form": documents.photographed_form, "second": documents.lab_report,
}  # fmt: skip


def mail_in(story: Story) -> str:
    """Submission over STARTTLS and over implicit TLS with an app password, and a trusted network."""
    clinic = story.clinic
    sent: dict[str, tuple[str, bytes]] = {}

    def keep(name: str, mail: EmailMessage, data: bytes) -> None:
        sent[name] = (str(mail["To"]), data)

    earlier_ways = Counter(one["reason"] for one in story.log("action:message:accepted"))
    context = ssl.create_default_context(cafile=str(clinic.certificate))
    with smtplib.SMTP("localhost", clinic.submission_port, timeout=60) as server:
        server.starttls(context=context)
        server.ehlo()
        code, _ = server.mail(clinic.amy.address)
        expect(code == 530, f"submission without signing in answered {code} instead of 530")
        try:
            server.login(clinic.amy.address, "not-the-password")
            expect(False, "a wrong app password was taken")
        except smtplib.SMTPAuthenticationError as error:
            expect(error.smtp_code == 535, f"a wrong app password answered {error.smtp_code} instead of 535")
    for name, mail, way in (
        ("newsletter", mails.newsletter(), None), ("lab", mails.lab_report(), False), ("image", mails.image(), True),
        ("result", mails.result_in_zip(), None), ("form", mails.form(), None), ("second", mails.lab_report(), None),
    ):  # fmt: skip
        keep(name, mail, mails.send(clinic, mail) if way is None else mails.submit(clinic, mail, implicit_tls=way))
        recipient, earlier = str(mail["To"]), [one for one, _ in sent.values()]
        clinic.sink.wait_for(recipient, earlier.count(recipient), WAIT_SECONDS)
    story.marks["sent"] = sent
    ways = Counter(one["reason"] for one in story.log("action:message:accepted")) - earlier_ways
    expect(ways == {"app-password": 2, "network": 4}, f"the log says mail came by {dict(ways)}")
    return "STARTTLS+AUTH 1, implicit TLS+AUTH 1, trusted network 4: all in the log; no AUTH: 530, wrong password: 535"


def passed(story: Story) -> str:
    """The harmless newsletter: the original is an exact suffix of what left."""
    recipient, data = story.marks["sent"]["newsletter"]
    (mail,) = story.clinic.sink.wait_for(recipient)
    expect(mail.data.endswith(data), "the newsletter was changed")
    top = mail.data[: len(mail.data) - len(data)]
    names = [line.split(b":")[0] for line in top.splitlines() if not line.startswith((b" ", b"\t"))]
    expect(names == [b"Received", b"Sealgate-Trace"], f"other fields were put on top: {names}")
    return f"{len(data)} bytes are an exact suffix of the {len(mail.data)} that left; on top only Received and trace"


def sealed(story: Story) -> str:
    """Text and personal link out, and nothing of the files, in no coding."""
    links = {}
    for name, (recipient, data) in story.marks["sent"].items():
        if name == "newsletter":
            continue
        nth = [one for one, (to, _) in story.marks["sent"].items() if to == recipient].index(name)
        mail = story.clinic.sink.wait_for(recipient, nth + 1)[nth]
        expect(mail.link is not None, f"{name}: no personal link in what left")
        expect(mail.attachments == 0, f"{name}: {mail.attachments} files are still attached")
        before = Received("", (), data)
        legible, packed = SECRETS[name]
        missed = set(legible) - set(leaks.words_in(before, legible))
        expect(not missed, f"{name}: the search does not find {missed} in the original, so it proves nothing")
        expect(leaks.bytes_in(before, FILES[name]()) > 0, f"{name}: the search does not find the file in the original")
        found = leaks.words_in(mail, (*legible, *packed))
        expect(not found, f"{name}: {len(found)} planted words left the building: {found}")
        expect(leaks.bytes_in(mail, FILES[name]()) == 0, f"{name}: bytes of the file left the building")
        links[name] = mail
    created = {one["object"]: one["request"] for one in story.log("action:link:created")}
    for name, mail in links.items():
        one = Sealed(story.marks["sent"][name][1], mail, "")
        expect(one.grant in created, f"{name}: the log has no link:created for its link")
        story.sealed[name] = Sealed(one.sent, mail, created[one.grant])
    expect(len({one.grant for one in story.sealed.values()}) == 5, "two messages have one link")
    expect("please find the results attached" in story.sealed["lab"].mail.text, "the letter's own words are gone")
    return "5 of 5: text and personal link; no byte of file, file name, patient (the same search finds them before)"


def robots(story: Story) -> str:
    """HEAD, GET and forms by programs that follow links; they do not know the phone's digits."""
    lab = story.sealed["lab"]
    for agent in SCANNERS:
        robot = Visitor(agent)
        page(robot.get(lab.link, method="HEAD"), 200, what="HEAD by a scanner")
        found = page(robot.get(lab.link), 200, "action=", what="GET by a scanner")
        expect(mails.LAB_FILE not in found.text, "a scanner's page names the file")
        page(robot.get(lab.link + "/code"), 200, what="GET of the code page by a scanner")
        page(robot.post(lab.link + "/code", {"last4": ""}), 422, what="an empty form by a scanner")
        page(robot.post(lab.link + "/code", {"last4": "0143"}, foreign=True), 403, what="a form of another site")
    _still_closed(story, "lab")
    visits = [one for one in story.log(f"object:{lab.grant}") if one["action"] == "link:visited"]
    expect(len(visits) >= 3 * len(SCANNERS), f"only {len(visits)} visits are in the log")
    expect({one["proof"] for one in visits} == {0}, "a visit is logged with a proof")
    likely = sum(one["reason"] == "scanner-likely" for one in visits)
    return f"{len(visits)} visits by {len(SCANNERS)} programs ({likely} scanner-likely), proof 0; no text; unopened"


def headless(story: Story) -> str:
    """A headless Chromium that runs scripts and presses every button and link."""
    if story.browser is None:
        return "left out, as asked for (--no-browser)"
    lab = story.sealed["lab"]
    pressed, pages = browser.press_everything(story.browser, lab.link)
    expect(pressed >= 4, f"only {pressed} things could be pressed")
    _still_closed(story, "lab")
    return f"Chromium with scripts pressed {pressed} buttons and links on {pages} pages; no text; still unopened"


def _still_closed(story: Story, name: str) -> None:
    """By the log, not by assumption: nothing of the message was opened, nobody was let in, no text went out."""
    one = story.sealed[name]
    entries = story.log(f"object:{one.message}")
    expect(any(entry["action"] == "message:secured" for entry in entries), "the log does not know the message")
    opened = [entry["action"] for entry in entries if entry["action"] in NOTHING_OPENED]
    expect(not opened, f"robots achieved {opened}")
    expect(not story.clinic.texts(), "robots had a text message sent")
