"""What reaches the next hop: every way to write an end, made right or text, is one message with one end there.

The whole gateway with `bare_newlines = "normalize"`, which lets most of them through, and a next hop that records every
byte. That they are refused without it: `tests/unit/smtp/test_smuggling.py`; Postfix: `tests/unit/courier`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from gateway.demo.clinic import Clinic
from tests.e2e.conftest import running
from tests.fuzz.common import BARE_NEWLINE
from tests.support.ends import BARE, CLEAN, END, STRIPPED
from tests.support.rawsink import RawSink, loose

pytestmark = pytest.mark.full
NORMALIZE = {"SEALGATE_SMTP__BARE_NEWLINES": "normalize"}
SENDER = "amy@riverside.test"
FIRST = b"From: amy@riverside.test\r\nSubject: first\r\n\r\nLunch at one?"
SECOND = b"MAIL FROM:<olga@riverside.test>\r\nRCPT TO:<second@outside.test>\r\nDATA\r\nSubject: second\r\n\r\nnow"


@pytest.fixture(scope="module")
def sink() -> Iterator[RawSink]:
    with RawSink() as made:
        yield made


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, sink: RawSink) -> Iterator[Clinic]:
    yield from running(tmp_path_factory.mktemp("raw"), "observe", smarthost=f"127.0.0.1:{sink.port}", environ=NORMALIZE)


def submit(clinic: Clinic, recipient: str, text: bytes, *, chunked: bool) -> int:
    """One mail of these bytes, as they are; the code of the answer."""
    with socket.create_connection(("127.0.0.1", clinic.smtp_port), timeout=60) as line, line.makefile("rb") as said:
        envelope = f"EHLO ward.test\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<{recipient}>\r\n".encode()
        # Cut amid the text: that packets change nothing is shown elsewhere, that there may be several is shown here.
        body = b"BDAT %d LAST\r\n" % len(text) + text if chunked else b"DATA\r\n" + text + END
        whole = envelope + body + b"QUIT\r\n"
        half = len(envelope) + len(FIRST) + 12
        line.sendall(whole[:half])
        line.sendall(whole[half:])
        final = [int(one[:3]) for one in said if one[3:4] == b" "]
        assert final[-1] == 221
        return final[-2]


def test_every_variant_is_one_message_with_one_end_at_the_next_hop(clinic: Clinic, sink: RawSink) -> None:
    variants = {**BARE, **CLEAN, **STRIPPED}
    for chunked in (False, True):
        taken = []
        for name, end in variants.items():
            recipient = f"{name}-{'bdat' if chunked else 'data'}@outside.test"
            code = submit(clinic, recipient, FIRST + end + SECOND, chunked=chunked)
            assert code == (554 if name in STRIPPED else 250), name
            taken += [] if name in STRIPPED else [(name, recipient)]
        for name, recipient in taken:
            sent = sink.wait_for(recipient)
            assert sent.recipients == [recipient]
            assert BARE_NEWLINE.search(sent.wire) is None, name
            assert loose(sent.wire) == 1, name
            end = variants[name] if chunked else variants[name].replace(b"\r\n.", b"\r\n")
            told = re.sub(rb"\r\n|\r|\n", b"\r\n", FIRST + end + SECOND) + b"\r\n"
            assert sent.content.endswith(told), name
    assert len(sink.messages) == 2 * (len(variants) - len(STRIPPED))
    assert not any(b"olga@" in command or b"second@" in command for command in sink.commands)
