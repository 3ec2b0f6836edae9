"""One message costs so much looking and no more, and a list of names takes time by its length alone."""

from __future__ import annotations

import time

import pytest

from gateway.detect import assess
from gateway.detect.assess import assess_texts
from gateway.detect.extract import name_text
from gateway.detect.model import PartInput, Text
from gateway.detect.name_words import shipped
from gateway.detect.work import OverBudget, Work

NOTE = "Patient John Smith, 54, has diabetes and HIV, seen by Dr. Mary Jones on 3/4/2021. Plan: continue metformin.\n"


def listed(lines: int) -> str:
    first, last = sorted(shipped().first), sorted(shipped().last)
    return "".join(
        f"{first[n % len(first)].title()} {last[n % len(last)].title()} has diabetes\n" for n in range(lines)
    )


def test_a_list_of_names_takes_time_by_its_length_and_not_by_its_square() -> None:
    assess_texts([Text("body", "text", NOTE)])
    took: list[float] = []
    for lines in (2_000, 8_000):
        text, start = listed(lines), time.process_time()
        assert assess_texts([Text("body", "text", text)]).part("body").status == "phi"
        took.append(time.process_time() - start)
    assert took[1] < 9 * took[0] + 0.5, took  # by the square it is sixteen times


def test_beyond_the_budget_a_text_is_unread_and_never_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assess, "BUDGET", 2_000)
    found = assess_texts([Text("body", "text", "Hello"), Text("2", "attachment 1", listed(2_000))])
    assert found.part("body").status == "clean"
    assert [(one.part, one.reason) for one in found.unread] == [("2", "over limits")]
    assert not found.clean


def test_a_quarter_megabyte_of_notes_is_within_the_budget() -> None:
    found = assess_texts([Text("body", "text", NOTE * (262_144 // len(NOTE)))])
    assert found.part("body").status == "phi"
    assert not found.unread


def test_what_is_spent_stays_spent() -> None:
    work = Work(3)
    work.spend(3)
    for _ in range(2):
        with pytest.raises(OverBudget):
            work.spend(1)


def test_the_whole_of_a_file_name_is_looked_at() -> None:
    part = PartInput("2", "attachment 1", "text/plain", "x " * 300 + "John Doe diabetes.txt", None, b"")
    assert "John Doe diabetes" in name_text(part)[0].text
