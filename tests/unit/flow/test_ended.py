"""The sealed bytes of what has ended go from the disk, and of nothing that could still be opened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from gateway.errors import TryLater
from gateway.flow.ended import LEFT_FOR_US, Wanted
from gateway.store import schema
from keys.errors import Denied
from tests.support.flow import PHI, World

LIFE = timedelta(days=90)
LEFT = timedelta(microseconds=LEFT_FOR_US)
DAY = timedelta(days=1)


class Keyholder:
    """Says of every link what a test says, of one what it says of that one."""

    def __init__(self, state: str = "destroyed", last: str = "") -> None:
        self.state = state
        self.last = last
        self.asked: list[str] = []
        self.trouble: Exception | None = None

    def grant_state(self, tenant: str, grants: list[str]) -> dict[str, dict[str, str]]:
        if self.trouble is not None:
            raise self.trouble
        self.asked += grants
        found = {one: {"state": self.state} for one in grants}
        if self.last:
            found[max(found)] = {"state": self.last}
        return found


@pytest.fixture
def blobs(world: World) -> list[str]:
    """Of one message to two people."""
    world.flow.process(world.spool(PHI, "b@example.test", "c@example.test"))
    with world.store.reading() as conn:
        found = list(conn.execute(select(schema.objects.c.blob)).scalars())
    assert found
    return found


def kept(world: World, names: list[str], keyholder: Keyholder, after: timedelta) -> set[str]:
    world.clock.ahead_us += after // timedelta(microseconds=1)
    given: Any = keyholder
    return Wanted(world.store, world.rows, given, world.clock)([*names, "0" * 40])


def test_what_was_destroyed_long_enough_ago_leaves_the_disk_and_its_rows_stay(world: World, blobs: list[str]) -> None:
    given: Any = Keyholder()
    wanted = Wanted(world.store, world.rows, given, world.clock)
    for after, count in ((LIFE + LEFT - DAY, 0), (2 * DAY, len(blobs)), (DAY, 0)):
        world.clock.ahead_us += after // timedelta(microseconds=1)
        assert world.vault.sweep(wanted, world.clock.now()) == count
    assert world.count(schema.objects) == len(blobs)
    assert world.count(schema.messages) == 1


def test_before_its_time_nobody_is_asked(world: World, blobs: list[str]) -> None:
    keyholder = Keyholder()
    assert kept(world, blobs, keyholder, LIFE + LEFT - DAY) == set(blobs)
    assert keyholder.asked == []


@pytest.mark.parametrize("state", ["live", "frozen", "expired", "revoked", "unknown"])
@pytest.mark.parametrize("which", ["all", "one"])
def test_what_the_keyholder_does_not_call_destroyed_stays(
    world: World, blobs: list[str], state: str, which: str
) -> None:
    keyholder = Keyholder(state) if which == "all" else Keyholder(last=state)
    assert kept(world, blobs, keyholder, LIFE + LEFT + DAY) == set(blobs)
    assert len(keyholder.asked) == 2


@pytest.mark.parametrize("trouble", [TryLater("silent"), Denied("unknown")], ids=["silent", "denied"])
def test_while_the_keyholder_does_not_say_everything_stays(world: World, blobs: list[str], trouble: Exception) -> None:
    keyholder = Keyholder()
    keyholder.trouble = trouble
    assert kept(world, blobs, keyholder, LIFE + LEFT + DAY) == set(blobs)
    keyholder.trouble = None
    assert kept(world, blobs, keyholder, timedelta()) == set()


@pytest.mark.parametrize(
    ("table", "change"),
    [("messages", "expires_at = 1"), ("objects", "position = 9"), ("grants", "created_at = 1")],
)
def test_what_has_a_changed_row_stays(world: World, blobs: list[str], table: str, change: str) -> None:
    world.store.run(lambda tx: tx.conn.execute(text(f"UPDATE {table} SET {change}")) and None)
    assert kept(world, blobs, Keyholder(), LIFE + LEFT + DAY) == set(blobs)


def test_a_message_without_any_grant_stays(world: World, blobs: list[str]) -> None:
    world.store.run(lambda tx: tx.conn.execute(text("DELETE FROM grants")) and None)
    assert kept(world, blobs, Keyholder(), LIFE + LEFT + DAY) == set(blobs)
