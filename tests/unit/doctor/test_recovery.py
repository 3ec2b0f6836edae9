"""What `doctor` says of a recovery key, by what the keyholder says of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.doctor import GREEN, RED, YELLOW, Case
from gateway.doctor.checks import recovery
from gateway.settings import load
from keys.errors import Tampered
from tests.unit.doctor.test_neighbours import LEAST

KEY: dict[str, Any] = {
    "key": "rky_1", "needed": 2, "sheets": 3, "confirmed": [1, 2, 3], "set_us": 1, "opened_us": time.time_ns() // 1000,
    "waiting": None, "messages": 7,
}  # fmt: skip
EMPTY = KEY | {"key": "", "needed": 0, "sheets": 0, "confirmed": [], "opened_us": None, "messages": 0}


def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None, messages: int = 7) -> Case:
    path = tmp_path / "gateway.toml"
    path.write_text(LEAST.format(folder=tmp_path))
    made = Case(load(path, {}), path, None)
    monkeypatch.setattr(Case, "recovery", lambda self, name: found)
    made.__dict__["keyholder"] = {"counts": {"messages": messages}}
    return made


def test_a_changed_row_is_red_and_named_whatever_else_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = case(tmp_path, monkeypatch, KEY)

    def changed(self: Case, name: str) -> None:
        raise Tampered("a recovery key's row in the keyholder's store was changed")

    monkeypatch.setattr(Case, "recovery", changed)
    for said in (recovery.kit(asked), recovery.opened(asked)):
        assert said.level == RED
        assert "was changed" in said.found
        assert "BACKUP.md" in said.repair


@pytest.mark.parametrize(
    ("found", "messages", "kit", "opened"),
    [
        (KEY, 7, GREEN, GREEN),
        (KEY | {"confirmed": [1, 2]}, 7, YELLOW, GREEN),
        (KEY | {"confirmed": [3]}, 7, RED, GREEN),
        (KEY | {"confirmed": [], "opened_us": None}, 7, RED, RED),
        (KEY | {"confirmed": [], "opened_us": None, "messages": 0}, 7, YELLOW, YELLOW),
        (KEY | {"opened_us": 1}, 7, GREEN, YELLOW),
        (EMPTY, 7, RED, YELLOW),
        (EMPTY, 0, YELLOW, YELLOW),
        (EMPTY | {"key": "none"}, 7, YELLOW, YELLOW),
        (EMPTY | {"waiting": {"id": "prp_1"}}, 7, YELLOW, YELLOW),
        (None, 7, YELLOW, YELLOW),
    ],
    ids=["whole", "one-left", "too-few", "untried", "nothing-hangs-on-it", "long-ago", "no-choice", "no-choice-no-mail",
         "without", "waits", "silent"],
)  # fmt: skip
def test_it_is_red_until_confirmed_and_tried_and_each_finding_has_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any] | None, messages: int, kit: str, opened: str
) -> None:
    asked = case(tmp_path, monkeypatch, found, messages)
    for said, level in ((recovery.kit(asked), kit), (recovery.opened(asked), opened)):
        assert said.level == level, said
        assert bool(said.repair) is (level != GREEN)
