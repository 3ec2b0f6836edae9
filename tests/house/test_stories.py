"""The map of stories to tests is true: each story once, each test there, each test by number at its number."""

from __future__ import annotations

import re
from collections import Counter

from tests.house.tree import ROOT

MAP = (ROOT / "tests" / "STORIES.md").read_text()
ROWS = {
    int(number): re.findall(r"`([^`]+)`", tests) for number, tests in re.findall(r"^\| (\d+) \|.*\|(.*)\|$", MAP, re.M)
}
COUNT = 50


def test_each_story_stands_in_the_map_once() -> None:
    shown, _, rest = MAP.partition("## Without a test by number")
    found = Counter(int(one) for one in re.findall(r"^\| (\d+) \|", shown, re.M) + re.findall(r"\d+", rest))
    assert found == Counter(range(1, COUNT + 1))


def test_each_test_that_is_named_exists() -> None:
    for number, tests in ROWS.items():
        assert tests, number
        for one in tests:
            path, _, name = one.partition("::")
            text = (ROOT / "tests" / path).read_text()
            assert f"def {name}(" in text if name else "def test_" in text, one


def test_each_test_by_number_is_named_at_its_number() -> None:
    for path in (ROOT / "tests" / "e2e").glob("test_story_*.py"):
        number = int(path.stem.split("_")[2])
        assert f"e2e/{path.name}" in ROWS.get(number, []), f"{path.name} is missing in tests/STORIES.md"
        assert re.match(rf'"""Story {number}\b', path.read_text()), f"{path.name} does not begin with its number"
