"""The outer walls: hosts, headers, forms, guards, logs, and what happens when a neighbour fails."""

from __future__ import annotations

import logging
import secrets
import socket
from dataclasses import replace

import pytest
from starlette.responses import Response
from starlette.routing import Route

from gateway.audit.event import Action
from gateway.errors import Misconfigured
from gateway.logs import JsonLines
from gateway.portal.app import client_ip, discovered
from gateway.portal.guards import PAGES, Guard, Permission, Rate, Unlogged, check
from gateway.portal.limits import Limits
from gateway.settingtypes import network
from tests.support.keyholder import PHONE
from tests.unit.portal.world import CLINIC_PHONE, PDF, World, plain, serve, wait_for

GUARD = Guard(Permission.ANYONE, 0, Unlogged("a test"), Rate(1))


def address() -> str:
    """A new patient for each test."""
    return f"d{secrets.token_hex(6)}@mail.example"


def test_unknown_host_is_misdirected_and_learns_nothing(world: World) -> None:
    mail = world.send(address())
    token = next(iter(mail.links.values())).token
    for host in ("evil.example", "localhost", "localhost:1", ""):
        answer = world.browser().get(f"/m/{token}", host=host)
        assert answer.status_code == 421
        assert "Elm Street" not in answer.text
    assert world.browser().get("/healthz", host="10.0.0.1").status_code == 200


