"""What must hold of a mail that went through the flow, whatever it is: looked at with three readers.

Ours says which parts were to go; Perl's MIME-tools and Python's own library, which know nothing of that, must find the
rest as it was and the link in every form of the text that a mail program could choose to show.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from email.message import Message as Read

from gateway.demo.leaks import words_in
from gateway.demo.sink import LINK, Received
from gateway.mail.decode import decoded
from gateway.mail.model import Message, Part
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from tests.support.mail_pieces import patient
from tests.support.real.pieces import SEEDS
from tests.support.second_reader import SecondReader
from tests.support.treated import Treated

WORDS = sorted({word for one in map(patient, SEEDS) for word in (one.last, one.mrn)})
_TOP = re.compile(rb"(?:[!-9;-~]+:[^\n]*\r\n(?:[ \t][^\n]*\r\n)*)+")
_SHOWN = ("text/plain", "text/html")


def parsed(data: bytes) -> Message:
    """As the product reads it."""
    return scan(BytesSource(data))


def says(data: bytes) -> list[str]:
    """Words of a patient that stand in these bytes in some coding."""
    return words_in(Received("amy@riverside.test", ("reader@outside.test",), data), WORDS)


def is_suffix(sent: bytes, left: bytes) -> bool:
    """Whether it left as it came, under whole lines of ours."""
    top = left[: len(left) - len(sent)]
    return left.endswith(sent) and top.startswith(b"Received: ") and _TOP.fullmatch(top) is not None


def leaks(got: Treated) -> list[str]:
    """Words of a patient in anything that left."""
    return [word for mail in (got.left, *got.told) if mail is not None for word in says(mail)]


def by_python(data: bytes) -> list[tuple[str, str, bytes]]:
    """Type, character set and decoded bytes of every part without parts, as Python's library reads them."""
    found = []
    for part in email.message_from_bytes(data).walk():
        if not part.is_multipart():
            payload = part.get_payload(decode=True)
            found.append(
                (
                    part.get_content_type(),
                    str(part.get_param("charset") or ""),
                    payload if isinstance(payload, bytes) else b"",
                )
            )
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _contents(data: bytes, parts: Iterable[Part]) -> Counter[str]:
    source = BytesSource(data)
    leaves = [leaf for part in parts for leaf in part.walk() if not leaf.children]
    return Counter(_digest(b"".join(decoded(source, leaf))) for leaf in leaves)


def lost_parts(
    sent: bytes, left: bytes, removed: Iterable[Part], bodies: Iterable[Part], second: SecondReader
) -> list[str]:
    """Parts that another reader saw before and does not see now, though they were to stay, and parts that are new."""
    wrong = []
    allowed = _contents(sent, (*removed, *bodies))
    views = (
        ("perl", [leaf.sha256 for leaf in second.leaves(sent)], [leaf.sha256 for leaf in second.leaves(left)]),
        ("python", [_digest(one[2]) for one in by_python(sent)], [_digest(one[2]) for one in by_python(left)]),
    )
    for name, before, after in views:
        gone = Counter(before) - Counter(after)
        new = Counter(after) - Counter(before)
        # Each decodes oddly coded texts in its own way, so what may be missing is counted.
        if sum(gone.values()) > sum(allowed.values()):
            wrong.append(f"{name}: {sum(gone.values()) - sum(allowed.values())} parts lost")
        if sum(new.values()) > max(2 if any(not part.path for part in removed) else 1, len(bodies)):
            wrong.append(f"{name}: {sum(new.values())} new parts")
    return wrong


def untouched(sent: bytes, left: bytes, removed: frozenset[tuple[int, ...]]) -> list[str]:
    """Parts that were neither sealed nor given the link and do not stand in the copy byte for byte, header and all."""
    message = parsed(sent)
    bodies = {part.path for part in message.visible(removed)}
    return [
        part.id
        for part in message.parts()
        if not part.children
        and part.path
        and part.path not in bodies
        and not any(part.path[: len(path)] == path for path in removed)
        and sent[part.start : part.body_stop] not in left
    ]


def linked(text: str) -> bool:
    """Whether a link stands in it."""
    return LINK.search(text) is not None


def linkless(left: bytes) -> list[str]:
    """Forms of the text that a mail program could choose to show and in which the link does not stand.

    In each alternative every branch must have it; of other multiparts the first text that is shown. Read by Python.
    """
    wrong: list[str] = []
    if not _shows(email.message_from_bytes(left), wrong):
        wrong.append("nowhere")
    return wrong


def _shows(part: Read, wrong: list[str]) -> bool:
    if part.get_content_type() == "multipart/alternative":
        branches = [one for one in part.get_payload() if isinstance(one, Read)]
        shown = [(one, _shows(one, wrong)) for one in branches if one.get_content_type() != "text/calendar"]
        wrong += [f"alternative {one.get_content_type()}" for one, has in shown if not has]
        return any(has for _, has in shown)
    if part.is_multipart():
        return bool([one for one in part.get_payload() if isinstance(one, Read) and _shows(one, wrong)])
    if not part.get_content_type().startswith("text/") or part.get_content_disposition() == "attachment":
        return False
    return linked(text_of(part))


def text_of(part: Read) -> str:
    """A text as a mail program decodes it."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    name = str(part.get_param("charset") or "utf-8")
    try:
        return data.decode({"unicode": "utf-8", "iso-8859-8-i": "iso-8859-8"}.get(name.lower(), name), "replace")
    except LookupError:
        return data.decode("utf-8", "replace")
