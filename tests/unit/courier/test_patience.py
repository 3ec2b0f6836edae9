"""A smarthost that hangs keeps one thread; whoever comes meanwhile hears at once what the last one met."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gateway.courier import Deferred, Delivered, SmtpCourier, patience
from gateway.courier.connection import ConnectionFailed
from gateway.courier.patience import SLOW_SECONDS, Patience
from gateway.courier.transaction import ConnectionLost
from gateway.settings import Courier, Endpoint
from tests.support.load import PATIENCE
from tests.support.smarthost import Smarthost
from tests.unit.courier.conftest import outbound

HUNG = ConnectionFailed("4.4.1", "timeout", 0)


class Time:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def fails(one: Patience, time: Time, seconds: float) -> None:
    with pytest.raises(ConnectionFailed), one.attempt():
        time.now += seconds
        raise HUNG


def test_while_one_hangs_the_next_hears_what_the_last_one_met(time: Time) -> None:
    one = Patience(time)
    fails(one, time, SLOW_SECONDS)
    with one.attempt():  # it asks, and hangs
        time.now += SLOW_SECONDS
        with pytest.raises(ConnectionFailed) as caught, one.attempt():
            raise AssertionError("nobody else tries")
        assert caught.value.deferred == Deferred("4.4.1", "timeout")
    with one.attempt(), one.attempt():  # it opened: all may
        pass


@pytest.mark.parametrize("seconds", [0.0, SLOW_SECONDS - 0.01], ids=["at once", "soon"])
def test_who_is_refused_quickly_keeps_nobody(time: Time, seconds: float) -> None:
    one = Patience(time)
    fails(one, time, SLOW_SECONDS)
    fails(one, time, seconds)
    with one.attempt():
        time.now += 10 * SLOW_SECONDS
        with one.attempt():
            pass


def test_silence_within_a_message_counts_and_a_fault_of_ours_changes_nothing(time: Time) -> None:
    one = Patience(time)
    with pytest.raises(ConnectionLost), one.attempt():
        raise ConnectionLost("timeout", ended=True)
    with pytest.raises(OSError, match="disk"), one.attempt():
        raise OSError("disk")
    with one.attempt():
        time.now += SLOW_SECONDS
        with pytest.raises(ConnectionFailed) as caught, one.attempt():
            raise AssertionError("nobody else tries")
        assert caught.value.deferred == Deferred("4.4.2", "timeout"), "it was not handed over, so nothing is unknown"
    with pytest.raises(ConnectionLost), one.attempt():
        raise ConnectionLost("lost", ended=False)
    with one.attempt(), one.attempt():
        pass


def test_a_failed_asker_leaves_its_turn_to_the_next(time: Time) -> None:
    one = Patience(time)
    for _ in range(3):
        fails(one, time, SLOW_SECONDS)
    with one.attempt():
        pass


def test_who_comes_early_waits_for_the_one_who_asks(time: Time) -> None:
    one, opened = Patience(time), threading.Event()
    fails(one, time, SLOW_SECONDS)

    def come() -> None:
        with one.attempt():
            opened.set()

    waiting = threading.Thread(target=come)
    with one.attempt():
        waiting.start()
        assert not opened.wait(0.05)
    waiting.join(PATIENCE)
    assert opened.is_set()


def test_a_smarthost_that_falls_silent_at_the_end_of_a_mail_keeps_one_thread(
    courier_to: Callable[..., SmtpCourier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SLOW_SECONDS", 0.2)
    with Smarthost() as smarthost:
        courier = courier_to(smarthost, timeout_seconds=60, end_timeout_seconds=1)
        assert courier.deliver(outbound("timeout-end@b.example"))[0].outcome == Deferred(
            "4.4.2", "timeout", unknown=True
        )
        courier._settings = replace(courier._settings, end_timeout_seconds=600)
        asker = threading.Thread(target=courier.deliver, args=(outbound("timeout-end+2@b.example"),))
        asker.start()
        smarthost.wait(2)
        try:
            for _ in range(20):
                assert courier.deliver(outbound("b@b.example"))[0].outcome == Deferred("4.4.2", "timeout")
            assert smarthost.connections == 2
        finally:
            smarthost.cut_all()
            asker.join(PATIENCE)
        assert not asker.is_alive()
        assert isinstance(courier.deliver(outbound("b@b.example"))[0].outcome, Delivered)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that is connected to and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield server


def test_a_hundred_mails_for_a_silent_smarthost_do_not_open_a_hundred_connections(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SLOW_SECONDS", 0.2)
    settings = Courier(smarthost=Endpoint("127.0.0.1", silent.getsockname()[1]), tls="none", timeout_seconds=1)
    courier = SmtpCourier(settings, "gateway.clinic.example")
    assert courier.deliver(outbound("a@b.example"))[0].outcome == Deferred("4.4.2", "timeout")
    silent.accept()[0].close()
    patient = Courier(smarthost=settings.smarthost, tls="none", timeout_seconds=600)
    courier._settings = patient  # the one who asks now hangs for as long as this test takes
    asker = threading.Thread(target=courier.deliver, args=(outbound("a@b.example"),))
    asker.start()
    held, _ = silent.accept()
    try:
        for _ in range(100):
            assert courier.deliver(outbound("b@b.example"))[0].outcome == Deferred("4.4.2", "timeout")
        assert not select.select([silent], [], [], 0)[0], "somebody else was at its door"
    finally:
        held.close()
        asker.join(PATIENCE)
    assert not asker.is_alive()


def test_a_smarthost_that_is_back_takes_everything(courier_to: Callable[..., SmtpCourier]) -> None:
    with Smarthost() as smarthost:
        courier = courier_to(smarthost)
        courier._patience._met = HUNG.deferred
        for _ in range(2):
            assert isinstance(courier.deliver(outbound("a@b.example"))[0].outcome, Delivered)
        assert courier._patience._met is None
