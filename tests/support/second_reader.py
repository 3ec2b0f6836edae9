"""A second reader of mail: Perl's MIME-tools, which filters of other mail servers are built on.

One process reads any number of mails. It is told nothing of how ours reads them.
"""

from __future__ import annotations

import base64
import json
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.needs import in_ci, need

SCRIPT = Path(__file__).with_suffix(".pl")


@dataclass(frozen=True, slots=True)
class Leaf:
    """One part without parts. `text` is there for texts, decoded by their charset."""

    type: str
    disposition: str
    name: str
    bytes: int
    sha256: str
    text: str


class SecondReader:
    """The running reader; use it as a context."""

    def __init__(self) -> None:
        perl = need("perl")
        if subprocess.run([perl, "-MMIME::Parser", "-e", "1"], capture_output=True, check=False).returncode:
            assert not in_ci(), "MIME-tools is not installed"
            pytest.skip("Perl's MIME-tools is not installed (apt-get install libmime-tools-perl)")
        self._process = subprocess.Popen([perl, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def leaves(self, mail: bytes) -> list[Leaf]:
        """What it finds in a mail."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(struct.pack(">I", len(mail)) + mail)
        self._process.stdin.flush()
        return [_leaf(one) for one in json.loads(self._process.stdout.readline())["leaves"]]

    def __enter__(self) -> SecondReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def _leaf(found: dict[str, str]) -> Leaf:
    raw = base64.b64decode(found["body"])
    try:
        text = raw.decode(found["charset"] or "utf-8", "replace")
    except LookupError:
        text = raw.decode("utf-8", "replace")
    return Leaf(found["type"], found["disposition"], found["name"], int(found["bytes"]), found["sha256"], text)
