"""What officers, auditors and everybody else meet on the compliance pages: searches, stories, proofs, reports."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import secrets
import zipfile
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.audit.event import SYSTEM, Action, Actor, Event
from gateway.audit.search import page as page_of_log
from gateway.audit.sequencer import Sequencer
from gateway.audit.verify import verify
from gateway.flow.kept import MOST_PER_TENANT
from gateway.portal.table import defused, table
from keys.errors import Tampered
from keys.merkle import leaf_hash, verify_inclusion
from keys.notes import parse_checkpoint
from tests.support.keyholder import TENANT
from tests.unit.portal.test_staff import address, member
from tests.unit.portal.world import Browser, World, plain


@pytest.fixture(scope="module", autouse=True)
def seniors(world: World) -> dict[str, Browser]:
    """An officer and an administrator: after the first officer's sign-in nobody can add another."""
    names = {role: member(world, role) for role in ("officer", "admin")}
    audit, system = world.deps.audit.proofs._audit, world.keyholder.operator.vkeys(SYSTEM)
    keys = {"origin": system["origin"], "release_vkey": system["release_vkey"], "system_vkey": system["system_vkey"]}
    world.store.run(lambda tx: audit.open_log(tx, SYSTEM, **keys) and None)
    return {role: world.staff_browser(name) for role, name in names.items()}


def officer(world: World) -> Browser:
    """A browser of an auditor, who sees on these pages what an officer sees; signed in once for all tests."""
    known = world.__dict__.setdefault("auditor", None)
    if known is None:
        known = world.__dict__["auditor"] = world.staff_browser(member(world, "auditor"))
    assert isinstance(known, Browser)
    return known


def ask(browser: Browser, query: str, **more: str) -> str:
    """The page that a search gives."""
    answer = browser.post("/audit", browser.get("/audit").text, q=query, **more)
    assert answer.status_code == 200, answer.text
    return answer.text


def actions(page: str) -> list[str]:
    """The events on a page, in order."""
    return re.findall(r'data-event="([a-z:-]+)"', page)


def sign(world: World) -> None:
    """What the worker does every second."""
    sequencer = Sequencer(world.deps.audit.proofs._audit, world.keyholder.worker)
    for name in (TENANT, SYSTEM):
        sequencer._sign(name)


def unpacked(pdf: bytes) -> bytes:
    """A PDF with its compressed streams opened (ISO 32000-1 7.3.8)."""
    found = [pdf]
    for one in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):
            found.append(zlib.decompress(one))
    return b"\n".join(found)


def test_a_person_is_found_by_address_and_by_domain_and_no_address_stands_in_an_address_line(world: World) -> None:
    who, domain = address(), f"d{secrets.token_hex(4)}.example"
    other = f"records@{domain}"
    mail = world.send(who, other)
    world.sign_in(mail, who).get(plain(mail, who))
    browser = officer(world)
    page = ask(browser, f"recipient:{who} action:object:opened")
    assert set(actions(page)) == {"object:opened"}
    assert who in page
    assert actions(ask(browser, f"recipient:{other} action:object:opened")) == []
    assert "link:visited" in actions(ask(browser, f"recipient:{who}"))
    assert actions(ask(browser, f"recipient:@{domain.upper()} action:object:opened")) == []
    found = ask(browser, f"message:{mail.reference} action:object:opened")
    assert set(actions(found)) == {"object:opened"}
    assert not [one for one in re.findall(r'(?:href|action)="([^"]*)"', page) if "@" in one or "%40" in one]


def test_staff_are_found_by_the_first_part_of_their_address(world: World) -> None:
    name = member(world)
    world.staff_browser(name)
    page = ask(officer(world), f"actor:{name.partition('@')[0]} action:session:started")
    assert actions(page) == ["session:started"]
    assert name in page


