"""Every route as everybody, compared with the table: the walk of done-when 5 of the main job, and story 17.

One installation with two clinics runs; each identity is a browser with what that identity would hold. What the table
allows must not end in a refusal, and what it does not allow must end in exactly the refusal that it declares.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest

from gateway.control import ControlFailed
from gateway.portal.app import discovered
from gateway.portal.roles import Line, table
from gateway.settings import load
from keys.client import OperatorClient
from tests.support.two_clinics import PATIENT, PATIENT_PHONE, ROLES, Browser, House, TwoClinics

pytestmark = pytest.mark.full
TABLE = table()
LAST = (
    "POST /m/{token}/forget", "POST /m/{token}/sign-out", "POST /staff/messages/{message}/recall",
    "POST /staff/sign-out",
)  # fmt: skip
"""What ends something for the identity that does it comes last."""
ANYONE = {
    "GET /{rest:path}": 404, "POST /{rest:path}": 404,  # there is nothing, for everybody
    "POST /staff/sign-in": 403, "POST /m": 404, "POST /staff/messages/{message}/resend": 404,  # for everybody
    "GET /staff/passkeys/{passkey}": 404, "POST /staff/passkeys/{passkey}": 404, "POST /staff/sign-in/passkey": 403,
    "GET /m/{token}/passkeys/{passkey}": 404, "GET /staff/messages/{message}/resend": 404,  # no policy here lets them
    **dict.fromkeys((f"GET /audit/certificates/{{id}}{form}" for form in ("", "/text", "/pdf")), 404),  # none was made
}  # fmt: skip
FORMS = {
    "POST /staff/sign-in": {"address": "nobody@riverside.test", "password": "not this one", "code": "000000"},
    "POST /m": {"reference": "000000", "printed": "0000"},
    "POST /m/{token}/code": {"last4": "0"}, "POST /staff/people": {"address": PATIENT},
}  # fmt: skip
WAIT_SECONDS = 60


@dataclass
class Message:
    """One sealed message and the way to it."""

    id: str
    token: str
    objects: list[str] = field(default_factory=list)

    @property
    def short(self) -> str:
        """The grant's id without its prefix, as it stands in addresses."""
        return self.token[:12]


@dataclass
class Identity:
    """Somebody at a browser. `role` for workforce members; `token` is what stands in their addresses."""

    name: str
    browser: Browser
    role: str = ""
    token: str = ""
    standing: str = ""
    """``link`` or ``reader`` for the message of the walk, ``staff`` when signed in at this host, else nothing."""


@dataclass
class Walk:
    """What was made for the walk, and what came of it: by identity and route."""

    clinics: TwoClinics
    sent: dict[str, Message] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    person: str = ""
    change: str = ""
    reference: str = ""
    foreign: dict[str, str] = field(default_factory=dict)
    identities: list[Identity] = field(default_factory=list)
    outcomes: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def target(self) -> Message:
        """The message whose link and reader walk."""
        return self.sent["staff"]


def outcome(answer: httpx2.Response) -> str:
    """Status, and where a redirect leads: who signs out is led to the sign-in page with a word of what was done."""
    return f"{answer.status_code} {answer.headers.get('location', '')}".strip()


def refused(kind: str) -> str:
    """What the table declares for that refusal."""
    return str(TABLE.refused[kind])


def wanted(line: Line, who: Identity) -> str:
    """The declared refusal for this identity, or empty when the line allows it."""
    if line.party == "anyone":
        return ""
    if line.party == "link":
        return "" if who.standing in ("link", "reader") else refused("link")
    if line.party == "reader":
        return {"reader": "", "link": refused("reader")}.get(who.standing, refused("link"))
    if line.party == "inbox" or who.standing != "staff":  # nobody here keeps one; tests/unit/portal/test_inbox.py does
        return refused("inbox" if line.party == "inbox" else "signed-out")
    return "" if who.role in line.roles else refused("role")


def complaint(route: str, line: Line, who: Identity, came: str) -> str:
    """What is wrong with the outcome; empty when it is what the table says."""
    expected = wanted(line, who)
    if expected:
        return "" if came == expected else f"{who.name}: {route}: {came}, and the table says {expected}"
    if route in ANYONE:
        return "" if came == str(ANYONE[route]) else f"{who.name}: {route}: {came}, and it is {ANYONE[route]} for all"
    refusals = {str(one) for one in TABLE.refused.values()}
    return f"{who.name}: {route}: {came}, and the table allows it" if came in refusals else ""


