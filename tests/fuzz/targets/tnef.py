"""winmail.dat and rich text: read or said to be unread, by no other exception; every file a range of its container."""

from __future__ import annotations

from gateway.detect.extract import Limits, Unreadable, rtf, tnef
from gateway.detect.model import PartInput
from tests.fuzz.common import split
from tests.support.mail_files import winmail

ROOMS = ("gateway.detect.extract.tnef", "gateway.detect.extract.rtf")
_HELLO = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
)
"""The example of [MS-OXRTFCP] 4.1.1."""
_FILES = {"notes.txt": b"call Monday\r\n", "plan.rtf": rb"{\rtf1\ansi{\b Hello} \'e9\u8364?\par}"}
WORDS = [
    *(tnef.SIGNATURE, b"\x01\x07\x90\x06", b"\x01\x0c\x80\x02\x00", b"\x01\x03\x90\x06\x00", b"\x02\x02\x90"),
    *(b"\x02\x0f\x80\x06\x00", b"\x02\x05\x90\x06\x00", b"\x02\x10\x80", b"\x1e\x00\x07\x37", b"\x1f\x00\x07\x37"),
    *(b"\x02\x01\x09\x10", b"\x0d\x00\x01\x37", b"\x02\x01\x01\x37", b"LZFu", b"MELA"),
    *(b"{\\rtf1", b"\\'e9", b"\\u8364?", b"{\\*\\htmltag64 <p>}", b"\\fromhtml1", b"\\bin5 ", b"{", b"}", b"\\par"),
]  # fmt: skip
SEEDS = [
    winmail("See the files.", _FILES) + b"\0",
    winmail("See the files.", _FILES, rtf=True) + b"\0",
    winmail("", {}) + b"\0",
    winmail("x", {"winmail.dat": winmail("y", {"a.txt": b"z"})}) + b"\0",
    _HELLO + b"\1",
    rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}{\*\generator x;}Dear \'e9\u8364? \{\}\par\bin3 abc}" + b"\2",
    rb"{\rtf1\ansi\fromhtml1 {\*\htmltag64 <p>}Hello{\*\htmltag72 </p>}\htmlrtf x\htmlrtf0 }" + b"\2",
]
_FOREIGN = (b"%PDF", b"PK\x03\x04", b"DICM", b"ISO_IR")
"""Files inside that others' parsers would read; those run in a process of their own and are not what is searched."""


def check(data: bytes) -> None:
    """A container, compressed rich text, or rich text."""
    body, choice = split(data, 1)
    if any(mark in body for mark in _FOREIGN):
        return
    try:
        if choice[0] % 3 == 1:
            plain = rtf.unpack(body, Limits())
            assert len(plain) <= Limits().inflated_bytes
            rtf.rich(plain)
        elif choice[0] % 3 == 2:
            rtf.rich(body)
        else:
            _container(body)
    except Unreadable:
        return


def _container(body: bytes) -> None:
    part = PartInput("2", "attachment 1", "application/ms-tnef", "winmail.dat", None, body)
    found = tnef.read(part, Limits(), 0)
    for one in found.inner:
        assert 0 <= one.start <= one.stop <= len(body)
