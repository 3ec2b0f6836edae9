"""Mails with a text planted in every place that must not leak, each text the only one of its kind."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid

from gateway.demo.clinic import DOMAIN, Clinic

HEALTH = "Patient: Marguerite Oyelaran, DOB 03/14/1948, MRN 4471920, type 2 diabetes mellitus, start metformin 500 mg."


@dataclass(frozen=True, slots=True)
class Marked:
    """One mail and what was planted in it. The umlaut and the equals sign look different in every encoding."""

    name: str
    recipient: str
    attachment_bytes: int = 2_000
    subject_is_phi: bool = True
    unheard_of: bool = False
    """Attached in a form that nobody can read."""

    @property
    def subject(self) -> str:
        return f"Betreffmarke={self.name}-Brücke"

    @property
    def body(self) -> str:
        return f"Körpermarke={self.name}-Zwiebelturm"

    @property
    def filename(self) -> str:
        return f"Dateimarke={self.name}-Grünspecht.txt"

    @property
    def inside(self) -> str:
        return f"Inhaltsmarke={self.name}-Käuzchen"

    @property
    def planted(self) -> dict[str, str]:
        """Place to text."""
        return {
            "subject": self.subject, "body": self.body, "file name": self.filename, "contents": self.inside,
            "address": self.recipient,
        }  # fmt: skip

    @property
    def attachment(self) -> bytes:
        """Exactly what was attached."""
        text = (bytes(range(256)) if self.unheard_of else b"") + f"{HEALTH}\n{self.inside}\n".encode()
        filler = f"line of {self.name}\n".encode()
        return text + filler * max(0, (self.attachment_bytes - len(text)) // len(filler))

    def mail(self) -> EmailMessage:
        """The mail as a clinic sends it."""
        mail = EmailMessage()
        mail["From"] = f"Amy Reyes <amy@{DOMAIN}>"
        mail["To"] = self.recipient
        mail["Subject"] = f"Oyelaran, MRN 4471920, diabetes: {self.subject}" if self.subject_is_phi else self.subject
        mail["Date"] = "Mon, 16 Nov 2026 09:00:00 -0600"
        mail["Message-ID"] = make_msgid(domain=DOMAIN)
        mail.set_content(f"Hello,\n\n{HEALTH}\n{self.body}\n\nAmy\n")
        kind, subtype = ("application", "x-unheard-of") if self.unheard_of else ("text", "plain")
        mail.add_attachment(self.attachment, maintype=kind, subtype=subtype, filename=self.filename)
        return mail

    def send(self, clinic: Clinic, *, sender: str | None = None) -> None:
        """Hand it in from the trusted network."""
        with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=60) as server:
            mail = self.mail()
            data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
            server.sendmail(clinic.amy.address if sender is None else sender, [self.recipient], data)


def introduce(clinic: Clinic, people: dict[str, str]) -> None:
    """Make these addresses and phones known to the clinic."""
    path = clinic.data / "more-people.csv"
    rows = ["address,name,phone,language", *(f"{address},,{phone},en" for address, phone in people.items())]
    path.write_text("\n".join(rows) + "\n")
    clinic.command("people", "import", str(path))


def settled(clinic: Clinic, seconds: float = 30.0) -> None:
    """Wait until nothing is under way: no delivery waits that is not deferred."""
    import json
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = json.loads(clinic.command("queue", "list", "--json"))
        if not any(one["state"] in ("ready", "active") for one in found):
            return
        time.sleep(0.1)
    raise TimeoutError("deliveries are still under way")