def poll(what: Callable[[], Any]) -> Any:
    """Until it is true. Raises AssertionError."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen")


def prepare(walk: Walk) -> None:
    """A sealed and a held message from each role of the first clinic, one of each from the second's."""
    clinics = walk.clinics
    for count, role in enumerate(ROLES, 1):
        clinics.send(clinics.a, role)
        copy = clinics.a.sink.wait_for(PATIENT, count, WAIT_SECONDS)[-1]
        assert copy.link is not None
        walk.sent[role] = Message("", copy.link.rpartition("/m/")[2])
        if role == "staff":
            (walk.reference,) = {"".join(one) for one in re.findall(r"[Rr]eference\D*(\d{3}) (\d{3})\b", copy.text)}
        clinics.send(clinics.a, role, unreadable=True)
    walk.person = clinics.control("person.record", tenant="riverside", address=PATIENT)["id"]
    held = poll(lambda: len(rows := _held(clinics)) >= len(ROLES) and rows)
    by_user = {user: role for role, user in clinics.a.users.items()}
    for entry in clinics.entries(clinics.a, "message:accepted"):
        role = by_user[entry["actor"]["id"]]
        if entry["object"] in held:
            walk.held[role] = entry["object"]
        else:
            walk.sent[role].id = entry["object"]
    assert all(one.id for one in walk.sent.values())
    assert set(walk.held) == set(ROLES)


def waiting_change(clinics: TwoClinics) -> str:
    """A change of the first clinic that waits, as its officer has signed in."""
    operator = OperatorClient(load(clinics.config, {}).sockets_directory / "operator.sock")
    with contextlib.closing(operator):
        return str(operator.propose_state(clinics.a.id, "closed")["proposal"]["id"])


def _held(clinics: TwoClinics) -> set[str]:
    return {row["id"] for row in clinics.control("queue.list", tenant="riverside") if row["state"] == "held"}


def reader(walk: Walk, network: int, message: Message, texts: int) -> Browser:
    """A browser of the patient, who proved herself for that message with the code from her phone."""
    clinics = walk.clinics
    browser = clinics.browser(clinics.a, network)
    browser.ask("GET", f"/m/{message.token}")
    assert outcome(browser.ask("POST", f"/m/{message.token}/code", {"last4": PATIENT_PHONE[-4:]})).startswith("303")
    browser.ask("GET", f"/m/{message.short}/code")
    text = clinics.wait_for_text(PATIENT_PHONE, texts, WAIT_SECONDS)
    code = "".join(filter(str.isdigit, text))[:6]
    assert outcome(browser.ask("POST", f"/m/{message.short}/verify", {"code": code})) == f"303 /m/{message.short}"
    page = browser.ask("GET", f"/m/{message.short}").text
    message.objects = sorted({part.split("/")[0].split('"')[0] for part in page.split("/files/")[1:]})
    return browser


def identities(walk: Walk) -> Iterator[Identity]:
    """Everybody who walks."""
    clinics, target = walk.clinics, walk.target
    yield Identity("stranger", clinics.browser(clinics.a, 1), token=target.short)
    with_link = clinics.browser(clinics.a, 2)
    yield Identity("link", with_link, token=target.token, standing="link")
    yield Identity("reader", reader(walk, 3, target, 1), token=target.short, standing="reader")
    other = reader(walk, 4, walk.sent["office"], 2)
    yield Identity("reader-of-another", other, token=target.short)
    for number, role in enumerate(ROLES, 10):
        browser = clinics.browser(clinics.a, number)
        browser.sign_in(clinics.a.members[role])
        yield Identity(role, browser, role, token=target.short, standing="staff")
    for number, role in enumerate(ROLES, 20):
        at_home = clinics.browser(clinics.b, number)
        at_home.sign_in(clinics.b.members[role])
        abroad = clinics.browser(clinics.a, number)
        abroad.ask("GET", "/staff/sign-in")
        abroad.adopt(at_home)
        yield Identity(f"other-{role}", abroad, role, token=target.short)
        walk.foreign[role] = ""
        walk.identities.append(Identity(f"home-{role}", at_home, role, token=target.short, standing="staff"))


def path(walk: Walk, route: str, who: Identity) -> str:
    """The address of that route for this identity: its own message where it has one."""
    own = who.role or "staff"
    message = walk.held.get(own, "") if "/held/" in route else walk.sent[own].id
    values = {
        "token": who.token, "name": "portal.css", "rest:path": "nothing-is-here", "message": message, "index": "0",
        "person": walk.person, "passkey": "pky_0", "change": walk.change, "grant": f"lnk_{walk.target.short}",
        "object": message if "/retention/" in route else walk.target.objects[0], "act": "hold-message", "id": "dsp_0",
    }  # fmt: skip
    found = route.partition(" ")[2]
    for name, value in values.items():
        found = found.replace(f"{{{name}}}", value)
    return found


