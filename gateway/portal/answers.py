"""Answers that are more than a page: a file streamed with ranges, a redirect that keeps its tongue.

Promises: bytes are decrypted in a small thread pool with one batch of read-ahead, so one download never makes another
client wait (DESIGN §4a); who does not read costs two batches and what the connection has taken; when a segment does not
hold, the connection is cut before the promised length, so a part never looks like the whole; a browser that goes away
stops the decryption; an answer counts as sent once the connection has taken it.
Clauses: RFC 9110 13 and 14 (conditions, ranges), RFC 6266 with RFC 8187 (file names).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import unicodedata
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.errors import GatewayError
from gateway.flow.sending import Source
from gateway.logs import Log

log = Log("sealgate.portal")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Which bytes go out: `[start, stop)`; `partial` when it is an answer to Range."""

    start: int
    stop: int
    partial: bool


def span_of(size: int, etag: str, range_field: str, if_range: str) -> Span | None:
    """What to send for these fields; None when the range cannot be satisfied (416).

    Several ranges at once and units we do not know are answered with the whole (RFC 9110 14.2).
    """
    whole = Span(0, size, False)
    found = _RANGE.fullmatch(range_field.replace(" ", "")) if range_field else None
    if found is None or (if_range and if_range.strip() != etag):
        return whole
    first, last = found.groups()
    if not first and not last:
        return whole
    if max(len(first), len(last)) > 18:
        return None
    if not first:
        count = min(int(last), size)
        return Span(size - count, size, True) if count else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return whole
    return Span(start, stop, True) if start < size else None


def matches(field: str, etag: str, *, weakly: bool) -> bool:
    """Whether If-Match or If-None-Match names this strong ETag; `weakly` for the second (RFC 9110 13.1.1, 13.1.2)."""
    named = [one.strip() for one in field.split(",")]
    if weakly:
        named = [one.removeprefix("W/") for one in named]
    return "*" in named or etag in named


def disposition(name: str, *, inline: bool = False) -> str:
    """Content-Disposition with the true name: a plain ASCII form, and the exact one as `filename*` (RFC 8187 3.2).

    Control characters, direction marks, quotes and path separators never reach a browser.
    """
    shown = "".join(
        "_" if character in '/\\"%' or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs") else character
        for character in name.strip()
    ).strip(". ")[-150:]
    shown = shown or "file"
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 ._()+=@,-]", "_", plain).strip(". ") or "file"
    kind = "inline" if inline else "attachment"
    exact = "" if plain == shown else f"; filename*=UTF-8''{quote(shown, safe='')}"
    return f'{kind}; filename="{plain}"{exact}'


class Away(RedirectResponse):
    """To a page of our own after a form (303: the browser asks with GET)."""

    def __init__(self, path: str) -> None:
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError("redirects stay on this host")
        super().__init__(path, status_code=303)


class FileAnswer(Response):
    """A stream of verified bytes with a known length.

    The first batch is read when the answer is made, in the page's own thread: what fails there is an honest 503.
    """

    def __init__(self, source: Source, pool: Executor, *, status: int, headers: dict[str, str]) -> None:
        try:
            self._first = source.read()
        except BaseException:
            source.end(well=False)
            raise
        super().__init__(status_code=status, headers=headers)
        self.headers["content-length"] = str(source.length)
        self._source = source
        self._pool = pool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_gone(receive))
        reading: asyncio.Future[list[bytes]] | None = None
        well = False
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            batch, left = self._first, self._source.length
            del self._first  # a stalled client keeps what is on its way and one batch ahead, and nothing else
            while batch:
                left -= sum(map(len, batch))
                ahead = asyncio.get_running_loop().run_in_executor(self._pool, self._source.read) if left else None
                reading = ahead
                while batch:
                    piece = batch.pop(0)
                    self._source.left(len(piece))
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    if gone.done():
                        return
                if ahead is None:
                    break
                both: set[asyncio.Future[Any]] = {ahead, gone}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                batch = await ahead
            if left == 0:
                # An empty piece waits until nearly all is on its way: only then may the log say that it has left.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                await asyncio.sleep(0)
                well = not gone.done()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except GatewayError as error:
            # Returning without a last body message makes the server close the connection short of its length.
            log.warning("portal:download-cut", error=type(error).__name__)
        finally:
            gone.cancel()
            self._finish(reading, well)

    def _finish(self, reading: asyncio.Future[list[bytes]] | None, well: bool) -> None:
        """End the source, in the pool and never while it is read: ending commits the outcome."""

        def end(done: asyncio.Future[list[bytes]] | None = None) -> None:
            if done is not None and not done.cancelled():
                done.exception()  # heard already, or the browser is gone
            with contextlib.suppress(RuntimeError):  # the pool is closing down
                self._pool.submit(_end, self._source, well)

        if reading is None or reading.done():
            end(reading)
        else:
            reading.add_done_callback(end)


async def _gone(receive: Receive) -> None:
    """Done when the browser has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _end(source: Source, well: bool) -> None:
    try:
        source.end(well=well)
    except Exception as error:  # the log is down: start-up reconciles openings without an outcome
        log.warning("portal:outcome-lost", error=type(error).__name__)
