"""A large message on its way into the spool: written beside the reading of it, in order, by one thread at a time."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from gateway.smtp import replies
from gateway.smtp.receiver import WRITE_BYTES, Receiver

PIECE = b"x" * 99_998 + b"\r\n"
PATIENCE = 60.0


class Item:
    """A spooled item that is large from the beginning, and whose disk can be held or broken."""

    id = "spl_test"

    def __init__(self) -> None:
        self.disk = threading.Event()
        self.disk.set()
        self.begun = threading.Event()
        self.broken = False
        self.lock = threading.Lock()
        self.deeds: list[str] = []
        self.written = bytearray()
        self.most = 0

    def small(self, coming_bytes: int = 0) -> bool:
        return False

    def write_all(self, pieces: list[bytes]) -> None:
        with self._alone():
            self.begun.set()
            assert self.disk.wait(PATIENCE)
            if self.broken:
                raise OSError(errno.ENOSPC, "full")
            self.most = max(self.most, sum(map(len, pieces)))
            self.written += b"".join(pieces)
            self.deeds.append("write")

    def finish(self) -> Future[str]:
        with self._alone():
            self.deeds.append("finish")
        done: Future[str] = Future()
        done.set_result(self.id)
        return done

    def abort(self) -> None:
        with self._alone():
            self.deeds.append("abort")

    def _alone(self) -> threading.Lock:
        assert not self.lock.locked(), "two threads at one item"
        return self.lock


def run(play: Callable[[Receiver, Item], Any]) -> Item:
    """Play it with a receiver in a loop of its own; the item, after every thread has ended."""
    item = Item()
    with ThreadPoolExecutor(4) as pool:
        given: dict[str, Any] = {"max_bytes": 1 << 30, "normalize_newlines": False, "received_fields": 9}
        asyncio.run(play(Receiver(item, pool, own_passes=2, **given), item))  # type: ignore[arg-type]
    return item


def test_what_comes_while_the_disk_is_slow_is_written_in_order() -> None:
    numbered = [b"%05d" % number + PIECE for number in range(40)]

    async def play(receiver: Receiver, item: Item) -> None:
        item.disk.clear()
        await receiver.take(numbered[0])
        asyncio.get_running_loop().call_later(0.01, item.disk.set)
        for piece in numbered[1:]:
            await receiver.take(piece)
        assert await receiver.finish() is None

    item = run(play)
    assert item.written == b"".join(numbered)
    assert item.deeds[-1] == "finish"


def test_what_waits_for_a_slow_disk_is_bounded() -> None:
    async def play(receiver: Receiver, item: Item) -> None:
        item.disk.clear()
        taken = 0

        async def feed() -> None:
            nonlocal taken
            for _ in range(100):
                await receiver.take(PIECE)
                taken += len(PIECE)

        feeding = asyncio.ensure_future(feed())
        await asyncio.to_thread(item.begun.wait, PATIENCE)
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert taken <= WRITE_BYTES + len(PIECE)
        item.disk.set()
        await feeding
        assert await receiver.finish() is None

    item = run(play)
    assert item.most <= WRITE_BYTES + len(PIECE)
    assert len(item.written) == 100 * len(PIECE)


@pytest.mark.parametrize("pieces", [1, 2, 60])
def test_a_full_disk_is_451_and_the_item_is_dropped(pieces: int) -> None:
    async def play(receiver: Receiver, item: Item) -> None:
        item.broken = True
        for _ in range(pieces):
            await receiver.take(PIECE)
        assert await receiver.finish() is replies.TRY_LATER

    assert run(play).deeds == ["abort"]


def test_a_message_given_up_while_a_thread_writes_is_dropped_after_it() -> None:
    async def play(receiver: Receiver, item: Item) -> None:
        item.disk.clear()
        await receiver.take(PIECE)
        await receiver.take(PIECE)
        await asyncio.to_thread(item.begun.wait, PATIENCE)
        receiver.abandon()
        assert item.deeds == []
        item.disk.set()
        async with asyncio.timeout(PATIENCE):
            while "abort" not in item.deeds:
                await asyncio.sleep(0.001)

    assert run(play).deeds == ["write", "abort"]


def test_a_refusal_waits_for_the_thread() -> None:
    async def play(receiver: Receiver, item: Item) -> None:
        item.disk.clear()
        await receiver.take(PIECE)
        asyncio.get_running_loop().call_later(0.01, item.disk.set)
        await receiver.take(b"bare\n" * 3)
        assert receiver.verdict is replies.BARE_NEWLINE
        assert await receiver.finish() is replies.BARE_NEWLINE

    assert run(play).deeds == ["write", "abort"]
