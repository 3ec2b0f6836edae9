"""The whole product while it runs: figures, health, readiness; SIGHUP renews the certificate and ends nothing; SIGTERM
ends it in order: what is under way is finished, nobody waits longer than said, the next life delivers the rest once.
"""

from __future__ import annotations

import re
import signal
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.demo.certificate import make
from gateway.demo.ports import free_port
from gateway.demo.sink import Received
from gateway.supervise import DRAIN_SECONDS
from tests.drills.test_outages import connection
from tests.support.faulty import Faulty, eventually
from tests.support.load import stretched
from tests.unit.infra.test_certificates import shown

pytestmark = pytest.mark.full
METRICS = free_port()


def figures() -> dict[str, float]:
    """What the listener shows, by name with labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = answer.read().decode().splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    environ = {"SEALGATE_METRICS__LISTEN": f"127.0.0.1:{METRICS}"}
    found = Faulty(tmp_path_factory.mktemp("running") / "c", environ=environ)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_figures_follow_what_happens_and_name_nobody(clinic: Faulty) -> None:
    before = figures()
    assert before['sealgate_healthy{check=""}'] == 1
    assert before["sealgate_scrape_ok"] == before["sealgate_reserve_whole"] == 1
    sent = [clinic.letter("clean"), clinic.letter("several")]
    assert [clinic.send(one) for one in sent] == [250, 250]
    reader = clinic.reader()
    with closing(connection(clinic)) as line:
        assert reader.fetch(line)[0] == 200
    clinic.settled()
    wanted = {"message:accepted": 3, "message:delivered": 5, "object:opened": 1, "session:started": 1}
    taken = 'sealgate_smtp_answers_total{kind="accepted"}'
    name = 'sealgate_events_total{{action="{}",outcome="ok"}}'.format

    def grown() -> bool:
        now = figures()
        if now.get(taken, 0) - before.get(taken, 0) < 2 or now["sealgate_smtp_up"] != 1:
            return False
        return all(now.get(name(one), 0) - before.get(name(one), 0) >= count for one, count in wanted.items())

    eventually(grown)
    now = figures()
    assert now["sealgate_keyholder_up"] == 1
    assert now["sealgate_delivery_seconds_count"] >= 5
    assert now["sealgate_keyholder_seconds_count"] > before["sealgate_keyholder_seconds_count"]
    assert now["sealgate_log_entries"] > before["sealgate_log_entries"]
    assert 0 <= now["sealgate_checkpoint_age_seconds"] < 700
    assert now['sealgate_spool_items{direction="in"}'] == now['sealgate_deliveries_waiting{state="deferred"}'] == 0
    assert now['sealgate_disk_free_bytes{folder="store"}'] > 0
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    assert not re.search(r"(?:msg|lnk|usr|per|obj|spl|tnt|dlv)_\w{6}|@|riverside|127\.0\.0\.1", text)
    assert not [one.mark for one in sent if one.mark in text]
    labels = set(re.findall(r'(\w+)="', text))
    assert labels <= {"action", "outcome", "direction", "state", "folder", "check", "kind", "le"}


def test_listener_shows_nothing_else(clinic: Faulty) -> None:
    base = f"http://127.0.0.1:{METRICS}"
    assert [status(base + path) for path in ("/", "/metrics?name=x", "/metrics/", "/healthz")] == [404] * 4
    assert status(clinic.portal + "/metrics") == 404  # the portal has none of it


def test_alive_and_ready_are_two_things(clinic: Faulty) -> None:
    ready, alive = clinic.portal + "/readyz", clinic.portal + "/healthz"
    assert (status(alive), status(ready)) == (200, 200)
    away = clinic.data / "vault.away"
    (clinic.data / "vault").rename(away)
    try:
        eventually(lambda: status(ready) == 503, stretched(5))
        assert status(alive) == 200
        eventually(lambda: figures().get('sealgate_healthy{check="vault"}') == 0, stretched(5))
    finally:
        away.rename(clinic.data / "vault")
    eventually(lambda: status(ready) == 200, stretched(5))


def test_sighup_renews_the_certificate_and_ends_nothing(clinic: Faulty) -> None:
    assert clinic._process is not None
    family = clinic.family()
    make(clinic.certificate, clinic.key)
    wanted = ssl.PEM_cert_to_DER_cert(clinic.certificate.read_text())
    clinic._process.send_signal(signal.SIGHUP)
    eventually(lambda: shown(clinic.submissions_port) == wanted)
    assert set(family) <= set(clinic.family())
    assert clinic.send(clinic.letter()) == 250


def test_sigterm_finishes_what_is_under_way(clinic: Faulty) -> None:
    assert clinic._process is not None
    busy_sink = threading.Event()

    def slow(mail: Received) -> None:
        busy_sink.set()
        time.sleep(0.7)

    clinic.settled()
    clinic.sink.hook = slow
    letters = [clinic.letter() for _ in range(2)]
    assert [clinic.send(one) for one in letters] == [250] * 2
    assert busy_sink.wait(20)  # a delivery is under way
    with socket.create_connection(("127.0.0.1", clinic.smtp_port), 10) as idle, InData(clinic) as busy:
        assert idle.recv(100).startswith(b"220")
        began = time.monotonic()
        clinic._process.send_signal(signal.SIGTERM)
        assert idle.recv(200).startswith(b"421 4.3.2 ")
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", clinic.smtp_port), 2).close()
        busy.sendall(b"and lunch at noon.\r\n.\r\n")
        assert busy.recv(200).startswith(b"250 2.0.0 OK: queued")
    assert clinic._process.wait(DRAIN_SECONDS) == 0
    assert time.monotonic() - began < DRAIN_SECONDS
    assert clinic.left_behind() == []
    clinic.sink.hook = None
    clinic.serve()
    clinic.settled()
    assert {pair: times for pair, times in clinic.arrivals().items() if times > 1} == {}
    clinic.sink.wait_for("drain@friend.test")


class InData:
    """A connection whose message is half told."""

    def __init__(self, clinic: Faulty) -> None:
        self._line = socket.create_connection(("127.0.0.1", clinic.smtp_port), 10)

    def __enter__(self) -> socket.socket:
        line = self._line
        line.recv(200)
        for command in (b"EHLO c.test", b"MAIL FROM:<amy@riverside.test>", b"RCPT TO:<drain@friend.test>", b"DATA"):
            line.sendall(command + b"\r\n")
            assert line.recv(1000)[:1] in (b"2", b"3")
        line.sendall(b"From: amy@riverside.test\r\nSubject: a word\r\nMessage-ID: <drain@riverside.test>\r\n\r\nWalk ")
        return line

    def __exit__(self, *error: object) -> None:
        self._line.close()
