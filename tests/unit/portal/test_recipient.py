"""From the link to the bytes: what a recipient meets, and what the log says of it."""

from __future__ import annotations

import hashlib
import secrets
import time

import pyotp
import pytest

from keys.links import parse_token, printed_code
from tests.support.keyholder import PHONE
from tests.unit.portal.world import CLINIC_PHONE, PDF, PDF_NAME, World, plain, wait_for


def address() -> str:
    """A new patient for each test, so that no test spends another's tries."""
    return f"p{secrets.token_hex(6)}@mail.example"


def test_link_to_bytes_with_event_before_bytes_and_equal_hash(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who))
    assert page.status_code == 200
    assert "your results." in page.text
    assert "Your results" in page.text
    assert who in page.text
    assert "röntgen" in page.text
    file = mail.object(1)
    answer = browser.get(f"{plain(mail, who)}/files/{file}")
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(PDF).digest()
    opened = world.events("object:opened", file)
    assert [one["outcome"] for one in opened] == ["ok"]
    assert opened[0]["proof"] == 2
    assert opened[0]["receipt"]
    assert opened[0]["reason"] == "text download"
    done = wait_for(lambda: world.events("object:completed", file))
    assert done[0]["bytes"] == len(PDF)
    assert world.events("session:started", mail.grant(who))[0]["reason"] == "text"


