"""Made mails through a running clinic, and readers with phones who open what comes of them."""

from __future__ import annotations

import html
import re
import smtplib
import ssl
import time
from pathlib import Path

from gateway.demo.clinic import Clinic, Member
from gateway.demo.sink import Received
from gateway.demo.visitor import Page
from tests.support.load import PATIENCE
from tests.support.patient import Patient
from tests.support.spool import eventually


def send(clinic: Clinic, data: bytes, *recipients: str, sender: str = "", member: Member | None = None) -> None:
    """By the relay's port from the trusted network; by submission over STARTTLS where a member signs in."""
    port = clinic.smtp_port if member is None else clinic.submission_port
    with smtplib.SMTP("localhost", port, timeout=60) as server:
        if member is not None:
            server.starttls(context=ssl.create_default_context(cafile=str(Path(clinic.certificate))))
            server.login(member.address, member.app_password)
        server.sendmail(sender or (member or clinic.amy).address, recipients, data)


def known(clinic: Clinic, member: Member) -> Member:
    """The member, once the door knows their app password: it hears of a new one within seconds."""

    def signs_in() -> bool:
        with smtplib.SMTP("localhost", clinic.submission_port, timeout=60) as server:
            server.starttls(context=ssl.create_default_context(cafile=str(Path(clinic.certificate))))
            try:
                server.login(member.address, member.app_password)
            except smtplib.SMTPAuthenticationError:
                time.sleep(1)  # a host that fails too often is turned away
                return False
        return True

    eventually(signs_in, PATIENCE)
    return member


def through(clinic: Clinic, data: bytes, recipient: str, member: Member | None = None) -> Received:
    """The first copy that this recipient gets of it."""
    send(clinic, data, recipient, member=member)
    return clinic.sink.wait_for(recipient)[0]


def know(clinic: Clinic, address: str, number: str) -> None:
    """The clinic knows this person's phone."""
    people = clinic.data / f"{address}.csv"
    people.write_text(f"address,name,phone,language\n{address},Some Body,{number},en\n")
    clinic.command("people", "import", str(people))


def opened(clinic: Clinic, copy: Received, number: str) -> tuple[Patient, Page]:
    """Its recipient opens it with a code by text; the message's page."""
    assert copy.link is not None
    patient = Patient(clinic, copy.link, number)
    return patient, patient.open()


def contents(patient: Patient, page: Page) -> dict[str, bytes]:
    """The bytes of each file on the message's page by the name that the page shows."""
    found: dict[str, bytes] = {}
    for address in patient.files(page).values():
        answer = patient.browser.get(address)
        assert answer.status == 200
        said = re.search(r"filename\*?=(?:UTF-8''|\")([^\";]+)", answer.headers.get("content-disposition", ""))
        found[html.unescape(said[1]) if said else address] = answer.body
    return found
