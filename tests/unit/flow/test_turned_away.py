"""The smtp process's notes of refusals reach the log once, and nothing of them is treated as mail."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import select

from gateway.errors import TryLater
from gateway.spool.envelope import REFUSED, Identity
from gateway.spool.item import Entry
from gateway.store import schema
from tests.support.flow import World
from tests.support.spool import TENANT


def note(world: World, user: str | None) -> Entry:
    """A note in the spool, found."""
    envelope = replace(world.ring.envelope("", ()), identity=Identity(REFUSED, user, "sender-domain"))
    item = world.writer.begin(envelope)
    item.finish().result(10)
    world.incoming.look()
    entry = world.incoming.entry(item.id)
    assert entry is not None
    return entry


def told(world: World) -> list[dict[str, object]]:
    with world.store.reading() as conn:
        found = conn.execute(select(schema.log_leaves.c.entry).where(schema.log_leaves.c.log == TENANT)).scalars()
        return [one for one in map(json.loads, found) if one["action"] == "message:refused"]


def test_a_note_becomes_one_entry_and_no_message(world: World) -> None:
    entry = note(world, "usr_0000000000000007")
    world.flow.process(entry)
    (one,) = told(world)
    assert one["actor"] == {"kind": "user", "id": "usr_0000000000000007"}
    assert (one["object"], one["outcome"], one["reason"]) == (entry.id, "refused", "sender-domain")
    assert world.count(schema.messages) == 0
    assert world.incoming.entry(entry.id) is None


def test_a_note_that_comes_again_after_a_crash_is_not_told_twice(world: World) -> None:
    entry = note(world, None)
    with world.commits_fail(1, done=True), pytest.raises(TryLater):  # reported as failed, and was not
        world.flow.process(entry)
    world.flow.process(entry, again=True)
    assert len(told(world)) == 1
    assert told(world)[0]["actor"] == {"kind": "sender", "id": ""}