def test_every_search_is_in_the_log_before_its_answer_and_without_its_words(world: World) -> None:
    name = member(world, "auditor")
    browser, who = world.staff_browser(name), address()
    ask(browser, f"recipient:{who} created:2026-01-01..2030-01-01")
    (entry,) = [one for one in world.events("log:searched") if one["actor"]["id"] == world.staff[name].user]
    assert entry["reason"] == "created recipient"
    assert entry["object"].startswith("val_")
    assert who not in json.dumps(world.events())


def test_a_day_is_one_on_the_clinics_clock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    zones: list[Any] = []

    def seen(*args: Any, **more: Any) -> Any:
        zones.append(more.get("zone"))
        return page_of_log(*args, **more)

    monkeypatch.setattr("gateway.flow.officer.page", seen)
    monkeypatch.setattr("gateway.flow.officer_report.page", seen)
    who = address()
    world.send(who)
    browser = officer(world)
    ask(browser, "created:2026-01-01..2030-01-01")
    person = world.store.run(lambda tx: world.people.add(tx, TENANT, who))
    shown = browser.get(f"/audit/people/{person}").text
    form = {"from": "2020-01-01", "to": "2040-01-01", "form": "page"}
    report = browser.post(f"/audit/people/{person}/report", shown, **form).text
    assert "2040-01-01 (Central time)" in report
    assert zones[0] == zones[-1] == ZoneInfo("America/Chicago")


def test_an_unknown_word_is_named_with_the_nearest_and_searches_nothing(world: World) -> None:
    browser = officer(world)
    before = len(world.events("log:searched"))
    answer = browser.post("/audit", browser.get("/audit").text, q="recipent:x@y.example")
    assert answer.status_code == 400
    assert "recipient" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert len(world.events("log:searched")) == before
    assert "Nothing fits" in ask(browser, "object:msg_0000000000000000")


def test_more_than_a_page_is_turned_by_a_form(world: World) -> None:
    audit = world.deps.audit.proofs._audit
    many = [Event(Action.QUEUE_RETRIED, TENANT, f"msg_paged{number}", Actor("operator", "")) for number in range(60)]
    world.store.run(lambda tx: [audit.append(tx, one) for one in many] and None)
    browser = officer(world)
    page = ask(browser, "action:queue:retried")
    before = re.search(r'name="before" value="(\d+)"', page)
    assert before is not None
    older = ask(browser, "action:queue:retried", before=before[1])
    assert (len(actions(page)), len(actions(older))) == (50, 10)
    assert not set(re.findall(r"msg_paged\d+", page)) & set(re.findall(r"msg_paged\d+", older))


def test_the_story_says_why_and_the_entry_below_proves_itself(world: World) -> None:
    who = address()
    mail = world.send(who)
    world.sign_in(mail, who).get(plain(mail, who))
    sign(world)
    browser = officer(world)
    page = browser.get(f"/audit/messages/{mail.message}").text
    assert "phi body" in page
    assert "clinic@00000000" in page
    assert "Your results" in page
    assert {"link:visited", "object:opened"} <= set(actions(page))
    row = re.search(r'data-event="object:opened".*?href="(/audit/entries/\d+)"', page, re.DOTALL)
    assert row is not None
    found = browser.get(row[1]).text.replace("&#34;", '"')
    raw = re.search(r'data-part="raw">(.*?)</pre>', found, re.DOTALL)
    note = re.search(r'data-part="note">(.*?)</pre>', found, re.DOTALL)
    assert raw is not None
    assert note is not None
    checkpoint = parse_checkpoint(note[1].rstrip("\n").rpartition("\n\n")[0].replace("&#43;", "+") + "\n")
    proof = [base64.b64decode(one.replace("&#43;", "+")) for one in re.findall(r'data-part="proof">([^<]+)<', found)]
    leaf = leaf_hash(raw[1].encode())
    verify_inclusion(leaf, int(row[1].rpartition("/")[2]), checkpoint.size, proof, checkpoint.root)
    with pytest.raises(Tampered):
        verify_inclusion(leaf_hash(raw[1].encode() + b" "), 0, checkpoint.size, proof, checkpoint.root)