def test_get_and_head_of_a_link_change_nothing_and_are_visits(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.browser()
    assert browser.client.head(f"/m/{mail.token(who)}").status_code == 200
    for path in ("", "/code", "/not-me"):
        assert browser.get(f"/m/{mail.token(who)}{path}").status_code == 200
    visits = world.events("link:visited", mail.grant(who))
    assert [one["reason"] for one in visits] == ["scanner-likely", "unknown", "unknown", "unknown"]
    assert world.events("object:opened", mail.object(0)) == []
    assert world.keyholder.worker.take_texts(10) == []


@pytest.mark.parametrize(("agent", "seconds"), [("curl/8.5", 3600.0), ("Mozilla/5.0 real enough", 2.0), ("", 3600.0)])
def test_filters_are_marked_as_likely_scanners(world: World, agent: str, seconds: float) -> None:
    who = address()
    mail = world.send(who, settled_seconds_ago=seconds)
    world.browser(agent).get(f"/m/{mail.token(who)}")
    assert world.events("link:visited", mail.grant(who))[0]["reason"] == "scanner-likely"


def test_pressing_every_button_without_digits_sends_no_text(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.browser()
    page = browser.get(f"/m/{mail.token(who)}").text
    for form in ({}, {"last4": ""}, {"last4": "abcd"}, {"last4": "000"}):
        answer = browser.post(f"/m/{mail.token(who)}/code", page, None, **form)
        assert answer.status_code == 303
        assert "note=digits" in answer.headers["location"]
    assert world.keyholder.worker.take_texts(10) == []
    assert world.events("code:asked", mail.grant(who)) == []


def test_after_the_first_post_the_secret_is_in_a_cookie_and_not_in_the_address(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.browser()
    page = browser.get(f"/m/{mail.token(who)}").text
    answer = browser.post(f"/m/{mail.token(who)}/code", page, last4="9999")
    assert answer.headers["location"] == f"{plain(mail, who)}?note=last-four"
    secret = mail.token(who)[12:]
    again = browser.get(answer.headers["location"])
    assert "do not match" in again.text
    assert secret not in again.text
    assert browser.get(plain(mail, who)).status_code == 200
    assert world.browser().get(plain(mail, who)).status_code == 404


def test_wrong_replayed_and_foreign_codes_are_refused_and_logged(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.browser()
    page = browser.get(f"/m/{mail.token(who)}").text
    browser.post(f"/m/{mail.token(who)}/code", page, last4=PHONE[-4:])
    code = world.text_code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    base = plain(mail, who)
    page = browser.get(f"{base}/code").text
    answer = browser.post(f"{base}/verify", page, code=wrong)
    assert answer.headers["location"] == f"{base}/code?note=wrong"
    shown = browser.get(answer.headers["location"]).text
    assert "That code is not right" in shown
    assert "Tries left: 4" in shown
    other = world.browser()
    theirs = other.get(f"/m/{mail.token(who)}").text
    answer = other.post(f"/m/{mail.token(who)}/verify", theirs, code=code)
    assert "note=wrong" in answer.headers["location"]
    assert browser.post(f"{base}/verify", page, code=code).headers["location"] == base
    assert (
        "note=used"
        in browser.post(f"{base}/verify", browser.get(f"/m/{mail.token(who)}/code").text, code=code).headers["location"]
    )
    assert [one["reason"] for one in world.events("code:refused", mail.grant(who))] == ["wrong", "wrong", "used"]


def test_five_wrong_codes_give_the_calm_page_with_the_phone_number(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.browser()
    page = browser.get(f"/m/{mail.token(who)}").text
    for _ in range(4):
        browser.post(f"/m/{mail.token(who)}/verify", page, code="000000")
    answer = browser.post(f"/m/{mail.token(who)}/verify", page, code="000000")
    assert answer.status_code == 429
    assert "Too many tries" in answer.text
    assert CLINIC_PHONE in answer.text
    assert browser.get(f"/m/{mail.token(who)}").status_code == 429


def test_no_valid_secret_gets_one_page_whatever_is_wrong(world: World) -> None:
    who = address()
    mail, old = world.send(who), world.send(address(), days=0.00001)
    flipped, expired = (
        token[:-1] + ("0" if token[-1] != "0" else "1")
        for token in (mail.token(who), old.links[next(iter(old.links))].token)
    )
    token = mail.token(who)
    strangers = [
        flipped, token[:20], token[:12], "x", "0" * 34, mail.grant(who)[4:] + "0" * 22, expired,
        "lnk_nothing",
    ]  # fmt: skip
    pages = {world.browser().get(f"/m/{one}").text for one in strangers}
    assert len({world.browser().get(f"/m/{one}").status_code for one in strangers}) == 1
    assert len(pages) == 1
    assert CLINIC_PHONE in pages.pop()
    for path in ("/code", "/files/obj_x", "/app", "/not-me"):
        assert world.browser().get(f"/m/{flipped}{path}").status_code == 404


def test_a_valid_link_that_ended_is_told_so(world: World) -> None:
    who = address()
    mail = world.send(who, days=3 / 86_400)
    over = time.monotonic() + 3.1
    wait_for(lambda: time.monotonic() > over)
    answer = world.browser().get(f"/m/{mail.token(who)}")
    assert answer.status_code == 410
    assert "This message has ended" in answer.text
    assert CLINIC_PHONE in answer.text
    assert world.events("link:refused", mail.grant(who))[0]["reason"] == "expired"


def test_a_mangled_link_still_opens(world: World) -> None:
    who = address()
    mail = world.send(who)
    assert world.browser().get(f"/m/%23{mail.token(who)}").status_code == 200
    assert world.browser().get(f"/m/{mail.token(who)}=").status_code == 200


def test_the_typed_codes_open_the_same_door(world: World) -> None:
    who = address()
    mail = world.send(who)
    parsed = parse_token(mail.token(who))
    assert parsed is not None
    assert parsed.secret is not None
    browser = world.browser()
    page = browser.get("/m").text
    wrong = browser.post("/m", page, reference="000000", printed=printed_code(parsed.secret))
    assert wrong.status_code == 404
    answer = browser.post("/m", page, reference=mail.reference, printed=printed_code(parsed.secret).lower())
    assert answer.status_code == 303
    assert answer.headers["location"] == plain(mail, who)
    assert browser.get(plain(mail, who)).status_code == 200


def test_a_forwarded_address_opens_nothing_without_cookie_and_session(world: World) -> None:
    who = address()
    mail = world.send(who)
    world.sign_in(mail, who)
    other = world.browser()
    assert other.get(plain(mail, who)).status_code == 404
    assert other.get(f"/m/{mail.token(who)}/files/{mail.object(1)}").status_code == 401
    assert world.events("object:opened", mail.object(1)) == []


def test_a_session_opens_no_other_message(world: World) -> None:
    who = address()
    first, second = world.send(who), world.send(who)
    browser = world.sign_in(first, who)
    assert browser.get(f"{plain(first, who)}/files/{second.object(1)}").status_code == 404
    assert browser.get(f"/m/{second.token(who)}/files/{second.object(1)}").status_code == 401
    assert world.events("object:opened", second.object(1)) == []


def test_subject_and_name_with_phi_are_shown_only_after_opening(world: World) -> None:
    who = address()
    mail = world.send(who, secret_subject="HIV result for Maria", subject="", public_name="attachment-1.pdf")
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who)).text
    assert "HIV result for Maria" in page
    assert "attachment-1.pdf" in page
    assert PDF_NAME not in page
    answer = browser.get(f"{plain(mail, who)}/files/{mail.object(2)}")
    assert "filename*=UTF-8''Maria%27s%20r%C3%B6ntgen%202026.pdf" in answer.headers["content-disposition"]
    assert [one["outcome"] for one in world.events("object:opened", mail.object(1))] == ["ok"]


def test_hostile_html_is_shown_without_its_hostility(world: World) -> None:
    who = address()
    html = (
        '<script>alert(1)</script><img src="https://t.example/p.gif" onerror=x><style>p{}</style>'
        '<p style="position:fixed" onclick="x" class=skip id=main>Hello <a href="javascript:x">a</a>'
        '<a href="https://lab.example/">lab</a></p><form action=/><input name=csrf></form><iframe src=//x></iframe>'
    )
    mail = world.send(who, body={"text": None, "html": html})
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who))
    letter = page.text.split('data-part="body">')[1].split("</div>")[0]
    assert "Hello" in letter
    assert 'href="https://lab.example/"' in letter
    for bad in ("script", "<img", "style", "onclick", "class", "id=", "javascript", "<form", "<input", "iframe"):
        assert bad not in letter
    assert "script-src 'none'" in page.headers["content-security-policy"]


def test_text_is_escaped(world: World) -> None:
    who = address()
    mail = world.send(who, body={"text": "<b>bold</b> & more", "html": "<p>x</p>"}, subject="<i>s</i>")
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who)).text
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; more" in page
    assert "<i>s</i>" not in page
    assert "<p>x</p>" in browser.get(f"{plain(mail, who)}?as=html").text


