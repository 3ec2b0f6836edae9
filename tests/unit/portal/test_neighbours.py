"""What happens at the portal when a neighbour fails or something was changed."""

from __future__ import annotations

import re
import secrets
import socket
import time
from dataclasses import replace
from pathlib import Path

from sqlalchemy import update

from gateway.assets import web_dir
from gateway.store import schema
from tests.support.load import stretched
from tests.unit.portal.test_door import address
from tests.unit.portal.world import CLINIC_PHONE, PDF, Browser, World, plain, portal, serve, wait_for


def _blob(world: World, name: str) -> Path:
    return next(path for path in world.vault_dir.rglob("*") if path.is_file() and name in str(path))


def _stored(world: World, object_id: str) -> Path:
    with world.store.reading() as conn:
        row = world.rows.get(conn, schema.objects, object_id)
    assert row is not None
    return _blob(world, row["blob"].rsplit("/", 1)[-1])


def test_a_flipped_bit_is_refused_before_a_byte_of_its_segment_and_alarmed(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    path = _stored(world, mail.object(1))
    good = path.read_bytes()
    path.chmod(0o600)
    for at in (5, len(good) // 2 % 262_144 + 100, len(good) - 3):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        answer = browser.get(f"{plain(mail, who)}/files/{mail.object(1)}")
        assert answer.status_code == 503
        assert b"%PDF" not in answer.content
    path.write_bytes(good[:-262_144])
    assert browser.get(f"{plain(mail, who)}/files/{mail.object(1)}").status_code == 503
    path.write_bytes(good)
    assert browser.get(f"{plain(mail, who)}/files/{mail.object(1)}").content == PDF
    assert len(world.events("tamper:found", mail.object(1))) == 4


def test_a_bad_segment_in_the_middle_cuts_the_connection_short_of_its_length(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    path = _stored(world, mail.object(1))
    good = path.read_bytes()
    at = 400_000
    path.chmod(0o600)
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    with _raw_get(world, browser, f"{plain(mail, who)}/files/{mail.object(1)}") as raw:
        got = b""
        while piece := raw.recv(65536):
            got += piece
    path.write_bytes(good)
    head, _, body = got.partition(b"\r\n\r\n")
    promised = re.search(rb"content-length: (\d+)", head)
    assert promised is not None
    assert int(promised[1]) == len(PDF)
    assert len(body) < len(PDF)
    assert PDF.startswith(body)
    failed = wait_for(lambda: world.events("object:failed", mail.object(1)))
    assert failed[0]["reason"] == f"tampered 0-{len(body) - 1}"


def test_changed_rows_are_refused_and_named(world: World) -> None:
    who, other = address(), address()
    mail, swap = world.send(who), world.send(other)
    browser = world.sign_in(mail, who)

    def change(table: object, row: str, **values: object) -> None:
        world.store.run(lambda tx: tx.conn.execute(update(table).where(table.c.id == row).values(**values)))  # type: ignore[attr-defined]

    with world.store.reading() as conn:
        grant = world.rows.get(conn, schema.grants, mail.grant(who))
        stolen = world.rows.get(conn, schema.grants, swap.grant(other))
    assert grant is not None
    assert stolen is not None
    change(schema.grants, mail.grant(who), wrap=stolen["wrap"])
    assert world.browser().get(f"/m/{mail.token(who)}").status_code == 503
    assert world.events("tamper:found", mail.grant(who))
    change(schema.grants, mail.grant(who), wrap=grant["wrap"])
    assert world.browser().get(f"/m/{mail.token(who)}").status_code == 200
    change(schema.objects, mail.object(1), position=7)
    assert browser.get(f"{plain(mail, who)}/files/{mail.object(1)}").status_code == 503
    assert world.events("tamper:found", mail.message)


def test_a_stopped_keyholder_gives_503_and_readers_go_on_after(tmp_path: Path) -> None:
    with portal(tmp_path) as world:
        mail = world.send("maria@mail.example")
        browser = world.sign_in(mail)
        world.keyholder.stop()
        answer = browser.get(f"{plain(mail)}/files/{mail.object(1)}")
        assert answer.status_code == 503
        assert CLINIC_PHONE in answer.text
        world.keyholder.start()
        assert world.browser().get(f"/m/{mail.token()}").status_code == 200


def test_a_recall_ends_a_download_under_way(world: World) -> None:
    who = address()
    sender = f"r{secrets.token_hex(4)}@clinic.test"
    world.member(sender, "staff")
    big = secrets.token_bytes(1_000_000) * 40
    mail = world.send(who, sender=sender, files=[("big.bin", "application/octet-stream", big)])
    browser = world.sign_in(mail, who)
    staff = world.staff_browser(sender)
    page = staff.get(f"/staff/messages/{mail.message}/recall").text
    with _raw_get(world, browser, f"{plain(mail, who)}/files/{mail.object(1)}") as raw:
        got = len(raw.recv(65536))
        wait_for(lambda: world.running.count() == 1)
        assert staff.post(f"/staff/messages/{mail.message}/recall", page).status_code == 303
        while piece := raw.recv(65536):
            got += len(piece)
    assert got < len(big) // 2
    failed = wait_for(lambda: world.events("object:failed", mail.object(1)))
    assert failed[0]["reason"].split()[0] == "stopped"
    assert world.running.count() == 0


def test_a_browser_that_goes_away_stops_the_decryption(world: World) -> None:
    who = address()
    big = secrets.token_bytes(1_000_000) * 40
    mail = world.send(who, files=[("big.bin", "application/octet-stream", big)])
    browser = world.sign_in(mail, who)
    with browser.client.stream("GET", f"{plain(mail, who)}/files/{mail.object(1)}") as answer:
        next(answer.iter_bytes(1000))
    failed = wait_for(lambda: world.events("object:failed", mail.object(1)))
    assert failed[0]["reason"].split()[0] == "cut"
    assert 0 < failed[0]["bytes"] < len(big)


def _raw_get(world: World, browser: Browser, path: str) -> socket.socket:
    """A GET over a socket of our own, with a small window, so that the server has to wait for us."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.client.cookies.items())
    host = world.base.removeprefix("http://")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    raw.settimeout(20)
    raw.connect(("127.0.0.1", int(host.rpartition(":")[2])))
    raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\r\n".encode())
    return raw


def test_slow_downloads_do_not_make_another_client_wait(world: World) -> None:
    who = address()
    big = secrets.token_bytes(1_000_000) * 30
    mail = world.send(who, files=[("big.bin", "application/octet-stream", big)])
    browser = world.sign_in(mail, who)
    slow = [_raw_get(world, browser, f"{plain(mail, who)}/files/{mail.object(1)}") for _ in range(6)]
    try:
        assert [one.recv(15) for one in slow] == [b"HTTP/1.1 200 OK"] * 6
        assert world.running.count() == 6
        began = time.monotonic()
        assert world.browser().get("/healthz").status_code == 200
        assert world.browser().get(f"/m/{mail.token(who)}").status_code == 200
        assert time.monotonic() - began < stretched(2.0)
    finally:
        for one in slow:
            one.close()
    wait_for(lambda: world.running.count() == 0)


def test_ranges_conditions_and_etag(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    path = f"{plain(mail, who)}/files/{mail.object(1)}"
    head = browser.client.head(path)
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(PDF))
    assert world.events("object:opened", mail.object(1)) == []
    etag = head.headers["etag"]
    part = browser.get(path, range="bytes=262100-262200")
    assert part.status_code == 206
    assert part.content == PDF[262100:262201]
    assert part.headers["content-range"] == f"bytes 262100-262200/{len(PDF)}"
    assert browser.get(path, range="bytes=-5").content == PDF[-5:]
    assert browser.get(path, range="bytes=700000-").content == PDF[700000:]
    assert browser.get(path, range=f"bytes={len(PDF)}-").status_code == 416
    assert browser.get(path, range="bytes=0-1,5-6").status_code == 200
    assert browser.get(path, range="bytes=0-9", if_range='"other"').status_code == 200
    assert browser.get(path, range="bytes=0-9", if_range=etag).status_code == 206
    assert browser.get(path, if_none_match=etag).status_code == 304
    assert browser.get(path, if_match='"other"').status_code == 412
    opened = world.events("object:opened", mail.object(1))
    assert len({one["receipt"] for one in opened}) == 1


def test_ready_tells_the_truth(world: World) -> None:
    server = serve(replace(world.deps, ready=lambda: False))
    try:
        bad = replace(world.browser(), base=f"http://localhost:{server.ports[0]}").get("/readyz")
        assert bad.status_code == 503
    finally:
        server.stop()
    assert world.browser().get("/readyz").status_code == 200


SCRIPT = '<script src="/static/passkey.js" defer></script>'
"""The one script there is: on pages that ask the device for a passkey, which nothing else can."""


def test_style_sheet_is_small_and_pages_carry_no_script_but_the_one_for_passkeys() -> None:
    assert (web_dir() / "static" / "portal.css").stat().st_size < 15_000
    for path in (web_dir() / "templates").rglob("*.html"):
        source = path.read_text()
        asks = "device.form(" in source
        assert source.count("<script") == source.count(SCRIPT) == asks, path
        assert " style=" not in source, path
        assert not re.search(r"\son[a-z]+=", source), path
        assert "| safe" not in source, path
