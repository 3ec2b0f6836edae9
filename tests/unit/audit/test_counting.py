"""A download counts once, whichever way it came and at however many portals at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.audit.event import Action, Actor, parse
from gateway.audit.log import AuditLog
from gateway.flow.counting import Left, covers, record
from gateway.flow.trail import Origin, Trail
from gateway.sensitive import Sensitive
from gateway.store.database import Store
from gateway.store.waiting import said
from tests.unit.audit.conftest import TENANT, House, Node

TAG = bytes(range(32))
WHO = Actor("person", "per_1")
ORIGIN = Origin(TENANT, "req_1", Sensitive(""), "", Sensitive(""), "")


def left(start: int, stop: int, why: str = "", *, object: str = "obj_1", asked: int | None = None) -> Left:
    return Left(object, TAG, 1000, start, stop, stop if asked is None else asked, why)


def end(store: Store, audit: AuditLog, one: Left, who: Actor = WHO) -> None:
    trail = Trail(store, audit, None, None)  # type: ignore[arg-type] - nothing here has an address to seal
    record(store, trail, ORIGIN, who, 2, [one])


def entries(house: House, action: Action) -> list[dict[str, Any]]:
    with house.store.reading() as conn:
        columns = said(conn).c
        statement = select(columns.entry).where(columns.log == TENANT, columns.action == str(action))
        return [parse(bytes(entry)) for entry in conn.execute(statement.order_by(columns.idx)).scalars()]


def test_a_cut_and_its_rest_are_one_completion_and_the_rest_again_is_none(house: House) -> None:
    end(house.store, house.audit, left(0, 600, "cut", asked=1000))
    end(house.store, house.audit, left(590, 1000))
    (done,) = entries(house, Action.OBJECT_COMPLETED)
    assert (done["bytes"], done["reason"]) == (1000, f"resumed tag:{TAG.hex()}")
    assert [one["reason"] for one in entries(house, Action.OBJECT_FAILED)] == ["cut 0-599"]
    assert [one["reason"] for one in entries(house, Action.OBJECT_PART)] == ["range 590-999"]
    end(house.store, house.audit, left(590, 1000))
    assert len(entries(house, Action.OBJECT_COMPLETED)) == 1
    end(house.store, house.audit, left(0, 1000))
    assert len(entries(house, Action.OBJECT_COMPLETED)) == 2


@pytest.mark.parametrize(
    "other",
    [
        left(400, 1000, object="obj_2"), left(401, 1000), left(400, 999), left(400, 1000, "cut"),
        left(400, 1000, "stopped"), left(400, 900, asked=1000),
    ],
    ids=["another", "gap", "short", "cut", "stopped", "unsaid"],
)  # fmt: skip
def test_what_is_not_all_of_it_is_no_completion(house: House, other: Left) -> None:
    end(house.store, house.audit, left(0, 400))
    end(house.store, house.audit, other)
    assert entries(house, Action.OBJECT_COMPLETED) == []


def test_somebody_elses_part_does_not_count(house: House) -> None:
    end(house.store, house.audit, left(0, 400))
    end(house.store, house.audit, left(400, 1000), Actor("person", "per_2"))
    assert entries(house, Action.OBJECT_COMPLETED) == []


@pytest.mark.postgres
def test_two_portals_that_end_the_two_halves_at_once_count_one(shared: House) -> None:
    other = Node(shared, "node-2")
    try:
        for number in range(5):
            thing = f"obj_{number}"
            ready = threading.Barrier(2)

            def half(store: Store, audit: AuditLog, one: Left, ready: threading.Barrier = ready) -> None:
                ready.wait(60)
                end(store, audit, one)

            halves = (
                (shared.store, shared.audit, left(0, 500, object=thing)),
                (other.store, other.audit, left(500, 1000, object=thing)),
            )
            threads = [threading.Thread(target=half, args=one) for one in halves]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        done = [one["object"] for one in entries(shared, Action.OBJECT_COMPLETED)]
        assert sorted(done) == [f"obj_{number}" for number in range(5)]
    finally:
        other.close()


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8), st.integers(0, 20))
def test_parts_cover_the_whole_if_every_byte_is_in_one(spans: list[tuple[int, int]], size: int) -> None:
    parts = [(min(one), max(one)) for one in spans]
    assert covers(parts, size) == all(any(start <= at < stop for start, stop in parts) for at in range(size))