def test_code_app_is_enrolled_after_reading_used_and_not_replayed(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    base = plain(mail, who)
    page = browser.get(f"{base}/app").text
    page = browser.post(f"{base}/app", page).text
    assert "<svg" in page
    secret = page.split('data-part="totp-secret">')[1].split("<")[0].replace(" ", "")
    shown = pyotp.TOTP(secret)
    page = browser.post(f"{base}/app/confirm", page, code="000000").text
    assert "That code is not right" in page
    assert "totp-secret" not in page  # the key stays the one that the app has by now
    now = int(world.clock.now().timestamp())
    answer = browser.post(f"{base}/app/confirm", page, code=shown.at(now - 30))
    assert "Your code app is on" in answer.text
    assert world.events("factor:enrolled")[-1]["reason"] == "totp"
    other = world.browser()
    page = other.get(f"/m/{mail.token(who)}").text
    code = shown.at(now + 30)
    assert other.post(f"/m/{mail.token(who)}/verify", page, code=code).headers["location"] == base
    third = world.browser()
    page = third.get(f"/m/{mail.token(who)}").text
    assert "note=" in third.post(f"/m/{mail.token(who)}/verify", page, code=code).headers["location"]
    assert world.events("session:started", mail.grant(who))[-1]["reason"] == "totp"


def test_remembered_browser_opens_at_a_press_and_is_forgotten_on_wish(world: World) -> None:
    who = address()
    mail, later = world.send(who), world.send(who)
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who)).text
    assert 'data-action="remember"' in page
    answer = browser.post(f"{plain(mail, who)}/remember", page)
    assert "We remember this browser" in answer.text
    assert 'data-action="remember"' not in browser.get(plain(mail, who)).text
    page = browser.get(f"/m/{later.token(who)}").text
    assert "This browser is remembered" in page
    assert world.events("object:opened", later.object(0)) == []
    answer = browser.post(f"/m/{later.token(who)}/device", page)
    assert answer.headers["location"] == plain(later, who)
    page = browser.get(plain(later, who)).text
    assert "your results." in page
    assert world.events("session:started", later.grant(who))[0]["reason"] == "device"
    browser.post(f"{plain(later, who)}/forget", page)
    other = world.send(who)
    assert "This browser is remembered" not in browser.get(f"/m/{other.token(who)}").text


