"""The SMTP door without a network: one connection's dialogue in memory, fed packet by packet.

    codes, messages = Wire().talk([b"EHLO a.test\r\n", b"MAIL FROM:<a@cli", b"nic.test>\r\n"])

What a packet is, is exact here: TCP may join or cut what a test sends, this does not. After each packet the dialogue
runs until nothing is left to do. Keeps what the spool would keep; has no TLS.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.clock import SystemClock
from gateway.smtp.config import RELAY, Limits, SmtpConfig
from gateway.smtp.dialogue import Dialogue
from gateway.smtp.engine import Services
from gateway.smtp.limits import Doorkeeper, FailedLogins
from gateway.spool.envelope import REFUSED, Envelope
from gateway.spool.snapshot import Snapshot, parse
from tests.support.spool import Keyring

LINE = re.compile(rb"(\d{3})([ -])[ -~]*\r\n")
NODE = "node-1"


class _Item:
    """What the spool's writer hands out; small, whatever comes."""

    def __init__(self, kept: list[tuple[Envelope, bytes]], envelope: Envelope) -> None:
        self.id = envelope.queue
        self._kept, self._envelope, self._data = kept, envelope, bytearray()

    def small(self, more: int = 0) -> bool:
        return True

    def write(self, data: bytes) -> None:
        self._data += data

    def finish(self) -> Future[str]:
        self._kept.append((self._envelope, bytes(self._data)))
        done: Future[str] = Future()
        done.set_result(self.id)
        return done

    def abort(self) -> None:
        self._data.clear()


class _Writer:
    def __init__(self) -> None:
        self.kept: list[tuple[Envelope, bytes]] = []

    def begin(self, envelope: Envelope) -> _Item:
        return _Item(self.kept, envelope)


class _Gate:
    """A worker that is well, and one clinic whose network holds every client."""

    def __init__(self) -> None:
        self._snapshot = parse(Keyring().snapshot()[0])

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def extensions(self) -> frozenset[str]:
        return self._snapshot.extensions


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 40_000)})
        self.said = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.said += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Everything is in memory."""

    def resume_reading(self) -> None:
        """Everything is in memory."""


class Wire:
    """One door. `limits` are those of the settings; connections come one after the other."""

    def __init__(self, *, normalize: bool = False, max_message_bytes: int = 1 << 20, **limits: Any) -> None:
        here = Path("unused")
        config = SmtpConfig(
            "gateway.test", NODE, here, here, here, normalize_newlines=normalize, max_message_bytes=max_message_bytes,
            max_recipients=5, limits=Limits(**limits),
        )  # fmt: skip
        self._loop = asyncio.new_event_loop()
        self._pool = ThreadPoolExecutor(1)
        self._writer = _Writer()
        self._services = Services(
            config, SystemClock(), _Gate(), self._writer, Doorkeeper(10, 10), FailedLogins(10, 1.0), self._pool  # type: ignore[arg-type]
        )  # fmt: skip

    def close(self) -> None:
        """Nothing of it stays."""
        self._loop.close()
        self._pool.shutdown()

    def talk(self, packets: Iterable[bytes]) -> tuple[list[int], list[bytes]]:
        """The codes of all answers to these packets, then an end of input; and the messages that were kept.

        Every answer must be lines of printable ASCII that end with CR LF.
        """
        self.said, kept = self._loop.run_until_complete(self._talk(packets))
        codes, at = [], 0
        while at < len(self.said):
            line = LINE.match(self.said, at)
            assert line is not None, self.said[at : at + 80]
            if line[2] == b" ":
                codes.append(int(line[1]))
            at = line.end()
        return codes, [data for envelope, data in kept if envelope.identity.kind != REFUSED]

    async def _talk(self, packets: Iterable[bytes]) -> tuple[bytes, list[tuple[Envelope, bytes]]]:
        self._writer.kept.clear()
        protocol, transport = Dialogue(self._services, RELAY, self._loop), _Transport()
        protocol.connection_made(transport)
        await self._settle()
        for packet in packets:
            if transport.closed:
                break
            protocol.data_received(packet)
            await self._settle()
        if not transport.closed:
            protocol.eof_received()
            await self._settle()
        protocol.connection_lost(None)
        await self._settle()
        task = protocol.task
        assert task is not None
        assert task.done()
        return bytes(transport.said), list(self._writer.kept)

    async def _settle(self) -> None:
        """Until no callback waits: what is left needs bytes or time."""
        ready: Any = self._loop._ready  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        while ready:
            await asyncio.sleep(0)
