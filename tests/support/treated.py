"""Made mails through the real flow of outgoing mail, one after another: what became of each, and what left.

Spools, detector, parsers, policy, vault, rewriting and delivery are real; keyholder and smarthost are simulators
(`tests/support/flow.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select

from gateway.spool.envelope import Identity
from gateway.spool.item import Entry
from gateway.store import schema
from tests.support.flow import World
from tests.support.mail_pieces import SENDER
from tests.support.mail_rows import Made

PATIENCE_SECONDS = 60.0
OUTSIDE = "reader@outside.test"


@dataclass(frozen=True, slots=True)
class Treated:
    """What became of one mail for its one recipient. `left` is what the next hop got, None while it is held.

    `moved` counts the files that were sealed apart from the rest, `told` holds our own mails to its sender.
    """

    made: Made
    treatment: str
    left: bytes | None
    moved: int
    told: tuple[bytes, ...]


def spooled(world: World, data: bytes, sender: str, recipients: Iterable[str] = (OUTSIDE,)) -> Entry:
    """A mail as it is, in the spool."""
    envelope = replace(world.ring.envelope(sender, tuple(recipients)), identity=Identity("network"))
    item = world.writer.begin(envelope)
    item.write(data)
    item.finish().result(30)
    world.incoming.look()
    entry = world.incoming.entry(item.id)
    assert entry is not None
    return entry


def clinic(directory: Path, policy: str = "clinic") -> World:
    """The clinic that the made mails come from."""
    directory.mkdir()
    world = World(directory, policy)
    world.view = replace(world.view, domains=frozenset({SENDER.partition("@")[2]}))
    return world


def treat(world: World, made: Made) -> Treated:
    """Send it and look what came of it."""
    world.smarthost.attempts.clear()
    sender = SENDER if made.sender is None else made.sender
    entry = spooled(world, made.data, sender)
    # On a disk that is slow for a moment the store is red, and the worker would try again later.
    until = time.monotonic() + PATIENCE_SECONDS
    while not world.store.health and time.monotonic() < until:
        time.sleep(0.02)
    world.flow.process(entry)
    world.deliver()
    with world.store.reading() as conn:
        row = conn.execute(select(schema.messages).where(schema.messages.c.queue == entry.id)).mappings().one()
        treatments = conn.execute(
            select(schema.deliveries.c.treatment).where(schema.deliveries.c.message == row["id"])
        ).scalars()
        treatment = next(one for one in treatments if one != "notice")
        kinds = conn.execute(select(schema.objects.c.kind).where(schema.objects.c.message == row["id"])).scalars().all()
    got = [data for address, data in world.smarthost.attempts if address == OUTSIDE]
    told = tuple(data for address, data in world.smarthost.attempts if address != OUTSIDE)
    assert len(got) <= 1
    return Treated(made, treatment, got[0] if got else None, kinds.count("file"), told)
