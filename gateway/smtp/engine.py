"""The transport side of a connection: aiosmtpd's protocol class with its known traps taken out.

Promises: what was read too far goes back to the reader's own buffer, the one that is cleared at STARTTLS, so nothing
sent in clear is ever taken for a command after it; end of input or a lost connection never cancels a commit under way;
silence, an endless message and a client that does not read are cut off; answers to pipelined commands leave together.
Replaced from aiosmtpd 1.4.6, which: clears only that buffer at STARTTLS, cancels its handler at EOF, stops its clock
during DATA, logs commands and addresses, answers an exception with its text, and inspects itself on every connection.
Clauses: RFC 5321 2.3.8, 4.5.3.2; RFC 2920; RFC 3207 4.2.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from abc import abstractmethod
from collections import Counter
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, Session

from gateway import steps
from gateway.clock import Clock
from gateway.errors import TryLater
from gateway.logs import Log
from gateway.smtp import reception, replies
from gateway.smtp.config import RELAY, SUBMISSIONS, SmtpConfig
from gateway.smtp.gate import Gate, client_address
from gateway.smtp.limits import Doorkeeper, FailedLogins, Few, host_of
from gateway.smtp.replies import Reply
from gateway.spool.doors import Doors
from gateway.spool.writer import SpoolWriter

_log = Log("gateway.smtp")
READ_BYTES = 262_144
NOTED_REFUSALS, NOTED_WINDOW_SECONDS = 10, 60.0
"""So many refusals of one tenant's clients reach its log in that time; all of them stand in this process's own."""
_LINE_BYTES = 2048
_UNSENT_BYTES = 65_536


@dataclass(slots=True)
class Services:
    """What all connections of the process share. `draining` is set once: no new message after that."""

    config: SmtpConfig
    clock: Clock
    gate: Gate
    writer: SpoolWriter
    doorkeeper: Doorkeeper
    failed_logins: FailedLogins
    pool: Executor
    noted: Few = field(default_factory=lambda: Few(NOTED_REFUSALS, NOTED_WINDOW_SECONDS))
    to_postmaster: Few = field(default_factory=lambda: Few(reception.POSTMASTER_AN_HOUR, reception.HOUR_SECONDS))
    tls_context: ssl.SSLContext | None = None
    submission_context: ssl.SSLContext | None = None
    """The same with a request for the client's certificate, for the submission ports."""
    draining: bool = False
    connections: set[Engine] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    """accepted, refused (5xx), later (4xx): for the figures."""

    def context(self, listener: str) -> ssl.SSLContext | None:
        """What a connection of that listener shakes hands with."""
        return self.tls_context if listener == RELAY else self.submission_context or self.tls_context

    def figures(self) -> Doors:
        """What was counted up to now."""
        accepted, refused, later = (self.answers[kind] for kind in ("accepted", "refused", "later"))
        return Doors(self.clock.now_us(), accepted, refused, later, len(self.connections))


