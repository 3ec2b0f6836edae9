"""Lists of recipients: what is taken, and what is wrong with which line."""

from __future__ import annotations

import pytest

from gateway.accounts import people_list
from gateway.accounts.people_list import Entry, Wrong, read

HEAD = b"address,name,phone,language\n"


def test_a_list_as_spreadsheets_save_it_is_read() -> None:
    data = '﻿Address, Name,phone,language\r\nmaria@mail.example,"Hernández, María",(415) 555-0143,es\r\n,,,\r\n'
    found = read(data.encode())
    assert found.wrong == ()
    assert found.entries == (Entry(2, "maria@mail.example", "Hernández, María", "+14155550143", "es"),)


def test_only_the_address_is_needed() -> None:
    assert read(b"address\na@b.example\n").entries == (Entry(2, "a@b.example"),)


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ("not an address,,,", Wrong(2, "address")),
        ("a@b.example,,12,", Wrong(2, "phone")),
        ("a@b.example,,+1 415 555 0143 99 99,", Wrong(2, "phone")),
        ("a@b.example,,,english please", Wrong(2, "language")),
        ("a@b.example," + "x" * 121 + ",,", Wrong(2, "name")),
        ("a@b.example,A\x07,,", Wrong(2, "letters")),
        ("a@b.example,,,,extra", Wrong(2, "cells")),
        ("a@b.example,short", Wrong(2, "cells")),
        ("a@b.example,,,\nA@B.example,,,", Wrong(3, "twice")),
        ('a@b.example,"open,,', Wrong(2, "csv")),
        ("a<b@c.example,,,", Wrong(2, "address")),
        ("", Wrong(0, "empty")),
    ],
    ids=["address", "phone", "long-phone", "language", "name", "letters", "more", "fewer", "twice", "quote", "bracket",
         "empty"],
)  # fmt: skip
def test_a_bad_line_is_named(rows: str, wrong: Wrong) -> None:
    assert read(HEAD + rows.encode()).wrong == (wrong,)


def test_every_bad_line_is_named_and_the_good_ones_do_not_hide_them() -> None:
    found = read(HEAD + b"a@b.example,,,\nx,,,\nc@d.example,,1,\n")
    assert [(one.line, one.kind) for one in found.wrong] == [(3, "address"), (4, "phone")]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"name,phone\nMaria,1\n", "columns"), (b"address,address\n", "columns"), (b"address,telephone\n", "columns"),
     (b"address\n\xff\xfe", "encoding"), (b"address\n" + b"a" * people_list.MOST_BYTES, "long"), (b"", "columns")],
    ids=["no-address", "twice", "unknown", "latin", "long", "nothing"],
)  # fmt: skip
def test_what_is_no_such_list_is_refused_whole(data: bytes, kind: str) -> None:
    found = read(data)
    assert found.entries == ()
    assert [one.kind for one in found.wrong] == [kind]


def test_a_list_has_an_end() -> None:
    rows = b"".join(b"a%d@b.example\n" % number for number in range(people_list.MOST_ROWS + 1))
    assert [one.kind for one in read(b"address\n" + rows).wrong] == ["many"]
    assert len(read(b"address\n" + rows, most=None).entries) == people_list.MOST_ROWS + 1


@pytest.mark.parametrize(
    "name", ['=HYPERLINK("http://x.example","click")', "+1+1", "-2", "@SUM(A1)", 'quote " , comma']
)
def test_what_a_spreadsheet_would_run_is_text_and_comes_back_the_same(name: str) -> None:
    entries = (Entry(2, "a@b.example", name, "+14155550143", "es"), Entry(3, "c@d.example", "", None, "en"))
    assert read(people_list.write(entries).encode()).entries == entries
