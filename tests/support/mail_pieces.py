"""Pieces from which made mails are put together, to the byte: fields, entities, multiparts, files, made patients.

Nothing here uses a library that writes mail: the bytes are ours, so that broken ones can be made as well. Names are
invented; numbers are of ranges that are never issued. RFC 5322, RFC 2045 to 2047, RFC 2183, RFC 2231.
"""

from __future__ import annotations

import base64
import binascii
import random
from dataclasses import dataclass

DATE = "Mon, 16 Nov 2026 09:00:00 -0600"
SENDER = "amy@riverside.test"
_FIRST = (
    "Rosalind",
    "Marguerite",
    "Ottoline",
    "Desmond",
    "Ezekiel",
    "Henrietta",
    "Leopold",
    "Wilhelmina",
    "Casimir",
    "Philippa",
)
_LAST = ("Achterberg", "Oyelaran", "Featherstone", "Vandersloot", "Okonkwo", "Strickland", "Montefiore", "Bjornsson")
_ILLS = (
    ("type 2 diabetes", "hemoglobin A1c is 8.1 %", "metformin 500 mg"),
    ("hypertension", "blood pressure was 168/94", "lisinopril 10 mg"),
    ("asthma", "peak flow was 240 L/min", "albuterol inhaler"),
    ("atrial fibrillation", "INR is 2.6", "warfarin 5 mg"),
    ("breast cancer", "biopsy shows invasive ductal carcinoma", "tamoxifen 20 mg"),
)


@dataclass(frozen=True, slots=True)
class Patient:
    """A made person and what ails them."""

    first: str
    last: str
    born: str
    mrn: str
    ill: str
    result: str
    drug: str

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"

    def letter(self, newline: str = "\r\n") -> str:
        """A few sentences that are PHI by any reading."""
        return newline.join((
            f"Patient: {self.name}, DOB {self.born}, MRN {self.mrn}.",
            f"{self.name} was seen today for {self.ill}; the {self.result}.",
            f"We start {self.drug} and see {self.first} again in two weeks.",
            "",
        ))  # fmt: skip


def patient(seed: str) -> Patient:
    """The same made person for the same seed."""
    rng = random.Random(f"patient {seed}")
    ill, result, drug = rng.choice(_ILLS)
    born = f"{rng.randint(1, 12):02d}/{rng.randint(1, 28):02d}/{rng.randint(1931, 1989)}"
    return Patient(rng.choice(_FIRST), rng.choice(_LAST), born, f"{rng.randint(4470000, 4479999)}", ill, result, drug)


HARMLESS = (
    "Hello,\r\n\r\nthe parking lot behind the building will be closed on the 10th\r\n"
    "for resurfacing. Please use the one across the street.\r\n\r\nAmy\r\n"
)


def fields(name: str, subject: str = "Parking on the 10th", *more: str, to: str = "") -> str:
    """The usual fields of a mail from Amy, without those of MIME; each of `more` is a whole field."""
    lines = [
        f"From: Amy Reyes <{SENDER}>",
        f"To: {to or name + '@outside.test'}",
        f"Subject: {subject}",
        f"Date: {DATE}",
        f"Message-ID: <{name}@riverside.test>",
        *more,
    ]
    return "".join(f"{line}\r\n" for line in lines)


def b64(data: bytes, width: int = 76) -> str:
    """base64 in lines."""
    coded = base64.b64encode(data).decode()
    return "".join(f"{coded[at : at + width]}\r\n" for at in range(0, len(coded), width)) or "\r\n"


def quoted(text: str, charset: str = "utf-8") -> str:
    """Quoted-printable (RFC 2045 6.7)."""
    coded = binascii.b2a_qp(text.encode(charset).replace(b"\r\n", b"\n"), istext=True)
    return coded.decode().replace("\n", "\r\n")


def entity(content_type: str, body: str, encoding: str = "", *more: str) -> str:
    """An entity: its fields, a blank line, its body."""
    head = [f"Content-Type: {content_type}"] if content_type else []
    head += [f"Content-Transfer-Encoding: {encoding}"] if encoding else []
    return "".join(f"{one}\r\n" for one in (*head, *more)) + "\r\n" + body


def text(body: str, more: str = "; charset=utf-8") -> str:
    """A text/plain entity."""
    return entity(f"text/plain{more}", body)


def page(body: str, inside: str = "") -> str:
    """HTML around the lines of a text."""
    rows = "".join(f"<p>{line}</p>\r\n" for line in body.splitlines() if line)
    return f"<!DOCTYPE html>\r\n<html><head><title>Letter</title></head>\r\n<body>\r\n{rows}{inside}</body></html>\r\n"


def html(body: str, inside: str = "") -> str:
    """A text/html entity."""
    return entity("text/html; charset=utf-8", page(body, inside))


def file(content_type: str, name: str, data: bytes, *more: str, disposition: str = "attachment") -> str:
    """An attached file in base64."""
    said = f'Content-Disposition: {disposition}; filename="{name}"'
    return entity(f'{content_type}; name="{name}"', b64(data), "base64", said, *more)


def multi(kind: str, *parts: str, boundary: str = "=_one", preamble: str = "", epilogue: str = "") -> str:
    """A multipart: `kind` is the subtype with further parameters."""
    inner = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return (
        f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"\r\n\r\n'
        f"{preamble}{inner}--{boundary}--\r\n{epilogue}"
    )


def mime(top: str, rest: str) -> bytes:
    """A whole mail: fields, MIME-Version, then the entity's own fields and body."""
    return f"{top}MIME-Version: 1.0\r\n{rest}".encode("utf-8", "surrogateescape")
