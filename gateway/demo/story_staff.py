"""The check, third part: what staff see and do, a code by phone and its second redeemer, taking a message back."""

from __future__ import annotations

import re

from gateway.demo import documents
from gateway.demo.story import Story, expect, page
from gateway.demo.story_reading import FILE_LINK, fetch
from gateway.demo.visitor import Visitor

REFERENCE = re.compile(r"\b\d{3} ?\d{3}\b")


def signed_in(story: Story) -> str:
    """Password and code together; each wrong alone, and a code twice, are refused."""
    amy, sign_in = story.clinic.amy, story.clinic.portal + "/staff/sign-in"
    away = Visitor("Mozilla/5.0 (not signed in)").get(story.clinic.portal + "/staff")
    expect(away.url == sign_in, "the staff pages open without signing in")
    form = story.staff.get(sign_in)
    page(story.staff.submit(form, "/sign-in", address=amy.address, password=amy.password[::-1], code=amy.code()), 403,
         what="a wrong password")  # fmt: skip
    code = amy.code()
    found = story.staff.submit(form, "/sign-in", address=amy.address, password=amy.password, code=code)
    page(found, 200, what="signing in")
    expect(found.url == story.clinic.portal + "/staff", "signing in does not lead to the sent mail")
    thief = Visitor("Mozilla/5.0 (saw the code)")
    form = thief.get(sign_in)
    page(thief.submit(form, "/sign-in", address=amy.address, password=amy.password, code=code), 403, what="a used code")
    story.marks["list"] = found
    story.logged([
        ("session:refused", "", {"outcome": "refused", "reason": "wrong"}),
        ("session:refused", "", {"outcome": "refused", "reason": "used"}),
        ("session:started", "", {"reason": "password+totp", "proof": 2}),
    ])  # fmt: skip
    return "wrong password and a replayed code: refused; password with a fresh code: proof 2; each in the log"


def sent_list(story: Story) -> str:
    """Each message with its true state."""
    states = dict(re.findall(r'data-person="(lnk_\w+)">.*?data-state="(\w+)"', story.marks["list"].text, re.DOTALL))
    for name, one in story.sealed.items():
        expect(one.grant in states, f"the message {name} is not in the list")
        wanted = name in ("lab", "second")
        expect((states[one.grant] == "opened") == wanted, f"{name} is shown as {states[one.grant]}")
    lab = story.sealed["lab"]
    page(story.staff.get(f"{story.clinic.portal}/staff/messages/{lab.message}"), 200,
         'data-event="object:opened"', what="the message's page")  # fmt: skip
    return "5 messages: 2 opened, 3 not, though robots and strangers knocked; the timeline shows the opening"


def by_phone(story: Story) -> str:
    """A staff code by reference number opens Tomás's message; its second redeemer freezes it; staff thaw it."""
    form_mail, portal = story.sealed["form"], story.clinic.portal
    tomas = Visitor("Mozilla/5.0 (Tomás)")
    landing = page(tomas.get(form_mail.link), 200, what="Tomás's link")
    reference = REFERENCE.search(re.sub(r"<[^>]+>|\+1 [\d ]+", " ", landing.text))
    expect(reference is not None, "the page shows no reference number")
    asked = page(story.staff.get(portal + "/staff/help"), 200, what="help this person")
    person = page(story.staff.submit(asked, "/staff/help", reference=reference[0] if reference else ""), 200,
                  "tomas@patient.test", what="the reference number")  # fmt: skip
    expect(person.url.endswith(form_mail.grant), "the reference number leads to somebody else")
    unsure = story.staff.submit(person, form_mail.grant)
    expect(unsure.status == 400, "a code is made without saying how sure")
    made = page(story.staff.submit(person, form_mail.grant, sure="called"), 200, "staff-code", what="making a code")
    shown = re.search(r'data-part="staff-code">(\d{4}) (\d{4})<', made.text)
    expect(shown is not None, "no eight digits are shown")
    code = shown[1] + shown[2] if shown else ""
    opened = tomas.submit(tomas.get(form_mail.link + "/code"), "/verify", code=code)
    got = fetch(story, tomas, page(opened, 200, FILE_LINK, what="the staff code"), "form")
    expect(got.body == documents.photographed_form(), "the picture is not the one that was sent")
    second = Visitor("Mozilla/5.0 (overheard the call)")
    page(second.submit(second.get(form_mail.link + "/code"), "/verify", code=code), 409, what="the second redeemer")
    page(tomas.get(form_mail.plain), 423, what="Tomás after the second redeemer")
    story.logged([
        ("code:shown", form_mail.grant, {"reason": "called", "proof": 2}),
        ("session:started", form_mail.grant, {"reason": "staff", "proof": 2}),
        ("code:refused", form_mail.grant, {"outcome": "refused", "reason": "used"}),
        ("link:frozen", form_mail.grant, {}),
    ])  # fmt: skip
    person = page(story.staff.get(f"{portal}/staff/help/{form_mail.grant}"), 200, "unfreeze", what="the frozen message")
    page(story.staff.submit(person, "/unfreeze", sure="called"), 200, what="freeing it")
    page(tomas.get(form_mail.link), 200, what="Tomás after it was freed")
    story.logged([("link:unfrozen", form_mail.grant, {"proof": 2})])
    return "opens once (proof 2, staff); second redeemer: 409, frozen for both until staff freed it; each in the log"


def recalled(story: Story) -> str:
    """Taking the first message back ends it at once, for the browser that reads it as well."""
    lab, portal = story.sealed["lab"], story.clinic.portal
    page(story.reader.get(lab.plain), 200, FILE_LINK, what="the patient before the recall")
    asked = page(
        story.staff.get(f"{portal}/staff/messages/{lab.message}/recall"), 200, what="the question before recall"
    )
    page(story.reader.get(lab.plain), 200, FILE_LINK, what="the patient while staff are asked")
    page(story.staff.submit(asked, "/recall"), 200, what="the recall")
    page(story.reader.get(lab.plain), 410, "taken back", what="the patient's page after the recall")
    after = story.reader.get(story.marks["lab file"][0])
    expect(after.status == 410, f"the download answered {after.status} after the recall instead of 410")
    page(Visitor("Mozilla/5.0 (later)").get(lab.link), 410, "taken back", what="the link after the recall")
    entries = story.logged([
        ("link:revoked", lab.grant, {"proof": 2, "outcome": "ok"}),
        ("message:recalled", lab.message, {"proof": 2, "outcome": "ok"}),
        ("link:refused", lab.grant, {"outcome": "refused", "reason": "revoked"}),
    ])  # fmt: skip
    expect("/keyholder#" in entries[0]["receipt"], "the recall quotes no receipt of the keyholder")
    return "the open page, its download and the link answer 410 at once; recall in the log with the keyholder's receipt"