def in_order() -> list[str]:
    """Routes, those that end something last."""
    names = [name for one in discovered() for name in one.names]
    return [name for name in names if name not in LAST] + [name for name in LAST if name in names]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """The walk, done once."""
    clinics = TwoClinics(tmp_path_factory.mktemp("two") / "c")
    try:
        clinics.start()
        made = Walk(clinics)
        prepare(made)
        everybody = list(identities(made))
        made.change = waiting_change(clinics)
        for who in everybody:
            who.browser.ask("GET", "/m")
        for route in in_order():
            method = route.partition(" ")[0]
            for who in everybody:
                form = {"reference": made.reference} if route == "POST /staff/help" else FORMS.get(route)
                answer = who.browser.ask(method, path(made, route, who), form)
                made.outcomes[who.name, route] = outcome(answer)
        made.identities += everybody
        yield made
    finally:
        clinics.stop()


PEOPLE = ("stranger", "link", "reader", "reader-of-another", *ROLES, *(f"other-{role}" for role in ROLES))


@pytest.mark.parametrize("name", PEOPLE)
def test_every_route_answers_as_the_table_says(walk: Walk, name: str) -> None:
    who = next(one for one in walk.identities if one.name == name)
    found = {route: came for (identity, route), came in walk.outcomes.items() if identity == name}
    assert set(found) == set(TABLE.routes)
    wrong = [complaint(route, TABLE.routes[route], who, came) for route, came in found.items()]
    assert not [one for one in wrong if one]


def test_an_unknown_host_belongs_to_nobody(walk: Walk) -> None:
    browser = walk.clinics.browser(replace_host(walk.clinics.a, "elsewhere.localhost"), 30)
    for route in TABLE.routes:
        method, where = route.split(" ")
        if where not in ("/healthz", "/readyz"):  # asked by machines, by address
            assert outcome(browser.ask(method, where)) == refused("host"), route


def replace_host(house: House, host: str) -> House:
    """The same clinic at an address that is none."""
    return replace(house, host=host)


OF_ONE = ("{message}", "{grant}", "{person}", "{change}", "{token}")
ID_ROUTES = tuple(name for name in TABLE.routes if any(part in name for part in OF_ONE))


@pytest.mark.parametrize("role", ROLES)
def test_ids_of_another_clinic_do_not_exist_and_asking_is_logged(walk: Walk, role: str) -> None:
    """Story 17: at one's own host, signed in, with every id of the other clinic."""
    clinics = walk.clinics
    who = next(one for one in walk.identities if one.name == f"home-{role}")
    user = clinics.b.users[role]
    asked: list[str] = []
    for route in ID_ROUTES:
        line, method = TABLE.routes[route], route.partition(" ")[0]
        came = outcome(who.browser.ask(method, path(walk, route, who), {"sure": "record", "reason": "because it is"}))
        if came.startswith("303 /audit/held/"):  # an officer's desk for held mail is the other page
            came = outcome(who.browser.ask("GET", came.partition(" ")[2]))
        if line.roles and role not in line.roles:
            assert came == refused("role"), route
        else:
            kind = line.party if line.party == "inbox" else "link" if "{token}" in route else "unknown"
            assert came == refused(kind), route
            if line.roles:
                mine = (walk.sent[role].id, walk.held[role], walk.change)
                asked += [one for one in mine if one in path(walk, route, who)]
    entries = clinics.entries(clinics.b, "meta:refused", outcome="refused")
    told = [one["object"] for one in entries if one["actor"]["id"] == user and one["reason"] == "unknown"]
    assert set(asked) <= set(told)
    assert all(one["tenant"] == clinics.b.id for one in entries)
    assert not [one for one in clinics.entries(clinics.a) if one["actor"]["id"] == user]


def test_a_link_of_another_clinic_is_nobodys_and_asking_is_logged(walk: Walk) -> None:
    """Story 17: the whole link, true but for its host; and a true link of one's own with an object of the other's."""
    clinics = walk.clinics
    before = len(clinics.entries(clinics.b, "link:refused", reason="no-secret"))
    browser = clinics.browser(clinics.b, 31)
    message = walk.sent["officer"]
    for route in ID_ROUTES:
        if "{token}" in route:
            method, _, where = route.partition(" ")
            where = where.replace("{token}", message.token).replace("{object}", walk.target.objects[0])
            assert outcome(browser.ask(method, where)) == refused("link"), route
    after = len(clinics.entries(clinics.b, "link:refused", reason="no-secret"))
    assert after - before == len([route for route in ID_ROUTES if "{token}" in route])