def test_a_persons_story_and_report_name_files_proof_and_the_log(world: World) -> None:
    who = address()
    mail = world.send(who)
    reader = world.sign_in(mail, who)
    reader.get(f"{plain(mail, who)}/files/{mail.object(1)}")
    browser = officer(world)
    person = world.store.run(lambda tx: world.people.add(tx, TENANT, who))
    page = browser.get(f"/audit/people/{person}").text
    assert who in page
    form = {"from": "2020-01-01", "to": "2040-01-01"}
    shown = browser.post(f"/audit/people/{person}/report", page, form="page", **form).text
    assert "röntgen 2026.pdf" in shown
    assert "text-message code" in shown
    assert "release " in shown
    head = world.deps.audit.proofs.head(TENANT)
    assert head.origin in shown or "root" in shown
    pdf = browser.post(f"/audit/people/{person}/report", page, form="pdf", **form)
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")
    inside = unpacked(pdf.content)
    for mark in (b"/MarkInfo", b"/StructTreeRoot", b"/Lang", b"pdfuaid"):
        assert mark in inside, mark
    csv = browser.post(f"/audit/people/{person}/report", page, form="csv", **form)
    assert csv.content.startswith(b"\xef\xbb\xbf")
    assert csv.headers["content-disposition"] == 'attachment; filename="report.csv"'
    assert [one["reason"] for one in world.events("log:exported", person)] == ["page", "pdf", "csv"]
    bad = browser.post(f"/audit/people/{person}/report", page, form="page", **{"from": "soon", "to": "2040-01-01"})
    assert bad.status_code == 422


def test_a_report_without_the_library_offers_the_printable_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    who = address()
    world.send(who)
    person = world.store.run(lambda tx: world.people.add(tx, TENANT, who))
    browser = officer(world)
    page = browser.get(f"/audit/people/{person}").text
    monkeypatch.setattr("gateway.portal.pages.officer_report.pdf_of", lambda html: None)
    form = {"from": "2020-01-01", "to": "2040-01-01", "form": "pdf"}
    answer = browser.post(f"/audit/people/{person}/report", page, **form)
    assert answer.status_code == 200
    assert "cannot make PDF" in answer.text
    assert "Report of disclosures" in answer.text


def test_the_log_is_taken_away_whole_and_checks_elsewhere(world: World, tmp_path: Path) -> None:
    sign(world)
    browser = officer(world)
    page = browser.get("/audit/verify").text
    exporting = world.deps.audit.proofs
    # The worker signs every second; here the test is the worker.
    original = exporting._signed
    exporting._signed = lambda tenant: (sign(world), original(tenant))[1]  # type: ignore[method-assign]
    try:
        answer = browser.post("/audit/export", page)
    finally:
        del exporting._signed  # type: ignore[method-assign]
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    report = verify(tmp_path / "log", (tmp_path / "log" / "vkey").read_text().strip())
    assert report.problems == ()
    assert report.sizes["log"] > 5
    assert world.events("log:exported")[-1]["reason"] == "zip"


def test_an_export_waits_while_others_are_being_read_and_the_page_says_so(world: World, tmp_path: Path) -> None:
    browser = officer(world)
    page, kept = browser.get("/audit/verify").text, world.deps.audit.proofs._kept
    lying = [kept.keep(TENANT, TemporaryDirectory(dir=tmp_path), 1, iter([b"piece"])) for _ in range(MOST_PER_TENANT)]
    answer = browser.post("/audit/export", page)
    assert answer.status_code == 503
    assert "try again in a few minutes" in answer.text
    assert (world.events("log:exported")[-1]["outcome"], world.events("log:exported")[-1]["reason"]) == (
        "refused", "busy"
    )  # fmt: skip
    for one in lying:
        one.close()
    kept.need_room(TENANT)


