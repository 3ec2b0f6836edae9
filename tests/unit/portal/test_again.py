"""A form that a browser sends twice counts once: nobody loses a message, a sign-in or a decision to a double tap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.portal import again
from gateway.portal.again import Again
from tests.support.keyholder import PASSWORD, PHONE
from tests.support.load import PATIENCE
from tests.unit.portal.world import Browser, World, plain


def _yes(made: object) -> bool:
    return made != "no"


def test_a_success_is_given_again_to_the_same_form_for_a_moment_and_to_no_other() -> None:
    now, done = [0.0], list[int]()
    known = Again(lambda: now[0])

    def deed() -> int:
        done.append(1)
        return len(done)

    assert [known.once(("a", "b"), deed, _yes) for _ in range(3)] == [1, 1, 1]
    assert known.once(("ab", ""), deed, _yes) == 2
    now[0] = again.SECONDS
    assert known.once(("a", "b"), deed, _yes) == 3


def test_a_refusal_is_not_remembered_and_nothing_stays_behind() -> None:
    now = [0.0]
    known, done = Again(lambda: now[0]), list[str]()
    for _ in range(3):
        known.once(("a",), lambda: done.append("x") or "no", _yes)  # type: ignore[func-returns-value]
    assert len(done) == 3
    known.once(("b",), lambda: "yes", _yes)
    now[0] = again.SECONDS
    known.tidy()
    assert not known._known


def test_who_comes_meanwhile_waits_for_the_first_and_gets_the_same() -> None:
    known, begun, go, done = Again(), threading.Event(), threading.Event(), list[int]()

    def slow() -> str:
        done.append(1)
        begun.set()
        assert go.wait(PATIENCE)
        return "no"

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(known.once, ("a",), slow, _yes)
        assert begun.wait(PATIENCE)
        second = pool.submit(known.once, ("a",), slow, _yes)
        go.set()
        assert (first.result(PATIENCE), second.result(PATIENCE)) == ("no", "no")
    assert len(done) in (1, 2)  # two only where the second came after the first had ended: a refusal is not kept


def test_what_fails_is_the_callers_own_and_is_tried_anew() -> None:
    known = Again()
    with pytest.raises(ZeroDivisionError):
        known.once(("a",), lambda: 1 // 0, _yes)
    assert known.once(("a",), lambda: 5, _yes) == 5


def _twin(browser: Browser) -> Browser:
    """The same browser as it was a moment ago: the answer to what it sends next was dropped on the way."""
    other = Browser(browser.base, browser.agent)
    for cookie in browser.client.cookies.jar:
        other.client.cookies.jar.set_cookie(cookie)
    return other


def test_a_double_tap_on_open_the_message_opens_it_with_one_code_and_one_session(world: World) -> None:
    mail = world.send("twice@mail.example")
    browser = world.browser()
    page = browser.get(f"/m/{mail.token('twice@mail.example')}").text
    answer = browser.post(f"/m/{mail.token('twice@mail.example')}/code", page, last4=PHONE[-4:])
    page = browser.get(answer.headers["location"]).text
    tapped = browser.get(f"{answer.headers['location'].split('?')[0]}?note=too-soon")
    assert (tapped.status_code, "We sent you a code a moment ago" in tapped.text) == (200, True)
    code, before = world.text_code(), _twin(browser)
    where = plain(mail, "twice@mail.example")
    assert browser.post(f"{where}/verify", page, code=code).headers["location"] == where
    assert before.post(f"{where}/verify", page, code=code).headers["location"] == where
    assert "Dear Maria" in before.get(where).text
    assert len(world.events("session:started", mail.grant("twice@mail.example"))) == 1
    # With its session the same browser asks for something else: the code is spent.
    assert "note=used" in browser.post(f"{where}/verify", browser.get(where).text, code=code).headers["location"]
    stranger = world.browser()
    page = stranger.get(f"/m/{mail.token('twice@mail.example')}/code").text
    answer = stranger.post(f"/m/{mail.token('twice@mail.example')}/verify", page, code=code)
    assert "note=" in answer.headers["location"]


def test_a_double_click_on_sign_in_signs_in_and_a_wrong_one_counts_each_time(world: World) -> None:
    browser = world.browser()
    page = browser.get("/staff/sign-in").text
    before = _twin(browser)
    form = {"address": "amy@clinic.test", "password": PASSWORD, "code": world.staff["amy@clinic.test"].code()}
    assert browser.post("/staff/sign-in", page, **form).status_code == 303
    assert before.post("/staff/sign-in", page, **form).status_code == 303
    assert before.get("/staff").status_code == 200
    other = world.browser()
    page = other.get("/staff/sign-in").text
    assert other.post("/staff/sign-in", page, **form).status_code == 403
