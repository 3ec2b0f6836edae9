"""A smarthost for tests: a real aiosmtpd on a port of the system's choice that keeps what it takes and misbehaves on
request, by the localpart of an address.

    with Smarthost() as smarthost: … smarthost.port … smarthost.wait(1) … smarthost.messages[0].content

A recipient's localpart is read as `fault` or `fault-stage`, with anything after a `+` ignored, so that addresses stay
distinct. Faults: `temperror` 451 4.3.0 · `550` 550 5.1.1 · `552` 552 5.2.2 · `timeout` no answer · `drop` the
connection is cut · `421` 421 and cut. Stages: `rcpt` (also when none is named), `data` at DATA, `cut` while content
arrives, `end` after the end of data. At `end`, `drop` and `timeout` keep the message first: the sender cannot know. A
sender's localpart is read the same way, with stage `mail`. Everything else is accepted.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session, syntax

from tests.support.load import PATIENCE

ANSWERS = {
    "temperror": "451 4.3.0 marked-server-text, try again",
    "550": "550 5.1.1 marked-server-text, no such user",
    "552": "552 5.2.2 marked-server-text, mailbox full",
    "421": "421 4.3.2 marked-server-text, closing",
}


@dataclass
class Received:
    """One message as it arrived."""

    mail_from: str
    mail_params: dict[str, str]
    recipients: list[str]
    rcpt_params: dict[str, dict[str, str]]
    content: bytes
    tls: bool
    user: str | None
    connection: int
    at: float = field(default_factory=time.monotonic)


class _Server(SMTP):
    """aiosmtpd with DSN parameters taken and remembered, and faults at each stage."""

    line_length_limit = 10_000_000
    command_size_limits: ClassVar[dict[str, int]] = defaultdict(lambda: 65_536)

    def __init__(self, owner: Smarthost, *args: Any, **kw: Any) -> None:
        self.owner = owner
        self.mail_params: dict[str, str] = {}
        self.rcpt_params: dict[str, dict[str, str]] = {}
        super().__init__(*args, **kw)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.session is None:  # not the second time, after STARTTLS
            self.owner.connections += 1
            self.owner.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.owner.open.discard(self)
        super().connection_lost(error)

    async def push(self, status: str | bytes) -> None:
        text = status if isinstance(status, str) else status.decode()
        if self.owner.greeting and text.startswith("220 smarthost.test"):
            text = self.owner.greeting
        self.owner.said.append(text)
        await super().push(text)

    async def smtp_EHLO(self, hostname: str) -> None:
        if not self.owner.ehlo:
            await self.push("502 5.5.1 HELO is all we know")
            return
        await super().smtp_EHLO(hostname)

    @syntax("MAIL FROM: <address>")
    async def smtp_MAIL(self, arg: str | None) -> None:
        self.owner.commands.append(f"MAIL {arg}")
        address, params = _split(arg or "")
        self.mail_params, self.rcpt_params = params, {}
        if await self._fault(address, "mail"):
            return
        kept = [
            f"{key}={value}" if value else key for key, value in params.items() if key in ("SIZE", "BODY", "SMTPUTF8")
        ]
        await super().smtp_MAIL(" ".join([f"FROM:<{address}>", *kept]))

    @syntax("RCPT TO: <address>")
    async def smtp_RCPT(self, arg: str | None) -> None:
        self.owner.commands.append(f"RCPT {arg}")
        address, params = _split(arg or "")
        if self.envelope.mail_from is not None and await self._fault(address, "rcpt"):
            return
        self.rcpt_params[address] = params
        await super().smtp_RCPT(f"TO:<{address}>")

    @syntax("DATA")
    async def smtp_DATA(self, arg: str | None) -> None:
        self.owner.commands.append("DATA")
        for address in self.envelope.rcpt_tos:
            if await self._fault(address, "data"):
                return
            if _fault_of(address, "rcpt")[1] == "cut":
                await self.push("354 go on")
                await self._reader.readline()
                word = _fault_of(address, "rcpt")[0]
                if word in ANSWERS:
                    await self.push(ANSWERS[word])
                self._cut()
                return
        await super().smtp_DATA(arg)

    async def _fault(self, address: str, stage: str) -> bool:
        """Whether this stage was spoilt for that address."""
        word, where = _fault_of(address, stage if stage == "mail" else "rcpt")
        if where != stage:
            return False
        await self.spoil(word)
        return True

    async def spoil(self, word: str) -> None:
        if word == "timeout":
            await self.owner.until_stopped()
        elif word == "drop":
            self._cut()
        else:
            await self.push(ANSWERS[word])
            if word == "421":
                self._cut()

    def _cut(self) -> None:
        assert self.transport is not None
        self.transport.abort()


class Smarthost(Controller):
    """See the module's words. `tls`: None, "starttls" or "implicit", with `context` a server's SSLContext."""

    def __init__(
        self,
        *,
        tls: str | None = None,
        context: ssl.SSLContext | None = None,
        extensions: tuple[str, ...] = ("PIPELINING", "DSN", "ENHANCEDSTATUSCODES"),
        smtputf8: bool = True,
        eightbit: bool = True,
        ehlo: bool = True,
        size: int = 200_000_000,
        login: tuple[str, str] | None = None,
        greeting: str | None = None,
    ) -> None:
        self.messages: list[Received] = []
        self.commands: list[str] = []
        self.said: list[str] = []
        self.connections = 0
        self.open: set[_Server] = set()
        self.ehlo = ehlo
        self.hook: Callable[[Received], str | None] | None = None  # may answer instead of 250
        self._offer, self._smtputf8, self._eightbit = extensions, smtputf8, eightbit
        self._size, self._login, self.greeting = size, login, greeting
        self._starttls = context if tls == "starttls" else None
        self._arrived = threading.Condition()
        self._stopping = asyncio.Event()
        super().__init__(self, hostname="127.0.0.1", port=0, ssl_context=context if tls == "implicit" else None)

    def factory(self) -> SMTP:
        return _Server(
            self,
            self,
            data_size_limit=self._size,
            enable_SMTPUTF8=self._smtputf8,
            hostname="smarthost.test",
            tls_context=self._starttls,
            require_starttls=False,
            authenticator=self._authenticate if self._login else None,
            auth_require_tls=False,
            loop=self.loop,
        )

    def _trigger_server(self) -> None:  # aiosmtpd connects to the port it was given; here it is only known now
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
        self.connections = 0

    def __enter__(self) -> Smarthost:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self._stopping.set)
        self.stop()

    async def until_stopped(self) -> None:
        """Silence."""
        await self._stopping.wait()

    def wait(self, count: int, seconds: float = PATIENCE) -> list[Received]:
        """The messages, once there are `count`. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.messages) >= count, seconds):
                raise TimeoutError(f"{len(self.messages)} of {count} messages after {seconds} s")
            return list(self.messages)

    def cut_all(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        done = threading.Event()

        def cut() -> None:
            for server in list(self.open):
                server._cut()
            self.loop.call_soon(done.set)

        self.loop.call_soon_threadsafe(cut)
        done.wait(PATIENCE)

    async def handle_EHLO(
        self, server: _Server, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        kept = [line for line in responses if self._eightbit or not line.endswith("8BITMIME")]
        return [*kept[:-1], *(f"250-{word}" for word in self._offer), kept[-1]]

    async def handle_DATA(self, server: _Server, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        received = Received(
            envelope.mail_from or "",
            server.mail_params,
            list(envelope.rcpt_tos),
            server.rcpt_params,
            content,
            session.ssl is not None or self.ssl_context is not None,
            getattr(session.auth_data, "login", b"").decode() or None,
            self.connections,
        )
        faults = [
            word for word, stage in (_fault_of(address, "rcpt") for address in envelope.rcpt_tos) if stage == "end"
        ]
        if not faults or faults[0] in ("drop", "timeout"):
            with self._arrived:
                self.messages.append(received)
                self._arrived.notify_all()
        if faults:
            if faults[0] in ANSWERS:
                return ANSWERS[faults[0]]
            await server.spoil(faults[0])
            return "250 never seen"
        answer = self.hook(received) if self.hook else None
        return answer or f"250 2.0.0 Ok: queued as MARK{len(self.messages)}"

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        assert self._login is not None
        assert isinstance(data, LoginPassword)
        good = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=good, handled=good, auth_data=data)


def _fault_of(address: str, default_stage: str) -> tuple[str, str]:
    """(fault, stage), or two empty strings."""
    local = address.rsplit("@", 1)[0].split("+")[0]
    word, _, stage = local.partition("-")
    return (word, stage or default_stage) if word in {*ANSWERS, "timeout", "drop"} else ("", "")


def _split(arg: str) -> tuple[str, dict[str, str]]:
    """`FROM:<a@b> SIZE=1` to address and parameters."""
    with contextlib.suppress(ValueError):
        path, _, rest = arg.partition("<")[2].rpartition(">")
        return path, {word.partition("=")[0].upper(): word.partition("=")[2] for word in rest.split()}
    return arg, {}