def test_an_old_notice_is_held_against_the_log(world: World) -> None:
    sign(world)
    sequencer = Sequencer(world.deps.audit.proofs._audit, world.keyholder.worker)
    header = sequencer.deposit(TENANT)
    mail = f"From: clinic\r\nSealgate-Checkpoint: {header}\r\nSubject: x\r\n\r\nbody\r\n".encode()
    browser = officer(world)
    page = browser.get("/audit/verify").text
    token = re.search(r'name="csrf" value="([^"]*)"', page)
    assert token is not None

    def check(data: bytes) -> str:
        answer = browser.client.post(
            "/audit/verify", data={"csrf": token[1]}, files={"notice": ("old.eml", data, "message/rfc822")},
            headers={"origin": "null", "sec-fetch-site": "same-origin"},
        )  # fmt: skip
        found = re.search(r'data-result="([a-z]+)"', answer.text)
        return found[1] if found else str(answer.status_code)

    assert check(mail) == "fits"
    assert check(mail.replace(b"v1; ", b"v1; x")) == "unknown"
    assert check(b"Subject: another mail\r\n\r\nhello\r\n") == "none"
    assert check(b"") == "422"
    assert check(b"x" * 1_200_000) == "413"
    assert "contains it unchanged" in browser.get("/audit/verify").text


OFFICERS_PAGES = ("/audit", "/audit/held", "/audit/verify", "/audit/messages/{0}", "/audit/entries/0")


@pytest.mark.parametrize(
    ("role", "may"), [("officer", True), ("auditor", True), ("admin", False), ("office", False), ("staff", False)]
)
def test_only_officers_and_auditors_see_names(world: World, seniors: dict[str, Browser], role: str, may: bool) -> None:
    mail = world.send(address())
    browser = seniors[role] if role in seniors else world.staff_browser(member(world, role))
    for path in OFFICERS_PAGES:
        assert browser.get(path.format(mail.message)).status_code == (200 if may else 403), path
    refused = () if may else ("/audit/export",)  # who may is the test above
    for path in ("/audit", "/audit/table", "/audit/verify", *refused):
        answer = browser.post(path, browser.get("/audit/overview").text or browser.get("/staff").text)
        assert (answer.status_code == 403) is not may, path
    counts = browser.get("/audit/overview")
    assert counts.status_code == (200 if may or role == "admin" else 403)
    if role == "admin":
        assert "@" not in re.sub(r"<a [^>]*>|</a>", "", counts.text.split("<main")[1].split("</main>")[0])
    assert world.browser().get("/audit").headers["location"] == "/staff/sign-in"


def test_cells_that_a_spreadsheet_would_run_are_defused() -> None:
    for bad in (
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "  =1+1",
        "\uff1d1",
        "\u200b=1+1",
        "\u00a0=1+1",
        "\u3000=1",
        "\x0b=1",
    ):
        assert defused(bad).startswith("'"), bad
    assert defused("maria@mail.example") == "maria@mail.example"
    assert defused(7) == "7"
    assert table(["a"], [["=cmd|' /C calc'!A0"], ['say "x"']]) == (
        b'\xef\xbb\xbf"a"\r\n"\'=cmd|\' /C calc\'!A0"\r\n"say ""x"""\r\n'
    )


def test_an_empty_desk_says_so_and_staff_see_only_their_own(world: World, seniors: dict[str, Browser]) -> None:
    assert "Nothing is held" in seniors["officer"].get("/audit/held").text
    staff = world.staff_browser(member(world))
    assert "None of your mail waits" in staff.get("/staff/held").text
    assert 'href="/staff/held"' in staff.get("/staff").text
    assert seniors["officer"].get("/staff/held").headers["location"] == "/audit/held"
    mail = world.send(address())
    assert seniors["officer"].get(f"/audit/held/{mail.message}").status_code == 404  # it never was held
    assert staff.get(f"/staff/held/{mail.message}").status_code == 404