def test_a_reader_cannot_read_what_is_another_messages(walk: Walk) -> None:
    other = next(one for one in walk.identities if one.name == "reader-of-another").browser
    own = walk.sent["auditor"]
    reading = reader(walk, 32, own, 3)
    for browser in (other, reading):
        for kind in ("", "/look", "/picture"):
            came = outcome(browser.ask("GET", f"/m/{own.short}/files/{walk.target.objects[0]}{kind}"))
            assert came in (refused("unknown"), refused("reader")), kind
    assert outcome(reading.ask("GET", f"/m/{own.short}/files/{own.objects[-1]}")) == "200"


def test_credentials_of_one_clinic_cannot_send_as_another_and_trying_is_logged(walk: Walk) -> None:
    """Story 17: 550 at MAIL FROM, and the log of the clinic whose credentials they are says who tried."""
    clinics = walk.clinics
    with clinics.door(clinics.b) as server:
        code, words = server.mail(f"staff@{clinics.a.domain}")
        assert (code, words[:5]) == (550, b"5.7.1")
        assert server.mail(clinics.b.members["staff"].address)[0] == 250
    with clinics.door(clinics.a) as server:  # a network is one clinic's as well
        server.ehlo()
        assert server.mail(f"staff@{clinics.b.domain}")[0] == 550
    (tried,) = poll(lambda: clinics.entries(clinics.b, "message:refused"))
    assert (tried["outcome"], tried["reason"]) == ("refused", "sender-domain")
    assert tried["actor"] == {"kind": "user", "id": clinics.b.users["staff"]}
    (unnamed,) = poll(lambda: clinics.entries(clinics.a, "message:refused"))
    assert unnamed["actor"] == {"kind": "sender", "id": ""}
    assert clinics.a.domain not in str(tried)


def test_each_clinic_has_its_own_smarthost_and_its_own_policy(walk: Walk) -> None:
    clinics = walk.clinics
    clinics.send(clinics.b, "staff", unreadable=True)  # its policy seals what the other's holds
    (copy,) = clinics.b.sink.wait_for(PATIENT, seconds=WAIT_SECONDS)
    assert copy.link is not None
    assert copy.link.startswith(f"http://{clinics.b.host}/m/")
    assert not [one for one in clinics.a.sink.mails if one.mail_from.endswith(clinics.b.domain)]
    assert clinics.control("queue.list", tenant="lakeside") == []


def test_the_control_socket_knows_what_the_table_names_and_asks_which_clinic(walk: Walk) -> None:
    clinics = walk.clinics
    settings = load(clinics.config, {})
    assert (settings.worker_directory / "control.sock").stat().st_mode & 0o777 == 0o600
    for name in TABLE.control.keys() - {"backup.note"}:  # that one is about the installation, not a clinic
        assert "--tenant: lakeside, riverside" in said(clinics, name)
        assert "no such tenant" in said(clinics, name, tenant="third")
    assert "unknown command 'queue.open'" in said(clinics, "queue.open", tenant="riverside")


def said(clinics: TwoClinics, command: str, **given: str) -> str:
    """What the control socket refuses it with."""
    values = {"id": "msg_0000000000000000", "what": "exported", "value": "x", "address": "x@y.test"} | given
    with pytest.raises(ControlFailed) as caught:
        clinics.control(command, **values)
    return caught.value.public


@pytest.mark.parametrize("role", [*ROLES, "other-officer"])
def test_only_an_officer_of_the_clinic_decides_at_the_command_line(walk: Walk, role: str) -> None:
    """`queue release` and `queue drop`: the table's `as`, with a true password and a fresh code."""
    clinics = walk.clinics
    house = clinics.b if role.startswith("other") else clinics.a
    member = house.members[role.removeprefix("other-")]
    allowed = house is clinics.a and role in TABLE.control["queue.drop"].named
    message = walk.held["auditor" if allowed else "admin"]
    given = {"id": message, "as": member.address, "password": member.password, "totp": member.code()}
    if allowed:
        assert clinics.control("queue.drop", tenant="riverside", **given)["dropped"]
        return
    with pytest.raises(ControlFailed):
        clinics.control("queue.drop", tenant="riverside", **given)
    assert message in _held(clinics)
