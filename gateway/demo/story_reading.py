"""The check, second part: the code, reading, downloading, and everybody who is turned away."""

from __future__ import annotations

import hashlib
import re
import time

from gateway.demo import documents, mails
from gateway.demo.clinic import PEOPLE, next_code
from gateway.demo.story import Sealed, Story, expect, page
from gateway.demo.visitor import Page, Visitor

PHONES = {address: phone for address, _, phone, _ in PEOPLE}
CODE_SECONDS = 25
"""How long a text code lives in the check, so that one can be seen to end; ten minutes otherwise."""
FILE_LINK = "/files/obj_"
DIGITS = re.compile(r"\b(\d{6})\b")


def code_asked(story: Story) -> str:
    """Wrong digits bring nothing; the right ones a text. A second code is asked for here, to be typed too late."""
    lab = story.sealed["lab"]
    phone = PHONES[mails.MARGUERITE]
    landing = page(story.reader.get(lab.link), 200, "m***@patient.test", what="the link")
    expect(mails.LAB_FILE not in landing.text and "Oyelaran" not in landing.text, "the landing page says too much")
    page(story.reader.submit(landing, "/code", last4="9999"), 422, "do not match", what="the wrong digits")
    expect(not story.clinic.texts(), "a text went out for the wrong digits")
    landing = page(story.reader.get(lab.link), 200, what="the link again")
    page(story.reader.submit(landing, "/code", last4=phone[-4:]), 200, 'name="code"', what="asking for a code")
    text = story.clinic.wait_for_text(phone)
    story.marks["code"] = _digits(text)
    expect(text.count("Riverside Clinic") == 1 and "http" not in text, "the text has a link, or no sender")
    late = story.sealed["image"]
    asked = story.late.submit(story.late.get(late.link), "/code", last4=PHONES[mails.PARTNER][-4:])
    page(asked, 200, 'name="code"', what="asking for the code that is typed too late")
    story.marks["late code"], story.marks["late since"] = (
        _digits(story.clinic.wait_for_text(PHONES[mails.PARTNER])),
        time.monotonic(),
    )
    story.logged([
        ("code:refused", lab.grant, {"outcome": "refused", "reason": "last-four", "proof": 0}),
        ("code:asked", lab.grant, {"outcome": "ok"}), ("code:asked", late.grant, {"outcome": "ok"}),
    ])  # fmt: skip
    return "wrong last four digits: no text, refused in the log; the right ones: a text with six digits"


def code_wrong(story: Story) -> str:
    """A wrong code, and the right one in a browser that did not ask for it."""
    lab, code = story.sealed["lab"], story.marks["code"]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    answer = _typed(story.reader, lab, wrong)
    page(answer, 422, "not right", what="a wrong code")
    stranger = Visitor("Mozilla/5.0 (somebody else)")
    stranger.get(lab.link)
    page(_typed(stranger, lab, code), 422, "not right", what="the right code in another browser")
    _closed(stranger, lab, "the other browser")
    refusals = [one for one in story.log(f"object:{lab.grant}") if one["action"] == "code:refused"]
    wrongs = [one for one in refusals if (one["outcome"], one["reason"]) == ("refused", "wrong")]
    expect(len(wrongs) == 2, f"the log has {len(wrongs)} refusals of wrong codes instead of 2")
    return "one digit off: refused; the right code in another browser than asked for it: refused; both in the log"


def read(story: Story) -> str:
    """The right code opens the page."""
    lab = story.sealed["lab"]
    found = page(_typed(story.reader, lab, story.marks["code"]), 200, FILE_LINK, what="the right code")
    expect(found.url == lab.plain, "the address still holds the link's secret")
    expect("Oyelaran" not in found.text, "the page shows a file name that holds a patient's name before it is opened")
    story.marks["page"] = found
    story.logged([
        ("session:started", lab.grant, {"reason": "text", "proof": 2}),
        ("meta:opened", lab.message, {"proof": 2, "outcome": "ok"}),
    ])  # fmt: skip
    return "the code opens the page and its file; the secret left the address; session in the log with proof 2, text"


def downloaded(story: Story) -> str:
    """The file, whole and in part."""
    original = documents.lab_report()
    whole = fetch(story, story.reader, story.marks["page"], "lab")
    url, name = story.marks["lab file"]
    digest = hashlib.sha256(whole.body).hexdigest()
    expect(digest == hashlib.sha256(original).hexdigest(), "the file is not the one that was sent")
    expect(mails.LAB_FILE in whole.headers["content-disposition"], "the file does not have its name")
    part = story.reader.get(url, headers={"Range": "bytes=100-199", "If-Range": whole.headers["etag"]})
    expect(part.status == 206, f"a range answered {part.status} instead of 206")
    expect(part.body == original[100:200], "a range gave other bytes")
    expect(part.headers["content-range"] == f"bytes 100-199/{len(original)}", "a range names other bytes")
    entries = story.logged([
        ("object:opened", name, {"proof": 2, "reason": "text download", "outcome": "ok"}),
        ("object:completed", name, {"bytes": len(original), "outcome": "ok"}),
        ("object:part", name, {"bytes": 100, "outcome": "partial", "reason": "range 100-199"}),
    ])  # fmt: skip
    expect("/keyholder#" in entries[0]["receipt"], "the opening quotes no receipt of the keyholder")
    return (
        f"SHA-256 equal ({digest[:16]}…), {len(original)} bytes; bytes 100-199 equal; opened with proof 2 and receipt"
    )


