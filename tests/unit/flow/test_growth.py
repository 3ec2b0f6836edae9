"""A message costs the database the same work whether the clinic has sent ten or five hundred before it.

SQLite counts its own steps (sqlite3_progress_handler), so the machine's speed plays no part. A plan written down by
hand is no proof: the one for a sender's retry was right, and the statement itself took another index.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests.support.flow import World
from tests.support.steps import Steps, counted

BODY = b"Dear Tomas,\r\n\r\nThe minutes of the meeting on Tuesday are below.\r\n"


@pytest.fixture
def steps() -> Iterator[Steps]:
    with counted() as found:
        yield found


def test_a_message_and_a_look_at_what_is_due_take_as_many_steps_after_five_hundred_as_after_ten(
    tmp_path: Path, steps: Steps
) -> None:
    numbers = count()
    with closing(World(tmp_path)) as world:

        def send(batches: int) -> int:
            before = steps.taken
            for _ in range(batches):
                entries = [world.spool(BODY, f"tomas{next(numbers)}@example.org") for _ in range(16)]
                world.flow.process_all(entries, lambda alone: None)
                world.deliver()
            for _ in range(8):
                assert not world.deliverer.due()
            return steps.taken - before

        send(1)
        few = send(2)
        send(28)
        many = send(2)
    assert few > 1_000
    assert many < 1.6 * few, f"{few} steps for 32 messages at first, {many} after 450"
