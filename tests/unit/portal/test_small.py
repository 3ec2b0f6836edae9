"""Small pure parts: file names, ranges, times, guesses, cookies, words."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from gateway import words
from gateway.assets import web_dir
from gateway.flow.running import Running
from gateway.flow.trail import visitor_kind
from gateway.portal import letters
from gateway.portal.answers import Away, Span, disposition, span_of
from gateway.portal.cookies import Jar, encode, form_token, form_token_holds
from gateway.portal.face import Face, size_words, type_key
from gateway.portal.letters import safe_html
from gateway.portal.limits import network_of
from gateway.portal.pages.open import masked
from gateway.portal.pages.retention import values_of
from gateway.portal.pdf import pdf_of
from gateway.portal.render import Renderer
from tests.unit.portal.retention_samples import DONE, TEXT
from tests.unit.portal.samples import FACE, rendered

CHICAGO = Face("t", "Clinic", "+1 555 010 0199", "https://mail.clinic.example", "America/Chicago")


@given(st.text(max_size=300))
def test_a_file_name_never_breaks_out_of_its_header(name: str) -> None:
    field = disposition(name)
    assert field.isascii()
    assert re.fullmatch(
        r'attachment; filename="[A-Za-z0-9 ._()+=@,_-]+"(; filename\*=UTF-8\'\'[A-Za-z0-9%._~-]+)?', field
    )
    exact = unquote(field.partition("filename*=UTF-8''")[2])
    for bad in "\r\n/\\\x00\u202e":
        assert bad not in exact


def test_a_true_name_is_kept() -> None:
    assert disposition("Befund 1.pdf") == 'attachment; filename="Befund 1.pdf"'
    assert "filename*=UTF-8''%E6%A4%9C%E6%9F%BB.pdf" in disposition("検査.pdf")
    assert disposition("../../etc/passwd") == 'attachment; filename="_.._etc_passwd"'
    assert disposition("a\u202efdp.exe", inline=True).startswith("inline;")


@given(st.integers(0, 10**7), st.text(alphabet="bytes=0123456789-, ", max_size=20))
def test_a_range_lies_inside_the_file(size: int, field: str) -> None:
    span = span_of(size, '"e"', field, "")
    assert span is None or 0 <= span.start <= span.stop <= size


def test_ranges_by_the_book() -> None:
    assert span_of(100, '"e"', "bytes=0-0", "") == Span(0, 1, True)
    assert span_of(100, '"e"', "bytes=90-200", "") == Span(90, 100, True)
    assert span_of(100, '"e"', "bytes=-30", "") == Span(70, 100, True)
    assert span_of(100, '"e"', "bytes=-0", "") is None
    assert span_of(100, '"e"', "bytes=100-", "") is None
    assert span_of(0, '"e"', "bytes=0-", "") is None
    assert span_of(100, '"e"', "bytes=9-3", "") == Span(0, 100, False)
    assert span_of(100, '"e"', "lines=1-2", "") == Span(0, 100, False)
    assert span_of(100, '"e"', "bytes=0-1", 'W/"e"') == Span(0, 100, False)


def test_times_in_tables_are_brief_and_the_head_says_the_zone_where_it_has_words() -> None:
    moment = datetime(2026, 12, 4, 23, 0, tzinfo=UTC)
    assert (CHICAGO.brief_time(moment), CHICAGO.table_zone) == ("Fri 4 Dec 2026, 5:00 pm", "Central time")
    berlin = replace(CHICAGO, timezone="Europe/Berlin")
    assert (berlin.brief_time(moment), berlin.table_zone) == ("Sat 5 Dec 2026, 12:00 am CET", "")


def test_times_are_said_with_their_zone() -> None:
    assert (
        CHICAGO.words_of_time(datetime(2026, 12, 4, 23, 0, tzinfo=UTC))
        == "Friday 4 December 2026, 5:00 pm Central time"
    )
    assert (
        CHICAGO.words_of_time(datetime(2026, 7, 4, 5, 5, tzinfo=UTC)) == "Saturday 4 July 2026, 12:05 am Central time"
    )


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1500, "1.5 kB"), (999_999, "1.0 MB"), (25_400_000, "25 MB")],
)
def test_sizes_are_said_plainly(count: int, said: str) -> None:
    assert size_words(count) == said


def test_every_file_type_has_words() -> None:
    for kind in ("application/pdf", "image/png", "text/plain", "application/x-unknown", "", "text/csv; charset=utf-8"):
        assert words.say(type_key(kind))


@pytest.mark.parametrize(
    ("method", "agent", "seconds", "kind"),
    [
        ("GET", "Mozilla/5.0 Safari", 3600.0, "unknown"), ("GET", "Mozilla/5.0 Safari", None, "unknown"),
        ("HEAD", "Mozilla/5.0 Safari", 3600.0, "scanner-likely"), ("GET", "Mozilla/5.0 Safari", 5.0, "scanner-likely"),
        ("GET", "SafeLinks check", 3600.0, "scanner-likely"), ("GET", "", 3600.0, "scanner-likely"),
    ],
)  # fmt: skip
def test_who_came_is_guessed(method: str, agent: str, seconds: float | None, kind: str) -> None:
    assert visitor_kind(method, agent, seconds) == kind


def test_cookies_are_host_bound_secure_and_unreadable_for_script() -> None:
    jar = Jar({}, secure=True)
    jar.visitor()
    jar.keep_link("lnk_abc", b"s" * 16)
    answer = Response()
    jar.write(answer)
    fields = answer.headers.getlist("set-cookie")
    assert len(fields) == 2
    for field in fields:
        assert field.startswith("__Host-")
        for attribute in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
            assert attribute in field
        assert "domain" not in field.lower()


def test_old_links_make_room_in_the_cookie_jar() -> None:
    given_cookies = {f"__Host-link-g{n}": encode(bytes([n]) * 16) for n in range(9)}
    jar = Jar(given_cookies, secure=True)
    jar.keep_link("lnk_new", b"n" * 16)
    answer = Response()
    jar.write(answer)
    dropped = [field for field in answer.headers.getlist("set-cookie") if "link-g" in field]
    assert len(dropped) == 2
    assert all("Max-Age=0" in field for field in dropped)


def test_a_form_token_belongs_to_one_browser_and_one_session() -> None:
    token = form_token("visitor", "handle")
    assert form_token_holds(token, "visitor", "handle")
    for visitor, handle in (("other", "handle"), ("visitor", "other"), ("visitor", ""), ("visitorh", "andle")):
        assert not form_token_holds(token, visitor, handle)


def test_redirects_stay_here() -> None:
    for path in ("https://evil.example/", "//evil.example/", ""):
        with pytest.raises(ValueError, match="stay on this host"):
            Away(path)


def test_networks_are_slash_24_and_56() -> None:
    assert network_of("203.0.113.77") == "203.0.113.0/24"
    assert network_of("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert network_of("2001:db8:1:2ff::1") == "2001:db8:1:200::/56"
    assert network_of("nonsense") == "unknown"


def test_an_address_is_masked_to_its_first_letter() -> None:
    assert masked("maria@mail.example") == "m***@mail.example"
    assert masked("") == "***"


@given(st.text(max_size=400))
def test_sanitised_html_has_no_way_to_run_or_fetch(html: str) -> None:
    shown = str(safe_html(html)).lower()
    for bad in ("<script", "<img", "<style", "<iframe", "<object", "<svg", "javascript:", "<form", "<input", "<link"):
        assert bad not in shown


def test_a_cut_reaches_every_download_of_that_grant_and_no_other() -> None:
    runs = Running()
    one, two, other = runs.begin("a"), runs.begin("a"), runs.begin("b")
    assert runs.count() == 3
    runs.cut("a")
    assert one.is_set()
    assert two.is_set()
    assert not other.is_set()
    for each in (one, one, two, other):
        each.over()
    assert runs.count() == 0


def test_a_certificate_is_a_tagged_pdf_with_its_signed_text() -> None:
    pytest.importorskip("weasyprint", reason="the extra pdf is not installed")
    values = values_of(DONE, TEXT)
    html = Renderer(demo=True).page(FACE, "officer/certificate_pdf.html", "", **values)
    assert "Sealgate certificate of destruction v1" in html
    made = pdf_of(html)
    assert made is not None
    assert made.startswith(b"%PDF-")


BUILT = (
    "portal.problem.", "staff.state.", "staff.proof.", "staff.help.sure_", "event.", "filetype.", "portal.limits.can",
    "staff.problem.", "staff.reason.", "officer.kind.", "officer.outcome.", "officer.proof.", "officer.state.",
    "officer.count.", "officer.act.", "officer.actstate.", "officer.failure.", "officer.denied.", "officer.search.",
    "officer.changes.", "officer.setting.", "officer.role.", "staff.sign_in.", "officer.number.",
    "officer.verify.", "officer.held.release", "officer.held.drop", "officer.held.choose",
    "officer.held.reason_missing", "officer.held.code_missing", "staff.people.kind_", "staff.people.wrong.",
    "staff.report.end_", "staff.report.body", "staff.report.thing", "staff.sent.none_", "staff.sent.show_",
    "staff.stopped.", "rule.", "officer.search.ready_", "event.purpose.", "officer.retention.title_",
    "officer.retention.about_", "officer.retention.do_", "officer.retention.day_", "officer.retention.note_",
    "officer.retention.denied_", "officer.certificate.what_", "portal.inbox.state.",
)  # fmt: skip
"""Words whose last part is made from a value."""


def _keys(*rooms: str) -> list[str]:
    return [key for key in sorted(words.language().keys()) if key.split(".")[0] in rooms]


def test_every_page_renders_and_every_word_is_used() -> None:
    assert all("</html>" in page for page in rendered().values())
    sources = " ".join(path.read_text() for path in (web_dir() / "templates").rglob("*.html"))
    sources += " ".join(path.read_text() for path in (web_dir().parent / "gateway" / "portal").rglob("*.py"))
    keys = _keys("portal", "staff", "event", "filetype", "officer", "report", "rule")
    assert [
        key for key in keys if f'"{key}"' not in sources and f"'{key}'" not in sources and not key.startswith(BUILT)
    ] == []


def test_at_night_the_sheet_changes_colours_and_nothing_else() -> None:
    sheet = (web_dir() / "static" / "portal.css").read_text()
    (night,) = re.findall(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{([^}]*)\}\s*\}", sheet)
    assert sheet.count("prefers-color-scheme") == 1
    assert re.fullmatch(r"(\s*--[a-z-]+: #[0-9a-f]{3,6};)+\s*", night)


def test_words_stay_near_grade_six() -> None:
    english = words.language()
    spoken = [english.say(key, **dict.fromkeys(english.fields(key), "x")) for key in _keys("portal")]
    text = " ".join(sentence if sentence.endswith((".", "?", "!")) else sentence + "." for sentence in spoken)
    sentences = len(re.findall(r"[.!?]+", text))
    tokens = re.findall(r"[A-Za-z]+", text)
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", token.lower())))) for token in tokens)
    grade = 0.39 * len(tokens) / sentences + 11.8 * syllables / len(tokens) - 15.59
    assert 0 < grade <= 6.0, grade


def test_a_long_letter_is_words_alone_and_reaches_no_sanitiser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letters.nh3, "clean", lambda *_, **__: pytest.fail("it was sanitised"))
    page = "<style>p { color: red }</style><p>Dear &amp; kind</p>" + "&" * letters.SHOWN_CHARACTERS + "<b>end</b>"
    assert letters.shown(page) is None
    words = letters.words_of(page)
    assert words.startswith("Dear & kind\n&&")
    assert words.endswith("end")
    assert "color" not in words


def test_letters_leave_most_page_threads_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_: object, **__: object) -> str:
        begun.release()
        go_on.wait(60)
        return "done"

    monkeypatch.setattr(letters.nh3, "clean", slow)
    monkeypatch.setattr(letters, "WAIT_SECONDS", 60.0)
    found: list[object] = []
    readers = [threading.Thread(target=lambda: found.append(letters.shown("<p>"))) for _ in range(letters.IN_LINE)]
    for reader in readers:
        reader.start()
    try:
        assert all(begun.acquire(timeout=60) for _ in range(letters.AT_ONCE))
        until = time.monotonic() + 60
        while letters._line.acquire(blocking=False) and time.monotonic() < until:
            letters._line.release()
            time.sleep(0.01)
        assert letters.shown("<p>") is None, "one more does not wait"
        assert not begun.acquire(blocking=False), "and no more are made at once"
    finally:
        go_on.set()
        for reader in readers:
            reader.join(60)
    assert found == ["done"] * letters.IN_LINE
    assert letters.shown("<p>") == "done", "every seat was given back"
