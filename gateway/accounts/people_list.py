"""A list of recipients as a clinic brings it: CSV with address, name, phone, language; checked whole before anything.

Promises: a row is taken or named by its line with what is wrong; a list of two minds about one address is refused; what
a spreadsheet would run as a formula is text here and stays text. One parser for the command and the page. RFC 4180,
E.164, BCP 47.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import phonenumbers

COLUMNS = ("address", "name", "phone", "language")
MOST_BYTES = 131_072
MOST_ROWS = 500
"""Of one import on the pages; the command takes longer lists in pieces of this size."""
NAME_LETTERS = 120
_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?\.[A-Za-z]{2,63}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One recipient. `phone` is E.164; None where the list says nothing of a number."""

    line: int
    address: str = field(repr=False)
    name: str = field(default="", repr=False)
    phone: str | None = field(default=None, repr=False)
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a line: a key under `staff.people.wrong`. Line 0 is the whole list."""

    line: int
    kind: str


@dataclass(frozen=True, slots=True)
class PeopleList:
    """All of a list: what could be read and what is wrong. It may be used only when nothing is wrong."""

    entries: tuple[Entry, ...]
    wrong: tuple[Wrong, ...]


def read(data: bytes, region: str = "US", most: int | None = MOST_ROWS) -> PeopleList:
    """Check a whole file. `region` is the country of numbers written without one."""
    if most is not None and len(data) > MOST_BYTES:
        return PeopleList((), (Wrong(0, "long"),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return PeopleList((), (Wrong(0, "encoding"),))
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    entries: list[Entry] = []
    wrong: list[Wrong] = []
    seen: dict[str, int] = {}
    try:
        names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
        if "address" not in names or set(names) - set(COLUMNS) or len(set(names)) != len(names):
            return PeopleList((), (Wrong(1, "columns"),))
        reader.fieldnames = names
        for row in reader:
            if not any(isinstance(value, str) and value.strip() for value in row.values()):
                continue  # an empty line at the end of what a spreadsheet saved
            if most is not None and len(entries) + len(wrong) >= most:
                wrong.append(Wrong(reader.line_num, "many"))
                break
            found = entry(reader.line_num, row, region)
            if isinstance(found, Entry) and found.address.lower() in seen:
                found = Wrong(found.line, "twice")
            if isinstance(found, Wrong):
                wrong.append(found)
            else:
                seen[found.address.lower()] = found.line
                entries.append(found)
    except csv.Error:
        wrong.append(Wrong(reader.reader.line_num, "csv"))
    if not entries and not wrong:
        wrong.append(Wrong(0, "empty"))
    return PeopleList(tuple(entries), tuple(wrong))


def entry(line: int, row: Mapping[Any, object], region: str = "US") -> Entry | Wrong:
    """One row, checked."""
    if None in row or any(value is None for value in row.values()):
        return Wrong(line, "cells")
    values = {str(name): str(value).strip() for name, value in row.items()}
    if any(not letter.isprintable() for value in values.values() for letter in value):
        return Wrong(line, "letters")
    if not _ADDRESS.fullmatch(values.get("address", "")):
        return Wrong(line, "address")
    if len(values.get("name", "")) > NAME_LETTERS:
        return Wrong(line, "name")
    language = values.get("language", "") or "en"
    if not _LANGUAGE.fullmatch(language):
        return Wrong(line, "language")
    phone: str | None = None
    if values.get("phone"):
        phone = number(values["phone"], region)
        if phone is None:
            return Wrong(line, "phone")
    return Entry(line, values["address"], values.get("name", ""), phone, language)


def number(text: str, region: str = "US") -> str | None:
    """A phone number as E.164; None when it is none."""
    try:
        found = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(found):
        return None
    return str(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164))


def write(entries: tuple[Entry, ...]) -> str:
    """The list as CSV again, for the form between preview and import; `read` gives the same entries."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in entries:
        writer.writerow([one.address, one.name, one.phone or "", one.language])
    return out.getvalue()
