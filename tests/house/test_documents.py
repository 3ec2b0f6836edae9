"""What the documents name is there, and the decisions are numbered without a gap."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, text_of, tracked

PAGES = [path for path in tracked() if path.suffix == ".md" and path.relative_to(ROOT).parts[:2] != ("tests", "data")]
_NAMED = re.compile(r"`((?:\.\./)?[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+\.(?:md|py|toml|sh|lock)|[A-Z][A-Z_]+\.md)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_in_a_document_exist(page: Path) -> None:
    named = {match for match in _NAMED.findall(text_of(page)) if "<" not in match and "NNNN" not in match}
    places = (ROOT, page.parent, ROOT / "gateway", ROOT / "gateway/detect")
    assert not [name for name in sorted(named) if not any((place / name).exists() for place in places)]


def test_decisions_are_numbered_and_say_all_four_things() -> None:
    files = sorted((ROOT / "gateway/decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in files]
    assert numbers == sorted(set(numbers))  # each once; one that is still being written may be missing between
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        for part in ("Context", "Options", "Outcome", "What would change our mind"):
            assert f"**{part}.**" in text, f"{path.name}: {part}"
