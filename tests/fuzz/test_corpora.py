"""Every input that a search has kept, and every seed, again: no promise is broken, nothing takes a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import engine
from tests.fuzz.common import timed


@pytest.mark.parametrize("name", engine.NAMES)
def test_kept_inputs_break_no_promise(name: str) -> None:
    module = engine.target(name)
    for seed in module.SEEDS:
        timed(module.check, seed)
    assert engine.replay(name, engine.saved(name)) == len(engine.saved(name))


@pytest.mark.parametrize("name", engine.NAMES)
def test_changed_inputs_break_no_promise(name: str) -> None:
    """A few changes of each seed, the same in every run: the blind search works, and begins with what is known."""
    assert engine.blind(name, inputs=60, seed=1) == 0


def test_the_corpus_is_small_and_of_known_targets() -> None:
    files = [path for path in engine.CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(engine.NAMES)
    assert all(path.stat().st_size <= engine.MOST_BYTES for path in files)
    for name in engine.NAMES:
        assert len(engine.saved(name)) <= engine.MOST_FILES


def test_a_broken_promise_is_a_find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = engine.target("data")
    monkeypatch.setattr(engine, "WORK", tmp_path)

    def broken(data: bytes) -> None:
        raise AssertionError("promised otherwise")

    monkeypatch.setattr(module, "check", broken)
    with pytest.raises(AssertionError, match="promised otherwise"):
        engine.blind("data", inputs=1, seed=1)
    assert [path.name[:11] for path in tmp_path.glob("data-crash-*")] == ["data-crash-"]
    with pytest.raises(LookupError, match="no target"):
        engine.target("nothing")
