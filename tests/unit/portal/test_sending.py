"""What leaves, counted once: a download that was cut and goes on, all files as one archive, readers that stop."""

from __future__ import annotations

import contextlib
import io
import re
import secrets
import zipfile
from pathlib import Path

import pytest

from gateway.flow import sending
from gateway.portal import protocol
from keys.client import PortalClient
from tests.unit.portal.test_neighbours import _raw_get, _stored, address
from tests.unit.portal.world import PDF, Browser, Mail, World, plain, portal, wait_for

BIG = secrets.token_bytes(1_000_000) * 12
NAMES = [("a/b.pdf", PDF), ("A_B.PDF", b"another"), ("Röntgen.txt", b"plain words")]


def ends(world: World, object: str) -> list[tuple[str, str, int]]:
    """How requests for an object ended: the event's last word, its reason's first, its bytes."""
    found = [one for one in world.events(about=object) if one["action"].startswith("object:")]
    return [
        (one["action"].removeprefix("object:"), one["reason"].split()[0], one["bytes"])
        for one in found
        if one["action"] != "object:opened"
    ]


def file_of(mail: Mail, who: str, position: int = 1) -> str:
    return f"{plain(mail, who)}/files/{mail.object(position)}"


def cut_off(world: World, browser: Browser, path: str, most: int) -> bytes:
    """The first bytes of an answer to somebody whose line drops."""
    with _raw_get(world, browser, path) as raw:
        got = b""
        while len(got) < most:
            got += raw.recv(min(65536, most - len(got)))
    return got.partition(b"\r\n\r\n")[2]


