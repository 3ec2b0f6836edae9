"""What is looked at before a child has answered, and what is handed over to it: neither changes an assessment."""

from __future__ import annotations

import mmap
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.detect import extract
from gateway.detect.model import Extracted, PartInput
from gateway.flow import child, isolate, parser
from gateway.flow.child import Child
from gateway.flow.isolate import Isolated
from tests.unit.detect import samples
from tests.unit.detect.test_isolate import BODY, part


@pytest.fixture(scope="module")
def pool() -> Iterator[Isolated]:
    with Isolated(children=1) as made:
        yield made


LETTER = "Patient: Marguerite Oyelaran DOB 03/14/1948 MRN 4471920. Type 2 diabetes, metformin. Page {}."


@pytest.mark.parametrize("large", [False, True], ids=["sent", "given"])
def test_what_is_looked_at_ahead_changes_no_assessment(
    pool: Isolated, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    given = part(samples.pdf(*[LETTER.format(number) for number in range(5)]))
    if large:
        monkeypatch.setattr(child, "GIVEN_BYTES", 1)
    heard: list[str] = []
    sound = isolate.Ahead.look
    with monkeypatch.context() as patch:
        patch.setattr(isolate.Ahead, "look", lambda self, text: heard.append(text) or sound(self, text))
        ahead = pool.assess([BODY, given])
    assert sum("MRN" in text for text in heard) == 5
    monkeypatch.setattr(isolate.Ahead, "look", lambda *_: None)
    assert pool.assess([BODY, given]) == ahead
    assert ahead.part("2").status == "phi"


def test_one_hears_once_of_a_file_that_is_likely_phi_and_of_no_other(pool: Isolated) -> None:
    report, menu = samples.pdf(*[LETTER.format(number) for number in range(5)]), samples.pdf("Menu: soup and bread")
    heard: list[str] = []
    pool.assess([BODY, part(menu), part(report, "3"), part(menu, "4"), part(report, "5")], (), heard.append)
    assert heard == ["3", "5"]


def test_what_was_told_ahead_and_is_not_in_the_answer_counts_for_nothing(
    pool: Isolated, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = part(samples.pdf("Menu: soup and bread"))
    sound = Child.parse

    def parse(one: Child, given: PartInput, wall: float, cpu: float, hear: Any) -> Extracted:
        hear(LETTER)
        return sound(one, given, wall, cpu, hear)

    expected = pool.assess([clean])
    monkeypatch.setattr(Child, "parse", parse)
    assert pool.assess([clean]) == expected


def handed_over(data: bytes, size: int) -> tuple[Any, str | None]:
    """What a child makes of memory that the gateway gives it."""
    ours, theirs = socket.socketpair()
    made = Child.__new__(Child)
    made._socket = ours
    with ours, theirs:
        made._give(data)
        return parser._handed_over(theirs, {"size": size, "content_type": ""})


def test_a_pdf_is_read_where_it_lies_and_anything_else_from_a_copy() -> None:
    file, archive = samples.pdf("Menu: soup and bread"), samples.zipped({"a.pdf": b"%PDF-1.4"})
    data, kind = handed_over(file, len(file))
    assert (kind, type(data), data[:]) == ("pdf", mmap.mmap, file)
    assert extract.extract(part(data), kind=kind) == extract.extract(part(file))
    assert handed_over(archive, len(archive)) == (archive, None)


def test_memory_that_is_smaller_than_was_said_is_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        handed_over(b"%PDF-1.4", 9_000)


def test_the_memory_given_to_a_child_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    monkeypatch.setattr(child.socket, "send_fds", lambda _socket, _bytes, given: kept.append(os.dup(given[0])))
    made = Child.__new__(Child)
    made._socket = None  # type: ignore[assignment]
    made._give(b"text")
    try:
        assert os.pread(kept[-1], 9, 0) == b"text"
        for deed in (lambda: os.pwrite(kept[-1], b"x", 0), lambda: os.ftruncate(kept[-1], 0)):
            with pytest.raises(PermissionError):
                deed()
    finally:
        for one in kept:
            os.close(one)
