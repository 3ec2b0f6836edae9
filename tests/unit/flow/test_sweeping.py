"""The vault is gone through part by part: each has its turn within a day, over restarts, and a failure skips none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import TryLater
from gateway.flow.sweeping import VaultSweep
from gateway.vault import SHARDS, Vault
from keys.datakey import DataKey

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Seen:
    """A vault that notes what it was asked to go through."""

    def __init__(self) -> None:
        self.shards: list[int] = []
        self.away = False

    def sweep(self, known: object, older_than: datetime, shards: Iterable[int]) -> int:
        assert older_than == NOW - timedelta(days=1)
        if self.away:
            raise TryLater("away")
        self.shards += shards
        return 0


def made(vault: Any, place: Path) -> VaultSweep:
    return VaultSweep(vault, lambda names: set(names), SimpleNamespace(now=lambda: NOW), place)  # type: ignore[arg-type]


def test_every_part_has_its_turn_within_a_day_of_hours_whatever_restarts(tmp_path: Path) -> None:
    seen = Seen()
    for _ in range(24):
        made(seen, tmp_path / "swept")()  # a process of its own each hour
    assert set(seen.shards) == set(range(SHARDS))


def test_what_failed_is_next_again(tmp_path: Path) -> None:
    seen, place = Seen(), tmp_path / "swept"
    sweep = made(seen, place)
    sweep()
    seen.away = True
    with pytest.raises(TryLater):
        sweep()
    seen.away = False
    sweep()
    assert (seen.shards[11] - seen.shards[10]) % SHARDS == 1


@pytest.mark.parametrize("text", ["", "x", "-1", "9999999"], ids=["empty", "word", "minus", "far"])
def test_what_stands_in_the_file_only_says_where_to_begin(tmp_path: Path, text: str) -> None:
    (tmp_path / "swept").write_text(text)
    seen = Seen()
    made(seen, tmp_path / "swept")()
    assert len(seen.shards) == 11
    assert set(seen.shards) <= set(range(SHARDS))


def test_a_part_of_the_vault_is_swept_and_the_rest_left(tmp_path: Path) -> None:
    vault = Vault.create(f"file://{tmp_path}/vault")
    names = {"tenant": "tnt_a", "object_id": "obj_a", "kind": "file"}
    made_ = [vault.seal(DataKey.random(), **names, chunks=[b"a"]).blob for _ in range(12)]
    shard = int(made_[0][:2], 16)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    count = vault.sweep(lambda names: set(), tomorrow, [shard])
    left = {path.name for path in (tmp_path / "vault").rglob("*") if len(path.name) == 40}
    assert left == {name for name in made_ if int(name[:2], 16) != shard}
    assert count == 12 - len(left)
