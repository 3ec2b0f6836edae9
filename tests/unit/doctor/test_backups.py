"""What `doctor` says of backups, by what the keyholder registered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.doctor import GREEN, RED, YELLOW, Case
from gateway.doctor.checks import backups
from gateway.doctor.finding import Finding
from gateway.settings import load

DAY_US = 86_400_000_000
SETTINGS = load(Path("deploy/gateway.toml").resolve(), {})


def registered(kind: str, made_us: int) -> dict[str, Any]:
    """A whole backup, as the keyholder lists it."""
    expires_us = made_us + 7 * DAY_US if kind == "keyholder" else None
    return {
        "id": "bkp_1", "kind": kind, "made_us": made_us, "expires_us": expires_us, "signed_us": made_us,
        "verified_us": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ages", "level", "words"),
    [
        ({}, YELLOW, "no backup of the keyholder's store"),
        ({"content": 0}, YELLOW, "no backup of the keyholder's store"),
        ({"content": 0, "keyholder": 0}, GREEN, "content 0 hours old, keyholder 0 hours old"),
        ({"content": 3, "keyholder": 0}, YELLOW, "3 days old"),
        ({"content": 9, "keyholder": 0}, RED, "9 days old"),
        ({"content": 0, "keyholder": 7}, RED, "beyond its days"),
    ],
    ids=["none", "half", "both", "aging", "old", "expired"],
)
def test_backups_are_asked_for_by_half_and_age(ages: dict[str, int], level: str, words: str) -> None:
    now = time.time_ns() // 1000
    case = Case(SETTINGS, None)
    case.__dict__["backups"] = [registered(kind, now - days * DAY_US) for kind, days in ages.items()]
    found = backups.backup(case)
    assert found.level == level
    assert words in found.found
    assert level == GREEN or "sealgate backup " in found.repair


def test_a_cut_backup_counts_for_nothing_and_a_restore_is_asked_for() -> None:
    now = time.time_ns() // 1000
    case = Case(SETTINGS, None)
    whole = [registered("content", now), registered("keyholder", now)]
    case.__dict__["backups"] = [{**one, "signed_us": None} for one in whole]
    assert backups.backup(case).level == YELLOW
    case.__dict__["backups"] = whole
    assert backups.backup(case).level == GREEN
    assert "no restore was recorded" in backups.restored(case).found
    case.__dict__["backups"] = [{**whole[0], "verified_us": now - 3 * DAY_US}]
    assert backups.restored(case) == Finding(GREEN, "3 days ago")
    case.__dict__["backups"] = [{**whole[0], "verified_us": now - 200 * DAY_US}]
    assert backups.restored(case).level == YELLOW
    case.__dict__["backups"] = None
    assert {backups.backup(case).level, backups.restored(case).level} == {YELLOW}