def test_every_answer_carries_the_security_headers(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    paths = ["/m/x", f"/m/{mail.token(who)}", plain(mail, who), "/limits", "/staff/sign-in", "/nothing",
             "/static/portal.css", f"{plain(mail, who)}/files/{mail.object(1)}", "/healthz"]  # fmt: skip
    for path in paths:
        headers = browser.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert "noindex" in headers["x-robots-tag"], path
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert "unsafe" not in headers["content-security-policy"], path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert headers["cache-control"] == "no-store" or path.startswith("/static"), path
        assert "server" not in headers, path
    file = browser.get(f"{plain(mail, who)}/files/{mail.object(1)}").headers
    assert "sandbox" in file["content-security-policy"]
    assert file["content-disposition"].startswith("attachment;")


FOREIGN = (
    {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"}, {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
)  # fmt: skip


def test_forms_of_others_are_refused_whatever_they_carry(world: World) -> None:
    """Also where the path shows the whole link: what a browser says of the form's origin is believed first."""
    who = address()
    mail = world.send(who)
    browser = world.browser()
    page = browser.get(f"/m/{mail.token(who)}").text
    target = f"/m/{mail.token(who)}/code"
    for headers in FOREIGN:
        assert browser.post(target, page, headers, last4=PHONE[-4:]).status_code == 403, headers
    assert world.keyholder.worker.take_texts(10) == []
    assert len([one for one in world.events("link:refused", mail.grant(who)) if one["reason"] == "form"]) == len(
        FOREIGN
    )
    assert world.browser().post(target, "", {}, last4=PHONE[-4:]).status_code == 303, "who holds the link may ask"
    assert len(world.keyholder.worker.take_texts(10)) == 1


def test_forms_without_the_whole_link_need_a_token_of_this_browser(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser, other = world.browser(), world.browser()
    for one in (browser, other):  # the first form moves the link secret to a cookie
        page = one.get(f"/m/{mail.token(who)}").text
        assert one.post(f"/m/{mail.token(who)}/code", page, last4=PHONE[-4:]).status_code == 303
    world.keyholder.worker.take_texts(10)
    target = f"{plain(mail, who)}/code"
    page, foreign = browser.get(target).text, other.get(target).text
    for headers in FOREIGN:
        assert browser.post(target, page, headers, last4=PHONE[-4:]).status_code == 403, headers
    for wrong in ("", 'name="csrf" value="AAAA"', foreign):
        assert browser.post(target, wrong, None, last4=PHONE[-4:]).status_code == 403
        assert browser.post(target, wrong, {}, last4=PHONE[-4:]).status_code == 403
    assert world.keyholder.worker.take_texts(10) == []
    assert browser.post(target, page, {}, last4=PHONE[-4:]).status_code == 303
    assert len(world.keyholder.worker.take_texts(10)) == 1


def test_a_form_from_before_signing_in_is_worthless_after(world: World) -> None:
    who = address()
    mail = world.send(who)
    browser = world.browser()
    before = browser.get(f"/m/{mail.token(who)}").text
    world.sign_in(mail, who, browser)
    assert browser.post(f"{plain(mail, who)}/sign-out", before).status_code == 403


def test_oversized_and_malformed_forms_get_a_calm_page(world: World) -> None:
    browser = world.browser()
    page = browser.get("/m").text
    assert browser.post("/m", page, None, reference="1" * 20_000).status_code == 413
    assert browser.client.post("/m", content=b"\xff\xfe=%%%").status_code == 403
    assert browser.client.post("/m", json={"csrf": "x"}).status_code == 403


def test_a_route_without_a_whole_guard_stops_start_up() -> None:
    def bare(request: object) -> Response:
        return Response()

    with pytest.raises(Misconfigured, match="/bare has no guard"):
        check([Route("/bare", bare)])
    for guard, words in (
        (replace(GUARD, event=Unlogged("")), "why it leaves no event"),
        (replace(GUARD, rate=Rate(0)), "no rate limit"),
        (replace(GUARD, permission=Permission.READER), "below proof level 2"),
        (replace(GUARD, strength=2), "without a session"),
        (replace(GUARD, rate=Rate(1, per_user=1)), "for staff routes"),
        (replace(GUARD, permission=Permission.STAFF, strength=2, event=Action.LINK_VISITED), "roles"),
    ):

        def handler(request: object) -> Response:
            return Response()

        handler.guard = guard  # type: ignore[attr-defined]
        with pytest.raises(Misconfigured, match=words):
            check([Route("/half", handler)])


ENTRANCES = ("/staff/sign-in", "/staff/sign-in/passkey")
"""Where members of a clinic come in: what is posted there makes the session that all else asks for."""


def test_every_page_is_guarded_and_content_needs_level_two() -> None:
    pages = discovered()
    assert len(pages) == len(PAGES) >= 34
    for one in pages:
        assert isinstance(one.guard, Guard)
        if "/files/" in one.path:
            inside = one.path.startswith("/inbox/")
            assert one.guard.permission is (Permission.INBOX if inside else Permission.READER)
            assert one.guard.strength == 2
        if "POST" in one.methods and one.path.startswith("/staff/") and one.path not in ENTRANCES:
            assert one.guard.permission is Permission.STAFF


def test_strangers_are_slowed_per_network_and_for_a_minute_at_most() -> None:
    now = [0.0]
    limits = Limits(lambda: now[0])
    assert [limits.take("/m", "192.0.2.0/24", 3) for _ in range(5)] == [True, True, True, False, False]
    assert limits.take("/m", "198.51.100.0/24", 3)
    now[0] = 60.0
    assert [limits.take("/m", "192.0.2.0/24", 3) for _ in range(4)] == [True, True, True, False]


def test_a_flood_without_a_secret_is_slowed_and_a_valid_link_still_opens(world: World) -> None:
    who = address()
    mail = world.send(who)
    deps = replace(world.deps, limits=Limits())
    server = serve(deps)
    try:
        browser = replace(world.browser(), base=f"http://localhost:{server.ports[0]}")
        codes = [browser.get("/m/" + "0" * 34).status_code for _ in range(70)]
        assert codes[:60] == [404] * 60
        assert 429 in codes[60:]
        assert browser.get("/m/" + "0" * 34).headers["retry-after"] == "60"
        assert browser.get(f"/m/{mail.token(who)}").status_code == 200
    finally:
        server.stop()


def test_a_link_asked_for_all_the_time_does_not_grow_the_log_and_its_reader_reads_on(world: World) -> None:
    who, also = address(), address()
    mail = world.send(who, also)
    server = serve(replace(world.deps, limits=Limits(lambda: 0.0)))
    try:
        base = f"http://localhost:{server.ports[0]}"
        reader = world.sign_in(mail, who, replace(world.browser(), base=base))
        visitor = replace(world.browser(), base=base)
        answers = [visitor.get(f"/m/{mail.token(who)}") for _ in range(130)]
        codes = [answer.status_code for answer in answers]
        assert codes == sorted(codes)
        assert set(codes) == {200, 429}
        assert answers[-1].headers["retry-after"] == "60"
        grant = mail.grant(who)
        assert len(world.events("link:visited", grant)) <= 120
        before = len(world.events())
        for path in ("", "/code", "/files/obj_none"):
            assert visitor.get(f"/m/{mail.token(who)}{path}").status_code == 429, path
        assert visitor.post(f"/m/{mail.token(who)}/code", "", {}, last4="0000").status_code == 429
        assert len(world.events()) == before
        assert reader.get(plain(mail, who)).status_code == 200
        assert visitor.get(f"/m/{mail.token(also)}").status_code == 200
    finally:
        server.stop()


class Seen(Limits):
    """Notes who was counted."""

    def __init__(self) -> None:
        super().__init__()
        self.who: list[str] = []

    def take(self, route: str, who: str, per_minute: int) -> bool:
        self.who.append(who)
        return super().take(route, who, per_minute)


def test_a_forwarded_field_of_the_visitors_own_says_nothing(world: World) -> None:
    """A proxy may add a second field below the visitor's: together they are one list (RFC 9110 5.3)."""
    seen = Seen()
    server = serve(replace(world.deps, limits=seen, trusted_proxies=(network("127.0.0.0/8"),)))
    try:
        browser = replace(world.browser(), base=f"http://localhost:{server.ports[0]}")
        fields = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.7")]
        browser.client.get("/m/" + "0" * 34, headers=fields)
        browser.client.get("/m/" + "0" * 34, headers=[("x-forwarded-for", "198.51.100.1, 203.0.113.7")])
        assert set(seen.who) == {"203.0.113.0/24"}
    finally:
        server.stop()


def test_only_trusted_proxies_are_believed() -> None:
    proxies = [network("127.0.0.0/8")]
    assert client_ip("127.0.0.1", "203.0.113.7", proxies) == "203.0.113.7"
    assert client_ip("127.0.0.1", "6.6.6.6, 203.0.113.7", proxies) == "203.0.113.7"
    assert client_ip("198.51.100.1", "203.0.113.7", proxies) == "198.51.100.1"
    assert client_ip("127.0.0.1", "203.0.113.7", []) == "127.0.0.1"


def test_no_log_line_holds_a_token_a_name_a_code_or_an_address(world: World, caplog: pytest.LogCaptureFixture) -> None:
    mark = "zqxmark"
    who = f"{mark}{secrets.token_hex(4)}@mail.example"
    caplog.set_level(logging.DEBUG)
    mail = world.send(who, subject=f"{mark} subject", body={"text": f"{mark} body", "html": None},
                      files=[(f"{mark}.pdf", "application/pdf", PDF)])  # fmt: skip
    browser = world.sign_in(mail, who)
    browser.get(plain(mail, who))
    browser.get(f"{plain(mail, who)}/files/{mail.object(1)}")
    browser.get("/m/" + mail.token(who)[:-1] + "_")
    lines = [JsonLines().format(record) for record in caplog.records if not record.name.startswith("http")]
    assert any('"path_kind":"/m/{token}"' in line for line in lines)
    secret = mail.token(who)[12:]
    handle = next(value for name, value in browser.client.cookies.items() if name.startswith("session-"))
    for line in lines:
        assert mark not in line
        assert secret not in line
        assert handle not in line
    for entry in world.events():
        assert mark not in str(entry)
        assert secret not in str(entry)


def test_a_log_that_cannot_be_written_gives_503_and_not_one_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    who = address()
    mail = world.send(who)
    browser = world.sign_in(mail, who)
    assert browser.get(f"{plain(mail, who)}/files/{mail.object(1)}").content == PDF
    wait_for(lambda: world.events("object:completed", mail.object(1)))

    def broken(tx: object) -> None:
        raise OSError("disk full")

    world.store.before_commit.append(broken)
    try:
        for _ in range(25):
            answer = browser.get(f"{plain(mail, who)}/files/{mail.object(1)}")
            assert answer.status_code == 503
            assert PDF[:16] not in answer.content
        page = browser.get(plain(mail, who))
        assert page.status_code == 503
        assert "your results." not in page.text
        assert CLINIC_PHONE in page.text
    finally:
        world.store.before_commit.remove(broken)
    assert browser.get(f"{plain(mail, who)}/files/{mail.object(1)}").content == PDF


@pytest.mark.parametrize("path", ["/audit/verify", "/staff/people/import", "/staff/people/import/confirm"])
def test_nobody_s_file_is_read_before_they_have_signed_in(world: World, path: str) -> None:
    server = serve(replace(world.deps, limits=Limits(lambda: 0.0)))
    try:
        host = f"localhost:{server.ports[0]}"
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            "Content-Length: 900000\r\n\r\n--b\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.ports[0]), 30) as line:
            line.sendall(head.encode())  # and no more: an answer can only come from who does not wait for the rest
            answer = b""
            while piece := line.recv(65_536):
                answer += piece
    finally:
        server.stop()
    first, _, fields = answer.decode("latin-1").partition("\r\n")
    assert " 303 " in first
    assert "location: /staff/sign-in" in fields.lower()
    assert "connection: close" in fields.lower()


def test_a_form_that_says_it_is_too_long_is_refused_unread(world: World) -> None:
    server = serve(replace(world.deps, limits=Limits(lambda: 0.0)))
    try:
        head = (
            f"POST /staff/sign-in HTTP/1.1\r\nHost: localhost:{server.ports[0]}\r\nContent-Length: 900000\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\na=b"
        )
        with socket.create_connection(("127.0.0.1", server.ports[0]), 30) as line:
            line.sendall(head.encode())
            assert b" 413 " in line.recv(65_536).partition(b"\r\n")[0]
    finally:
        server.stop()
