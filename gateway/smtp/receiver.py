"""One message coming in: every byte is checked on its way into the spool, whichever command carried it.

Promises: the first thing wrong decides, and from then on nothing is kept; what is refused or cut off leaves nothing on
the disk; the queue id is given out only when the spool says that the message is durable. A large message is sealed and
written beside the reading of it, one piece after the other; what is waiting to be written is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TypeVar

from gateway.errors import TryLater
from gateway.logs import Log
from gateway.smtp import replies
from gateway.smtp.data import HiddenEnd, HopCount, Newlines
from gateway.smtp.replies import Reply
from gateway.spool.writer import Item

WRITE_BYTES = 1 << 19
"""So much of a large message is gathered at most while a thread writes what came before."""

T = TypeVar("T")
_log = Log("gateway.smtp")


class Receiver:
    """Takes a message's bytes in order. Used by one connection's task.

    `verdict` is the refusal, once there is one. Bytes may still be given then, and are only counted.
    """

    def __init__(
        self,
        item: Item,
        pool: Executor,
        *,
        max_bytes: int,
        normalize_newlines: bool,
        received_fields: int,
        own_passes: int,
    ) -> None:
        self._item = item
        self._pool = pool
        self._max_bytes = max_bytes
        self._newlines = Newlines(normalize=normalize_newlines)
        self._normalize = normalize_newlines
        self._hops = HopCount()
        self._hidden = HiddenEnd()
        self._received_fields = received_fields
        self._own_passes = own_passes
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._writing: asyncio.Future[None] | None = None
        self.bytes = 0
        self.verdict: Reply | None = None

    @property
    def queue(self) -> str:
        return self._item.id

    async def take(self, data: bytes, *, paired: bool = False) -> None:
        """The next bytes, already without stuffed dots; `paired`: every CR and LF in them stands in a CRLF."""
        self.bytes += len(data)
        if self.verdict is None and self.bytes > self._max_bytes:
            await self.refuse(replies.TOO_LARGE)
        if self.verdict is not None:
            return
        await self._keep(self._newlines.feed(data, paired=paired))

    async def finish(self) -> Reply | None:
        """The message is complete: None when it is durable, else why it was not taken."""
        if self.verdict is None:
            await self._keep(self._newlines.finish())
            self._hops.finish()
            self._hidden.finish()
            await self._judge()
        if self.verdict is None:
            await self._write(last=True)
        if self.verdict is not None:
            return self.verdict
        try:
            small = self._item.small()
            future = self._item.finish() if small else await self._run(self._item.finish)
            await _answered(future)
        except TryLater as error:
            _log.warning("message:deferred", queue=self.queue, reason=error.detail)
            self.verdict = replies.TRY_LATER
        if self._newlines.bare:
            _log.info("message:newlines-mended", queue=self.queue)
        return self.verdict

    async def refuse(self, verdict: Reply) -> None:
        """Keep nothing of this message."""
        self.verdict = verdict
        self._gathered.clear()
        await self._written()
        if self._item.small():
            self._item.abort()
        else:
            await self._run(self._item.abort)

    def abandon(self) -> None:
        """The connection is gone, or gave the message up. Does nothing once the item was handed to the spool."""
        self._gathered.clear()
        if self._writing is not None and not self._writing.done():
            self._writing.add_done_callback(lambda _: self._abort())  # one thread at a time
        elif self._item.small():
            self._item.abort()
        else:
            self._abort()

    def _abort(self) -> None:
        try:
            self._pool.submit(self._item.abort)
        except RuntimeError:
            pass  # the process is ending; its next life removes what was not finished

    async def _keep(self, data: bytes) -> None:
        self._hops.feed(data)
        self._hidden.feed(data)
        await self._judge()
        if self.verdict is not None or not data:
            return
        if not self._gathered and self._writing is None and self._item.small(len(data)):
            self._item.write(data)
            return
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._writing is None or self._writing.done() or self._gathered_bytes >= WRITE_BYTES:
            await self._write()

    async def _write(self, *, last: bool = False) -> None:
        """Have a thread write what was gathered, once it is done with what came before; `last`: and wait for it."""
        failed = await self._written()
        if failed is None and self._gathered:
            given, self._gathered, self._gathered_bytes = self._gathered, [], 0
            self._writing = asyncio.get_running_loop().run_in_executor(self._pool, self._item.write_all, given)
            failed = await self._written() if last else None
        if failed is not None and not isinstance(failed, OSError):
            raise failed
        if failed is not None:
            _log.error("message:deferred", queue=self.queue, reason="disk", code=failed.errno)
            await self.refuse(replies.TRY_LATER)

    async def _written(self) -> Exception | None:
        """Wait for the thread; what it met, told once."""
        writing, self._writing = self._writing, None
        if writing is None:
            return None
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._writing = writing
            raise
        except Exception as error:
            return error
        return None

    async def _judge(self) -> None:
        if self._newlines.bare and not self._normalize:
            await self.refuse(replies.BARE_NEWLINE)
        elif self._hidden.found:
            await self.refuse(replies.HIDDEN_END)
        elif self._hops.count > self._received_fields or self._hops.own >= self._own_passes:
            await self.refuse(replies.LOOP)

    async def _run(self, deed: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, deed)


async def _answered(future: Future[str]) -> str:
    """Wait for the spool's answer, which comes in the loop's own thread, once per batch."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[str] = loop.create_future()

    def tell(done: Future[str]) -> None:
        if waiter.done():
            return
        error = done.exception()
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(done.result())

    future.add_done_callback(tell)
    # Whoever waits may be cancelled; the commit goes on, because the spool knows nothing of connections.
    return await waiter