class Engine(SMTP):
    """One connection, without its commands. `listener` is ``relay``, ``submission`` or ``submissions``."""

    # The stream's inner parts are private to asyncio; the traps above lie there, so there they are taken out.
    _reader: Any
    _writer: Any

    def __init__(self, services: Services, listener: str, loop: asyncio.AbstractEventLoop) -> None:
        # aiosmtpd's own __init__ looks up every method of the class by name, 0.4 ms for each connection. What it sets
        # for its commands is not set here; a test shows that no command of its is left to run.
        reader = asyncio.StreamReader(loop=loop, limit=READ_BYTES // 2)
        asyncio.StreamReaderProtocol.__init__(self, reader, client_connected_cb=self._cb_client_connected, loop=loop)
        self.loop = loop
        self.services = services
        self.listener = listener
        self.hostname = services.config.hostname
        self.session: Session = Session(loop)
        self.transport: Any = None
        self.tls = ""
        self.certificate = ""
        self.peer = ""
        self.host = ""
        self._handler_coroutine: asyncio.Task[None] | None = None
        self._timeout_handle: asyncio.TimerHandle | None = None
        self._admitted = False
        self._stranger = False
        self._ceiling = float("inf")
        self._deadline = 0.0
        self._message_deadline = float("inf")
        self._committing = False
        self._waiting = False
        self._out = bytearray()
        self.leaving = False

    # -- the connection's life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self.host = host_of(self.peer)
        self._note_tls()
        limits = self.services.config.limits
        self._stranger = self._on_no_network()
        if self._stranger and self.listener == RELAY:  # nothing but a sign-in could come of it
            self._ceiling = self.loop.time() + limits.stranger_seconds
        self._expect(limits.command_seconds)
        self._admitted = self.services.doorkeeper.enter(self.host, stranger=self._stranger)
        self.services.connections.add(self)
        # Step 1: accept the connection.
        steps.reached(1)
        self._handler_coroutine = self.loop.create_task(self._handle_client())

    def connection_lost(self, error: Exception | None) -> None:
        if self._timeout_handle is not None:
            self._timeout_handle.cancel()
            self._timeout_handle = None
        if self._admitted:
            self._admitted = False
            self.services.doorkeeper.leave(self.host, stranger=self._stranger)
        self.services.connections.discard(self)
        self.transport = None
        # The task reads the end of input, or an error, and ends by itself: after a commit if one is under way.
        asyncio.StreamReaderProtocol.connection_lost(self, error)

    def _on_no_network(self) -> bool:
        """Whether no network or device of a tenant holds this client, or it is not known now which do."""
        address = client_address(self.peer)
        try:
            return address is None or not self.services.gate.snapshot().expects(address)
        except TryLater:
            return True

    def recognised(self) -> None:
        """The client signed in, or was let send: it is no stranger any more."""
        if self._stranger:
            self._stranger, self._ceiling = False, float("inf")
            if self._admitted:
                self.services.doorkeeper.known()

    def eof_received(self) -> bool | None:
        """The client says no more. It may still be waiting for the answer to its message."""
        return asyncio.StreamReaderProtocol.eof_received(self)

    async def _handle_client(self) -> None:
        try:
            if not self._admitted:
                self.say(replies.CROWDED)
            elif self.services.draining:
                self.say(replies.CLOSING)
            else:
                self._out += f"220 {self.hostname} ESMTP Sealgate\r\n".encode("ascii")
                await self.converse()
            await self.flush()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, TimeoutError):
            pass  # the client went away; there is nobody to tell
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("smtp:failed", listener=self.listener)
            if self.transport is not None:
                self.transport.write(replies.BROKEN.line)
        finally:
            self.ended()
            if self.transport is not None:
                self.transport.close()

    @abstractmethod
    async def converse(self) -> None:
        """The dialogue; made by the subclass."""

    @abstractmethod
    def ended(self) -> None:
        """The dialogue is over, however it ended; a message under way is given up. Made by the subclass."""

    # -- lines and answers

    def say(self, reply: Reply) -> None:
        """Queue an answer; it leaves before we next wait for input."""
        self._out += reply.line
        if reply.code >= 400:
            self.services.answers["refused" if reply.code >= 500 else "later"] += 1

    async def push(self, status: str | bytes) -> None:
        """aiosmtpd's way to answer, kept for what of it still runs; nothing is logged."""
        self._out += (status.encode("ascii") if isinstance(status, str) else status) + b"\r\n"

    async def flush(self) -> None:
        """Send what is queued, and wait if the client is slow to read."""
        if self._out and self.transport is not None:
            out, self._out = bytes(self._out), bytearray()
            self._writer.write(out)
            await self._writer.drain()

    async def read_line(self, limit: int = _LINE_BYTES) -> bytes | None:
        """The next line with its end, None at the end of input. A longer one is read over and comes as ``b""``."""
        if len(self._out) > _UNSENT_BYTES or b"\n" not in self._reader._buffer:
            await self.flush()
        self._waiting = True
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            self.say(replies.LONG_LINE)
            return None
        finally:
            self._waiting = False
        return bytes(line) if len(line) <= limit else b""

    async def read_some(self) -> bytes:
        """Up to 256 KiB of whatever comes next; empty at the end of input."""
        if not self._reader._buffer:
            await self.flush()
        return bytes(await self._reader.read(READ_BYTES))

    def give_back(self, data: bytes) -> None:
        """What was read beyond the end of a message: the next commands."""
        if data:
            self._reader._buffer[:0] = data

    # -- TLS

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Answer 220 and shake hands. Nothing that came before the handshake is read after it."""
        await self.flush()
        self._reader._buffer.clear()
        self._reader._maybe_resume_transport()
        self._expect(self.services.config.limits.handshake_seconds)
        # From clearing to the switch there is no await: no byte can slip in between.
        self.transport.write(replies.TLS_READY)
        try:
            self.transport = await self.loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self.services.config.limits.handshake_seconds,
            )
        except OSError as error:  # ssl.SSLError is one: the client spoke no TLS, another TLS, or went away
            raise ConnectionAbortedError from error
        self._reader._transport = self.transport
        self._writer._transport = self.transport
        self._transport = self.transport
        self._over_ssl = True
        self._note_tls()

    def _note_tls(self) -> None:
        secured = self.transport.get_extra_info("ssl_object") if self.transport is not None else None
        if secured is not None:
            cipher = secured.cipher()
            self.tls = f"{secured.version()} {cipher[0] if cipher else ''}".strip()
            shown = secured.getpeercert(binary_form=True)  # one that was not verified ended the handshake
            self.certificate = hashlib.sha256(shown).hexdigest() if shown else ""
        elif self.listener == SUBMISSIONS:
            self.tls = ""

    # -- time

    def expect_command(self) -> None:
        """The client has that long for its next command."""
        self._expect(self.services.config.limits.command_seconds)

    def expect_message(self, begin: bool = False) -> None:
        """The client has that long for its next bytes, and not longer than the whole message may take."""
        limits = self.services.config.limits
        if begin:
            self._message_deadline = self.loop.time() + limits.message_seconds
        self._expect(limits.command_seconds, self._message_deadline)

    def _expect(self, seconds: float, ceiling: float = float("inf")) -> None:
        self._deadline = min(self.loop.time() + seconds, ceiling, self._ceiling)
        handle = self._timeout_handle
        if handle is None or handle.when() > self._deadline:
            if handle is not None:
                handle.cancel()
            self._timeout_handle = self.loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        """Runs now and then; moving a timer for every command would cost more than looking at a number."""
        now = self.loop.time()
        self._timeout_handle = None
        if self.transport is None:
            return
        if self._committing or now < self._deadline:
            when = now + 1.0 if self._committing else self._deadline
            self._timeout_handle = self.loop.call_at(when, self._tick)
            return
        _log.info("smtp:timeout", listener=self.listener)
        self.dismiss(replies.TIMED_OUT)

    def dismiss(self, reply: Reply) -> None:
        """Say why and hang up, from outside the task. A client that does not read is cut off without a word."""
        self.leaving = True
        if self.transport is None:
            return
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.write(bytes(self._out) + reply.line)
            self._out.clear()
            self.transport.close()

    @property
    def idle(self) -> bool:
        """Waiting for a command."""
        return self._waiting

    @property
    def task(self) -> asyncio.Task[None] | None:
        """What runs the dialogue."""
        return self._handler_coroutine
