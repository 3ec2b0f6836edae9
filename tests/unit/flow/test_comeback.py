"""The first start after a restore: what our log shows since the keyholder's copy is asked for again, once each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.audit.event import SYSTEM, Action
from gateway.backup import gap
from gateway.errors import TryLater
from gateway.flow import comeback
from gateway.store import schema
from keys.errors import Denied, Unavailable
from tests.support import databases
from tests.unit.audit.conftest import TENANT, House


class Keyholder:
    """Writes down what it is asked; knows nothing of `msg_gone`, and is silent while `down`."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.down = False

    def _take(self, *words: Any) -> None:
        if self.down:
            raise Unavailable("down")
        self.asked.append(words)
        if "msg_gone" in words:
            raise Denied("unknown")

    def destroy_message(self, tenant: str, message: str) -> None:
        self._take("destroy", message)

    def held_done(self, tenant: str, message: str) -> None:
        self._take("settled", message)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(databases.sqlite(tmp_path))
    yield made
    made.store.close()


def say(house: House, *acts: tuple[Action, str]) -> None:
    for action, id in acts:
        house.happen(action, object=id)


def last_us(house: House) -> int:
    table = schema.log_leaves.c
    with house.store.reading() as conn:
        return int(conn.execute(select(table.ts).order_by(table.ts.desc()).limit(1)).scalar() or 0)


def test_what_ended_since_the_copy_ends_again_and_what_ended_before_is_left(house: House) -> None:
    say(house, (Action.MESSAGE_ERASED, "msg_early"))
    since = last_us(house) + 1
    say(house, (Action.MESSAGE_ERASED, "msg_1"), (Action.MESSAGE_EXPIRED, "msg_gone"))
    say(house, (Action.MESSAGE_DROPPED, "msg_2"), (Action.MESSAGE_SECURED, "msg_3"))
    keyholder = Keyholder()
    assert comeback.carry_out(house.store, keyholder, [TENANT], since) == 2  # type: ignore[arg-type]
    assert keyholder.asked == [("destroy", "msg_1"), ("destroy", "msg_gone"), ("settled", "msg_2")]


def test_a_silent_keyholder_stops_the_start_instead_of_leaving_something_open(house: House) -> None:
    say(house, (Action.MESSAGE_ERASED, "msg_1"))
    keyholder = Keyholder()
    keyholder.down = True
    with pytest.raises(TryLater):
        comeback.carry_out(house.store, keyholder, [TENANT], 0)  # type: ignore[arg-type]


def test_every_log_says_once_that_it_came_back(house: House) -> None:
    for _ in range(2):
        comeback.note(house.store, house.audit, [TENANT], "bkp_1", 1, {TENANT: 7}, 5_000_001)
    table = schema.log_leaves.c
    with house.store.reading() as conn:
        found = conn.execute(select(table.log, table.object).where(table.action == Action.BACKUP_RESTORED)).all()
    assert sorted(tuple(row) for row in found) == sorted([(TENANT, "bkp_1"), (SYSTEM, "bkp_1")])


def test_what_officers_held_since_the_keyholders_copy_is_named_among_what_is_to_be_done_again(
    house: House, tmp_path: Path
) -> None:
    """A hold lives in the keyholder: one set after the copy is gone, one lifted after it is back."""
    say(house, (Action.HOLD_SET, "msg_before"))
    since = last_us(house) + 1
    say(house, (Action.HOLD_SET, "msg_1"), (Action.HOLD_SET, "msg_2"), (Action.HOLD_LIFTED, "msg_before"))
    say(house, (Action.LINK_FROZEN, "lnk_1"), (Action.FACTOR_REMOVED, "per_1"), (Action.PERSON_CHANGED, "per_2"))
    with closing(sqlite3.connect(tmp_path / "keyholder.db")) as keyholder:
        keyholder.execute("CREATE TABLE messages (id TEXT)")
    with house.store.reading() as conn:
        found = gap.found(conn, tmp_path / "keyholder.db", since, since)
    kinds = ("factor:removed", 1), ("hold:lifted", 1), ("hold:set", 2), ("link:frozen", 1), ("person:changed", 1)
    assert found.accounts == kinds
    assert (
        "to be done again: factor:removed 1, hold:lifted 1, hold:set 2, link:frozen 1, person:changed 1."
        in " ".join(found.words("UTC"))
    )


def test_what_came_after_the_keyholders_copy_is_found_also_where_a_clock_was_set_back_in_between(
    house: House, tmp_path: Path
) -> None:
    """Its copy says an hour from now; what its keyholder had not signed came later all the same."""
    say(house, (Action.USER_DISABLED, "usr_before"))
    table = schema.log_leaves.c
    with house.store.reading() as conn:
        size = len(conn.execute(select(table.idx).where(table.log == TENANT)).all())
    made_us = last_us(house) + 3_600_000_000
    say(house, (Action.USER_DISABLED, "usr_after"), (Action.MESSAGE_ERASED, "msg_1"))
    with closing(sqlite3.connect(tmp_path / "keyholder.db")) as keyholder:
        keyholder.execute("CREATE TABLE messages (id TEXT)")
        keyholder.execute("CREATE TABLE witness (log TEXT, size INTEGER)")
        keyholder.executemany("INSERT INTO witness VALUES (?, ?)", [(TENANT, size), (SYSTEM, 10_000)])
        keyholder.commit()
    with house.store.reading() as conn:
        since = gap.since_us(conn, tmp_path / "keyholder.db", made_us)
        found = gap.found(conn, tmp_path / "keyholder.db", made_us, since)
        assert gap.since_us(conn, tmp_path / "keyholder.db", since) == since, "a copy whose clock was right"
    assert found.disabled == ((TENANT, "usr_after"),)
    again = Keyholder()
    assert comeback.carry_out(house.store, again, [TENANT], since) == 1  # type: ignore[arg-type]