def test_a_download_cut_at_60_percent_goes_on_under_the_same_release_and_counts_once(world: World) -> None:
    who = address()
    mail = world.send(who, files=[("scan.bin", "application/octet-stream", BIG)])
    browser = world.sign_in(mail, who)
    got = cut_off(world, browser, file_of(mail, who), len(BIG) * 6 // 10)
    file = mail.object(1)
    wait_for(lambda: ends(world, file))
    etag = browser.client.head(file_of(mail, who)).headers["etag"]
    rest = browser.get(file_of(mail, who), Range=f"bytes={len(got)}-", if_range=etag)
    assert rest.status_code == 206
    assert got + rest.content == BIG
    wait_for(lambda: world.events("object:completed", file))
    failed, part, done = ends(world, file)
    assert failed[:2] == ("failed", "cut")
    assert len(got) <= failed[2] < len(BIG)
    assert part == ("part", "range", len(rest.content))
    assert done == ("completed", "resumed", len(BIG))
    (entry,) = world.events("object:completed", file)
    assert entry["reason"] == f"resumed tag:{mail.objects[1]['header_tag'].hex()}"
    first, second = world.events("object:opened", file)
    assert first["receipt"] == second["receipt"], "one release, resumed"
    again = browser.get(file_of(mail, who), Range=f"bytes={len(got)}-")
    assert again.content == rest.content
    wait_for(lambda: len(ends(world, file)) == 4)
    assert len(world.events("object:completed", file)) == 1, "the same part again completes nothing anew"


def test_parts_in_any_order_and_twice_count_once_and_a_whole_one_counts_again(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    half = len(PDF) // 2
    fields = [f"bytes={half}-", "bytes=0-99", "bytes=0-99", f"bytes=100-{half}"]
    for number, field in enumerate(fields, 1):
        assert browser.get(file_of(mail, who), Range=field).status_code == 206
        wait_for(lambda number=number: len(world.events("object:part", mail.object(1))) == number)
    wait_for(lambda: len(world.events("object:completed", mail.object(1))) == 1)
    assert browser.get(file_of(mail, who)).content == PDF
    wait_for(lambda: len(world.events("object:completed", mail.object(1))) == 2)
    last = world.events("object:completed", mail.object(1))[-1]
    assert last["reason"] == f"whole tag:{mail.objects[1]['header_tag'].hex()}"


def test_parts_of_two_people_are_not_one_download(world: World) -> None:
    one, other = address(), address()
    mail = world.send(one, other)
    half = len(PDF) // 2
    for number, (who, field) in enumerate(((one, f"bytes=0-{half}"), (other, f"bytes={half}-")), 1):
        browser = world.sign_in(mail, who)
        assert browser.get(file_of(mail, who), Range=field).status_code == 206
        wait_for(lambda number=number: len(world.events("object:part", mail.object(1))) == number)
    assert world.events("object:completed", mail.object(1)) == []


def test_preview_is_logged_as_preview_and_saving_as_saving(world: World) -> None:
    who = address()
    mail = world.send(who, files=[("notes.txt", "text/plain", b"words")])
    browser = world.sign_in(mail, who)
    browser.get(f"{file_of(mail, who)}/look")
    browser.get(file_of(mail, who))
    browser.get(f"{plain(mail, who)}/files")
    opened = world.events("object:opened", mail.object(1))
    assert [one["reason"] for one in opened] == ["text look", "text download", "text zip"]
    assert len({one["receipt"] for one in opened}) == 3, "each purpose is a release of its own"


def test_all_files_come_as_one_archive_each_with_its_own_release_and_end(world: World) -> None:
    who = address()
    mail = world.send(who, files=[(name, "application/pdf", data) for name, data in NAMES])
    browser = world.sign_in(mail, who)
    page = browser.get(plain(mail, who)).text
    assert f'href="{plain(mail, who)}/files"' in page
    assert "Download all 3 files" in page
    assert browser.client.head(f"{plain(mail, who)}/files").status_code == 200
    assert world.events("object:opened", mail.object(1)) == []
    answer = browser.get(f"{plain(mail, who)}/files")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="message-{mail.reference}.zip"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["a_b.pdf", "A_B (2).PDF", "Röntgen.txt"]
        assert [archive.read(one) for one in archive.namelist()] == [data for _, data in NAMES]
    receipts = set()
    for position, (_, data) in enumerate(NAMES, 1):
        wait_for(lambda position=position: world.events("object:completed", mail.object(position)))
        assert ends(world, mail.object(position)) == [("completed", "whole", len(data))]
        receipts.update(one["receipt"] for one in world.events("object:opened", mail.object(position)))
    assert len(receipts) == 3
    etag = answer.headers["etag"]
    rest = browser.get(f"{plain(mail, who)}/files", Range="bytes=300000-", if_range=etag)
    assert (rest.status_code, rest.content) == (206, answer.content[300_000:])
    assert browser.get(f"{plain(mail, who)}/files", Range="bytes=9000000-").status_code == 416
    wait_for(lambda: world.running.count() == 0)


def test_one_file_needs_no_archive(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    assert "download-all" not in browser.get(plain(mail, who)).text


def test_a_bad_segment_within_cuts_the_archive_short_of_its_length(world: World) -> None:
    who = address()
    mail = world.send(who, files=[("1.bin", "application/octet-stream", BIG), ("2.pdf", "application/pdf", PDF)])
    browser = world.sign_in(mail, who)
    path = _stored(world, mail.object(2))
    good = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(good[:400_000] + bytes([good[400_000] ^ 1]) + good[400_001:])
    with _raw_get(world, browser, f"{plain(mail, who)}/files") as raw:
        got = b""
        while piece := raw.recv(65536):
            got += piece
    path.write_bytes(good)
    head, _, body = got.partition(b"\r\n\r\n")
    promised = re.search(rb"content-length: (\d+)", head)
    assert promised is not None
    assert len(body) < int(promised[1])
    wait_for(lambda: world.events("object:failed", mail.object(2)))
    assert ends(world, mail.object(1)) == [("completed", "whole", len(BIG))]
    assert ends(world, mail.object(2))[0][1] == "tampered"
    assert world.events("tamper:found", mail.object(2))


def test_who_reads_nothing_is_cut_off_and_who_reads_is_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    who = address()
    mail = world.send(who, files=[("scan.bin", "application/octet-stream", BIG)])
    browser = world.sign_in(mail, who)
    monkeypatch.setattr(protocol, "STALL_SECONDS", 1.0)
    with _raw_get(world, browser, file_of(mail, who)) as raw:
        got = len(raw.recv(1000))
        failed = wait_for(lambda: world.events("object:failed", mail.object(1)))
        monkeypatch.undo()
        with contextlib.suppress(ConnectionError):
            while piece := raw.recv(1 << 20):
                got += len(piece)
    assert failed[0]["reason"].split()[0] == "cut"
    assert got < len(BIG)
    wait_for(lambda: world.running.count() == 0)
    assert browser.get(file_of(mail, who)).content == BIG


def test_what_a_budget_refuses_within_an_archive_is_a_page_and_no_part_of_it(tmp_path: Path) -> None:
    with portal(tmp_path, person_releases_per_hour=3) as world:
        mail = world.send(files=[(f"{number}.txt", "text/plain", b"x") for number in range(4)])
        browser = world.sign_in(mail)
        answer = browser.get(f"{plain(mail)}/files")
        assert answer.status_code == 429
        assert answer.headers["content-type"].startswith("text/html")
        for position in (1, 2, 3):
            assert len(world.events("object:opened", mail.object(position))) == 1, "released, so it stands in the log"
            assert ends(world, mail.object(position)) == [("failed", "stopped", 0)]
        assert world.events("object:opened", mail.object(4)) == []
        assert world.running.count() == 0


def test_a_download_asks_the_keyholder_three_times_however_long_it_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = address()
    mail = world.send(who, files=[("scan.bin", "application/octet-stream", BIG)])
    browser = world.sign_in(mail, who)
    asked: list[str] = []
    ask = PortalClient._call

    def counted(self: PortalClient, method: str, **more: object) -> object:
        asked.append(method)
        return ask(self, method, **more)

    monkeypatch.setattr(PortalClient, "_call", counted)
    monkeypatch.setattr(sending, "RECHECK_SECONDS", 3600.0)
    assert browser.get(file_of(mail, who)).content == BIG
    wait_for(lambda: world.events("object:completed", mail.object(1)))
    assert [one for one in asked if one != "keys"] == ["grant_info", "session", "release"]
