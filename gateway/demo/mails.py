"""The five messages of the demo, sent through the real relay."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

from gateway.demo import documents
from gateway.demo.clinic import DOMAIN, Clinic

MARGUERITE, TOMAS, PARTNER = "marguerite@patient.test", "tomas@patient.test", "records@partner.test"
LAB_FILE = "oyelaran-a1c-2026-11-16.pdf"


def lab_report(recipient: str = MARGUERITE) -> EmailMessage:
    """A letter that says nothing by itself, with a lab report."""
    mail = _mail(recipient, "Your results", "Hello,\n\nplease find the results attached.\n\nKind regards,\nAmy Reyes\n")
    mail.add_attachment(documents.lab_report(), maintype="application", subtype="pdf", filename=LAB_FILE)
    return mail


def image() -> EmailMessage:
    """A DICOM image for another clinic's records office."""
    mail = _mail(PARTNER, "Image as requested", "Hello,\n\nhere is the image you asked for.\n\nAmy\n")
    mail.add_attachment(documents.dicom(), maintype="application", subtype="dicom", filename="chest.dcm")
    return mail


def result_in_zip() -> EmailMessage:
    """An HL7 result in a ZIP."""
    mail = _mail(PARTNER, "Results interface test", "Hello,\n\nthe message as sent to your interface.\n\nAmy\n")
    mail.add_attachment(documents.hl7_in_zip(), maintype="application", subtype="zip", filename="result.zip")
    return mail


def form() -> EmailMessage:
    """A photographed form: nobody can read it without OCR, so it is protected."""
    mail = _mail(TOMAS, "Your form", "Hello Tomás,\n\nthe signed form as a picture.\n\nAmy\n")
    mail.add_attachment(documents.photographed_form(), maintype="image", subtype="png", filename="form.png")
    return mail


def newsletter() -> EmailMessage:
    """Harmless: it passes byte for byte."""
    return _mail(
        "neighbour@village.test", "Our opening hours in December",
        "Dear neighbours,\n\nin December we are open Monday to Friday from 8 to 5. The parking lot will be closed on\n"
        "the 10th for resurfacing.\n\nThe team at the front desk\n",
    )  # fmt: skip


def send(clinic: Clinic, mail: EmailMessage) -> bytes:
    """By the relay's port, from the trusted network, as a mail server would; the bytes that were sent."""
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
    with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=60) as server:
        server.sendmail(clinic.amy.address, [mail["To"]], data)
    return data


def submit(clinic: Clinic, mail: EmailMessage, *, implicit_tls: bool) -> bytes:
    """By submission with an app password over STARTTLS or implicit TLS, as a mail program would."""
    context = ssl.create_default_context(cafile=str(Path(clinic.certificate)))
    data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
    if implicit_tls:
        server: smtplib.SMTP = smtplib.SMTP_SSL("localhost", clinic.submissions_port, timeout=60, context=context)
    else:
        server = smtplib.SMTP("localhost", clinic.submission_port, timeout=60)
        server.starttls(context=context)
    with server:
        server.login(clinic.amy.address, clinic.amy.app_password)
        server.sendmail(clinic.amy.address, [mail["To"]], data)
    return data


def _mail(recipient: str, subject: str, text: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = f"Amy Reyes <amy@{DOMAIN}>"
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Date"] = "Mon, 16 Nov 2026 09:00:00 -0600"
    mail["Message-ID"] = make_msgid(domain=DOMAIN)
    mail.set_content(text)
    return mail
