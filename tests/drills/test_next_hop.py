"""The next hop fails at every stage in every way: nothing lost, nothing twice but what it took without being heard.

One clinic, one smarthost over verified TLS with AUTH; each line of the table is one letter or one connection, and all
of them are under way at once.
"""

from __future__ import annotations

import json
import smtplib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateway.control import ask
from gateway.demo.certificate import make as make_certificate
from gateway.demo.clinic import DOMAIN, Clinic
from gateway.settings import load
from tests.support.faulty import QUEUED, TRACE, eventually
from tests.support.load import PATIENCE
from tests.support.spoiled import FAULTS, OPENING, STAGES, Spoiled

pytestmark = pytest.mark.full
LARGE = b"A line among many others, which says nothing.\r\n" * 6_000
LOGIN = ("gateway", "made-up-password")


@dataclass(frozen=True, slots=True)
class Row:
    """One letter that a fault waits for, and to whom it goes: the first recipient, or the sender, names the fault."""

    stage: str
    fault: str
    sender: str
    recipients: tuple[str, ...]

    @property
    def refused(self) -> tuple[str, ...]:
        """Who never gets it."""
        if self.fault != "5xx":
            return ()
        return self.recipients[:1] if self.stage == "rcpt" else self.recipients


def table() -> Iterator[Row]:
    for stage in STAGES:
        for fault in FAULTS:
            word = f"{fault}-{stage}+1"
            sender = f"{word}@{DOMAIN}" if stage == "mail" else f"amy@{DOMAIN}"
            first = f"for-{word}@friend.test" if stage == "mail" else f"{word}@friend.test"
            yield Row(stage, fault, sender, (first, f"beside-{word}@friend.test"))


@pytest.fixture(scope="module")
def smarthost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoiled]:
    folder = tmp_path_factory.mktemp("smarthost")
    make_certificate(folder / "cert.pem", folder / "key.pem")
    found = Spoiled(folder / "cert.pem", folder / "key.pem", LOGIN)
    found.start()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def clinic(smarthost: Spoiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    folder = tmp_path_factory.mktemp("next-hop")
    password = folder / "password"
    password.write_text(LOGIN[1])
    password.chmod(0o600)
    environ = {
        "SEALGATE_COURIER__TLS": "verified",
        "SEALGATE_COURIER__CA_FILE": str(smarthost.certificate),
        "SEALGATE_COURIER__USERNAME": LOGIN[0],
        "SEALGATE_COURIER__PASSWORD_FILE": str(password),
        "SEALGATE_COURIER__TIMEOUT_SECONDS": "3",
        "SEALGATE_COURIER__END_TIMEOUT_SECONDS": "5",
        "SEALGATE_COURIER__MAX_CONNECTIONS": "16",
        "SEALGATE_WORKER__DELIVERY_THREADS": "16",
        "SEALGATE_WORKER__RETRY_MOST_SECONDS": "1",
    }
    found = Clinic(folder / "c", smarthost=f"localhost:{smarthost.port}", environ=environ)
    try:
        found.start()
        yield found
    finally:
        found.stop()


def send(clinic: Clinic, rows: list[Row]) -> dict[str, Row]:
    """Hand them all in; by queue id."""
    found = {}
    with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=PATIENCE) as client:
        client.ehlo("ward.test")
        for number, row in enumerate(rows):
            client.mail(row.sender)
            for one in row.recipients:
                client.rcpt(one)
            head = f"From: {row.sender}\r\nSubject: lunch\r\nMessage-ID: <spoiled.{number}@{DOMAIN}>\r\n\r\n"
            code, answer = client.data(head.encode() + (LARGE if row.stage == "content" else b"At noon?\r\n"))
            assert code == 250
            found[QUEUED.search(answer)[1].decode()] = row  # type: ignore[index]
    return found


def arrivals(mails: list) -> Counter[tuple[str, str]]:  # type: ignore[type-arg]
    """How often each (queue id, recipient) was taken."""
    found: Counter[tuple[str, str]] = Counter()
    for mail in mails:
        queue = TRACE.search(mail.data)
        if queue is not None:
            found.update((queue[1].decode(), one) for one in mail.recipients)
    return found


def test_each_fault_at_each_stage_loses_nothing_and_repeats_only_what_was_not_heard(
    clinic: Clinic, smarthost: Spoiled
) -> None:
    smarthost.opening.extend((stage, fault) for stage in OPENING for fault in FAULTS)
    sent = send(clinic, list(table()))
    socket = load(clinic.config, {}).worker_directory / "control.sock"
    eventually(lambda: ask(socket, "queue.list", {}) == [], 2 * PATIENCE)
    assert not smarthost.opening, "every fault of a connection was met"
    assert len(smarthost.met) == len(sent), "every fault of a message was met"
    assert smarthost.early == [], "no person and no password is named before TLS and AUTH"
    taken, unheard = arrivals(smarthost.mails), arrivals(smarthost.unheard)
    for queue, row in sent.items():
        for one in row.recipients:
            times = taken.pop((queue, one), 0)
            if one in row.refused:
                assert times == 0, row
            else:
                assert 1 <= times <= 1 + unheard[queue, one], row
    assert not taken, "nobody else got anything"
    reports = [one.data.decode() for one in smarthost.mails if one.mail_from == ""]
    refused = [one for row in sent.values() for one in row.refused]
    assert Counter(
        one for one in refused for text in reports if f"Final-Recipient: rfc822; {one}\r\n" in text
    ) == Counter(refused), "each of the refused is in one report"
    assert not any("marked-server-text" in text for text in reports)
    assert json.loads(clinic.command("queue", "check", "--json")) == {"missing": [], "stray": 0, "refused": 0}


def test_a_technician_sees_what_the_next_hop_answered_and_has_it_tried_now(clinic: Clinic, smarthost: Spoiled) -> None:
    patient = "4xx-rcpt+2@friend.test"
    (queue,) = send(clinic, [Row("rcpt", "4xx", f"amy@{DOMAIN}", (patient,))])
    eventually(lambda: patient in smarthost.met)
    eventually(lambda: clinic.search("action:message:deferred", f"request:{queue}") or arrived(smarthost, queue))
    (message,) = {one["object"] for one in clinic.search("action:message:accepted", f"request:{queue}")}
    (shown,) = json.loads(clinic.command("queue", "show", message, "--json"))["deliveries"]
    assert (shown["code"], shown["status"]) == ((451, "4.3.2") if shown["state"] != "delivered" else (451, "2.0.0"))
    clinic.command("queue", "retry", "--smarthost", f"localhost:{smarthost.port}")
    eventually(lambda: arrived(smarthost, queue) == 1)
    assert "marked-server-text" not in (clinic.data / "gateway.log").read_text()


def arrived(smarthost: Spoiled, queue: str) -> int:
    """How often a letter to one person was taken."""
    return sum(times for (one, _), times in arrivals(smarthost.mails).items() if one == queue)