def replayed(story: Story) -> str:
    """The same code once more, in the same browser and in another."""
    lab, code = story.sealed["lab"], story.marks["code"]
    fresh = Visitor("Mozilla/5.0 (patient)", story.reader.jar)
    page(_typed(fresh, lab, code), 422, "used before", what="the code a second time")
    story.logged([("code:refused", lab.grant, {"outcome": "refused", "reason": "used"})])
    return "typed a second time: refused as used, in the log"


def forwarded(story: Story) -> str:
    """The link in another browser, without a factor; and links that are none."""
    lab = story.sealed["lab"]
    friend = Visitor("Mozilla/5.0 (a friend)")
    page(friend.get(lab.link), 200, "Last four digits", what="the forwarded link")
    _closed(friend, lab, "the forwarded link")
    refused = friend.get(story.marks["lab file"][0].replace(lab.plain, lab.link))
    expect(refused.status == 401, f"the file through a forwarded link answered {refused.status} instead of 401")
    expect(documents.lab_report() not in refused.body, "a forwarded link gave the file")
    changed = lab.link[:-1] + ("A" if lab.link[-1] != "A" else "B")
    unknown = lab.link[:-34] + "0" * 34
    one, other = (Visitor("Mozilla/5.0 (guess)").get(url) for url in (changed, unknown))
    expect((one.status, one.text) == (other.status, other.text), "a wrong secret and an unknown link look different")
    expect(one.status == 404, f"a wrong secret answered {one.status} instead of 404")
    story.logged([
        ("link:refused", lab.grant, {"outcome": "refused", "reason": "no-session", "proof": 0}),
        ("link:refused", "", {"outcome": "refused", "reason": "no-secret"}),
    ])  # fmt: skip
    return "shows the door only, its file: 401; a changed and an unknown link: the same 404 page; each in the log"


def enrolled(story: Story) -> str:
    """An authenticator app, set up after reading and used on another message."""
    lab, second = story.sealed["lab"], story.sealed["second"]
    offer = page(story.reader.get(lab.plain + "/app"), 200, what="the offer of a code app")
    shown = page(story.reader.submit(offer, "/app"), 200, "totp-secret", what="the new key")
    secret = re.search(r'data-part="totp-secret">([A-Z2-7 ]+)<', shown.text)
    expect(secret is not None, "no key is shown")
    key = secret[1].replace(" ", "") if secret else ""
    code, step = next_code(key, 0)
    page(story.reader.submit(shown, "/app/confirm", code=code), 200, "code app is on", what="the first code of the app")
    home = Visitor("Mozilla/5.0 (patient at home)")
    page(_typed(home, second, code), 422, "used before", what="the enrolling code a second time")
    code, step = next_code(key, step)
    opened = page(_typed(home, second, code), 200, FILE_LINK, what="a code of the app on another message")
    expect(fetch(story, home, opened, "second").body == documents.lab_report(), "the second message has another file")
    other = Visitor("Mozilla/5.0 (over the shoulder)")
    page(_typed(other, second, code), 422, "used before", what="a code of the app used by somebody else")
    _closed(other, second, "whoever looked over the shoulder")
    story.logged([
        ("factor:enrolled", "", {"reason": "totp", "proof": 2, "outcome": "ok"}),
        ("session:started", second.grant, {"reason": "totp", "proof": 2}),
        ("code:refused", second.grant, {"outcome": "refused", "reason": "used"}),
    ])  # fmt: skip
    return "set up after reading; opens another message (proof 2, totp); two replayed codes refused; each in the log"


def expired(story: Story) -> str:
    """A text code typed after its time."""
    late = story.sealed["image"]
    time.sleep(max(0.0, story.marks["late since"] + CODE_SECONDS + 0.5 - time.monotonic()))
    page(_typed(story.late, late, story.marks["late code"]), 422, "too old", what="a code after its time")
    _closed(story.late, late, "a code after its time")
    story.logged([("code:refused", late.grant, {"outcome": "refused", "reason": "expired"})])
    return f"typed after its {CODE_SECONDS} s (10 minutes outside this check): refused as expired, in the log"


def fetch(story: Story, visitor: Visitor, shown: Page, name: str) -> Page:
    """The one file of a message that this browser has open; its address and id are kept under the message's name."""
    places = set(re.findall(r'href="(/m/\w+/files/(obj_\w+))"', shown.text))
    expect(len(places) == 1, f"{name}: the page has {len(places)} files instead of one")
    ((path, identifier),) = places
    story.marks[f"{name} file"] = (story.clinic.portal + path, identifier)
    return page(visitor.get(story.clinic.portal + path), 200, what=f"{name}: the download")


def _typed(visitor: Visitor, one: Sealed, code: str) -> Page:
    """What the page answers to a code typed in this browser."""
    form = visitor.get(one.link + "/code")
    return visitor.submit(form, "/verify", code=code)


def _closed(visitor: Visitor, one: Sealed, what: str) -> None:
    """This browser does not get at the message, whichever address it uses."""
    for url in (one.plain, one.link):
        found = visitor.get(url)
        expect(FILE_LINK not in found.text, f"{what} sees the files")


def _digits(text: str) -> str:
    found = DIGITS.search(text.replace(" ", "")) or DIGITS.search(text)
    expect(found is not None, "the text holds no six digits")
    return found[1] if found else ""