def test_signing_out_ends_the_session_and_takes_the_secret_along(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who)).text
    kept = dict(browser.client.cookies)
    assert "You are signed out" in browser.post(f"{plain(mail, who)}/sign-out", page).text
    assert browser.get(plain(mail, who)).status_code == 404
    thief = world.browser()
    for name, value in kept.items():
        thief.client.cookies.set(name, value)
    assert thief.get(f"{plain(mail, who)}/files/{mail.object(1)}").status_code == 401


def test_no_phone_means_no_text_door_and_the_reference_is_shown(world: World) -> None:
    who = address()
    mail = world.send(who, phone=None)
    page = world.browser().get(f"/m/{mail.token(who)}").text
    assert "Text me a code" not in page
    assert f"{mail.reference[:3]} {mail.reference[3:]}" in page
    assert CLINIC_PHONE in page


def test_looking_shows_text_and_pictures_and_nothing_else(world: World) -> None:
    who = address()
    png = b"\x89PNG\r\n\x1a\n" + secrets.token_bytes(500)
    files = [
        ("note.txt", "text/plain", "Grüße <script>".encode()),
        ("photo.png", "image/png", png),
        ("draw.svg", "image/svg+xml", b"<svg onload='x'/>"),
        ("page.html", "text/html", b"<script>x</script>"),
    ]
    mail = world.send(who, files=files)
    browser = world.sign_in(mail, who)
    base = plain(mail, who)
    note = browser.get(f"{base}/files/{mail.object(1)}/look")
    assert "Grüße &lt;script&gt;" in note.text
    look = browser.get(f"{base}/files/{mail.object(2)}/look")
    assert f'src="{base}/files/{mail.object(2)}/picture"' in look.text
    assert "img-src 'self'" in look.headers["content-security-policy"]
    picture = browser.get(f"{base}/files/{mail.object(2)}/picture")
    assert picture.content == png
    assert picture.headers["content-type"] == "image/png"
    assert "sandbox" in picture.headers["content-security-policy"]
    for number in (3, 4):
        assert browser.get(f"{base}/files/{mail.object(number)}/look").status_code == 404
        assert browser.get(f"{base}/files/{mail.object(number)}/picture").status_code == 404
        saved = browser.get(f"{base}/files/{mail.object(number)}")
        assert saved.headers["content-type"] == "application/octet-stream"


def test_an_original_beside_parts_is_not_the_recipients(world: World) -> None:
    who = address()
    mail = world.send(who, original=b"Bcc: other@mail.example\r\n\r\nall of it")
    browser = world.sign_in(mail, who)
    assert "message.eml" not in browser.get(plain(mail, who)).text
    assert browser.get(f"{plain(mail, who)}/files/{mail.object(2)}").status_code == 404
    whole = world.send(who, body={}, files=[], original=b"signed, all of it")
    browser = world.sign_in(whole, who)
    assert "message.eml" in browser.get(plain(whole, who)).text
    assert browser.get(f"{plain(whole, who)}/files/{whole.object(0)}").content == b"signed, all of it"


def test_an_empty_file_downloads_and_counts_as_opened(world: World) -> None:
    who = address()
    mail = world.send(who, files=[("empty.txt", "text/plain", b"")])
    browser = world.sign_in(mail, who)
    answer = browser.get(f"{plain(mail, who)}/files/{mail.object(1)}")
    assert answer.status_code == 200
    assert answer.content == b""
    assert len(world.events("object:opened", mail.object(1))) == 1
