"""The session of a connection: the command loop, greetings, TLS, sign-in, and when to hang up.

Promises: every refusal is fixed words with an enhanced code; nothing of what a client sent is said back or logged; an
error inside is answered 451 with fixed words; what follows STARTTLS starts anew; passwords are taken over TLS only.
Clauses: RFC 5321 4.1, RFC 2034, RFC 2920 (pipelining), RFC 3207, RFC 4954; RFC 6409 on the submission listeners.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from gateway.errors import TryLater
from gateway.logs import Log
from gateway.smtp import auth, replies
from gateway.smtp.engine import Engine
from gateway.smtp.replies import Reply
from gateway.spool.snapshot import SubmissionUser

_log = Log("gateway.smtp")
_WEB = frozenset(
    ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI", "HOST:", "USER-AGENT:")
)
_REQUEST = re.compile(r"(?:\A| )HTTP/[0-9]")
_HELLO = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?|\[[A-Za-z0-9:.]+\])\Z")
_AUTH_BYTES = 12_288

Method = Callable[[Any, str], Awaitable[None]]


class Session(Engine):
    """A connection's dialogue without the commands of a message; `commands` names those there are."""

    commands: ClassVar[dict[str, Method]] = {}
    _hello = ""
    _extended = False
    _login: SubmissionUser | None = None
    _errors = 0
    _failed_logins = 0

    async def converse(self) -> None:
        while not self.leaving:
            if self.services.draining and not self.in_transaction:
                self.say(replies.CLOSING)
                return
            self.expect_command()
            line = await self.read_line()
            if line is None:
                return
            await self._one(line)

    def ended(self) -> None:
        self.reset()

    # -- of the message, made by the subclass

    @abstractmethod
    def reset(self) -> None:
        """Give up the message under way, if there is one."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Between MAIL and the answer to the message."""

    @property
    @abstractmethod
    def in_message(self) -> bool:
        """Some of the message itself may have come: what is read next need not be a command."""

    async def _one(self, line: bytes) -> None:
        command, argument = _split(line)
        if command is None:
            self.refuse(replies.BAD_LINE if line else replies.LONG_LINE)
            if line and not line.endswith(b"\r\n"):
                # RFC 5321 2.3.8: a bare LF ends no line. Whether what follows it is a command, two servers may answer
                # in two ways, so nothing more is read.
                self.leaving = True
            return
        if command in _WEB or (command not in self.commands and _REQUEST.search(argument)):
            # A browser that was tricked into talking to us: the rest of its request must not be read as commands.
            _log.warning("smtp:web-request", listener=self.listener)
            self.leaving = True
            self._out.clear()
            return
        method = self.commands.get(command)
        if method is None:
            self.refuse(replies.UNKNOWN)
            return
        try:
            await method(self, argument)
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            # Whatever it was, the client hears fixed words. Inside a message the dialogue is out of step: hang up.
            _log.exception("smtp:failed", listener=self.listener)
            inside = self.in_message
            self.reset()
            self.say(replies.BROKEN if inside else replies.INTERNAL)
            self.leaving = inside

    def refuse(self, reply: Reply) -> None:
        """Say no, and hang up on a client that only collects refusals."""
        self.say(reply)
        _log.info("smtp:refused", reason=reply.reason, code=reply.code, enhanced=reply.enhanced, listener=self.listener)
        if reply.code >= 500:
            self._errors += 1
            if self._errors >= self.services.config.limits.errors_per_connection:
                self.say(replies.TOO_MANY_ERRORS)
                self.leaving = True

    def try_later(self, error: TryLater) -> None:
        """Say 451, and the reason to the log."""
        _log.warning("smtp:try-later", reason=error.detail, listener=self.listener)
        self.say(replies.TRY_LATER)

    # -- session

    async def smtp_HELO(self, argument: str) -> None:
        if not _HELLO.match(argument) or len(argument) > 255:
            self.refuse(replies.BAD_HELLO)
            return
        self.reset()
        self._hello, self._extended = argument, False
        self._out += f"250 {self.hostname}\r\n".encode("ascii")

    async def smtp_EHLO(self, argument: str) -> None:
        if not _HELLO.match(argument) or len(argument) > 255:
            self.refuse(replies.BAD_HELLO)
            return
        self.reset()
        self._hello, self._extended = argument, True
        lines = [self.hostname, f"SIZE {self.services.config.max_message_bytes}", "PIPELINING", "ENHANCEDSTATUSCODES"]
        lines += ["CHUNKING", "DSN"]
        lines += [name for name in ("8BITMIME", "SMTPUTF8") if name in self.services.gate.extensions()]
        if self.tls:
            lines += [name for name in ("REQUIRETLS",) if name in self.services.gate.extensions()]
            lines.append("AUTH PLAIN LOGIN")
        elif self.services.tls_context is not None:
            lines.append("STARTTLS")
        self._out += "".join(f"250-{line}\r\n" for line in lines[:-1]).encode("ascii")
        self._out += f"250 {lines[-1]}\r\n".encode("ascii")

    async def smtp_NOOP(self, argument: str) -> None:
        self.say(replies.OK)

    async def smtp_HELP(self, argument: str) -> None:
        self.say(replies.HELP)

    async def smtp_VRFY(self, argument: str) -> None:
        self.say(replies.VRFY if argument else replies.BAD_ARGUMENT)

    async def smtp_EXPN(self, argument: str) -> None:
        self.refuse(replies.NOT_HERE)

    async def smtp_RSET(self, argument: str) -> None:
        if argument:
            self.refuse(replies.NO_ARGUMENT)
            return
        self.reset()
        self.say(replies.OK)

    async def smtp_QUIT(self, argument: str) -> None:
        self.say(replies.BYE)
        self.leaving = True

    async def smtp_STARTTLS(self, argument: str) -> None:
        context = self.services.context(self.listener)
        if argument:
            self.refuse(replies.NO_ARGUMENT)
        elif self.tls or self.in_transaction:
            self.refuse(replies.NOT_NOW)
        elif context is None:
            self.refuse(replies.NO_TLS)
        else:
            await self.start_tls(context)
            # RFC 3207 4.2: everything learnt before the handshake is forgotten.
            self._hello, self._extended, self._login = "", False, None  # the certificate is what this one showed

    async def smtp_AUTH(self, argument: str) -> None:
        if not self._extended:
            self.refuse(replies.HELLO_FIRST)
            return
        if not self.tls:
            self.refuse(replies.TLS_FIRST)
            return
        if self._login is not None or self.in_transaction:
            self.refuse(replies.NOT_NOW)
            return
        if self.services.failed_logins.blocked(self.host, self.loop.time()):
            self.refuse(replies.LOGIN_LIMIT)
            self.leaving = True
            return
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() == "PLAIN":
            answer = await self._plain(initial)
        elif mechanism.upper() == "LOGIN":
            answer = await self._ask_name_and_password(initial)
        else:
            answer = replies.UNKNOWN_MECHANISM
        if isinstance(answer, Reply):
            self.refuse(answer)
            return
        self._sign_in(*answer)

    def _sign_in(self, name: str, password: bytes) -> None:
        try:
            snapshot = self.services.gate.snapshot()
        except TryLater as error:
            self.try_later(error)
            return
        self._login = auth.check(snapshot, name, password)
        if self._login is not None:
            self.recognised()
            self.say(replies.SIGNED_IN)
            return
        self.services.failed_logins.failed(self.host, self.loop.time())
        self._failed_logins += 1
        self.refuse(replies.BAD_LOGIN)
        if self._failed_logins >= self.services.config.limits.failed_logins_per_connection:
            self.leaving = True

    async def _plain(self, initial: str) -> tuple[str, bytes] | Reply:
        message = auth.decode(initial.encode("utf-8")) if initial else await self._challenge(b"334 \r\n")
        if message is None:
            return replies.BAD_BASE64
        if isinstance(message, Reply):
            return message
        return auth.plain(message) or replies.BAD_LOGIN

    async def _ask_name_and_password(self, initial: str) -> tuple[str, bytes] | Reply:
        answers: list[bytes] = []
        if initial:
            answers.append(auth.decode(initial.encode("utf-8")) or b"")
        for question in (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n")[len(answers) :]:
            answer = await self._challenge(question)
            if answer is None:
                return replies.BAD_BASE64
            if isinstance(answer, Reply):
                return answer
            answers.append(answer)
        return auth.as_name(*answers) or replies.BAD_LOGIN

    async def _challenge(self, question: bytes) -> bytes | Reply | None:
        """The decoded answer, None if it is no base64, or the refusal when the client gave up."""
        self._out += question
        self.expect_command()
        line = await self.read_line(_AUTH_BYTES)
        if line is None:
            raise ConnectionResetError
        if not line.endswith(b"\r\n"):
            self.leaving = True
            return replies.BAD_LINE if line else replies.LONG_LINE
        text = line[:-2]
        return replies.CANCELLED if text == b"*" else auth.decode(text)


def _split(line: bytes) -> tuple[str | None, str]:
    """Verb in capitals and argument; no verb for a line that is none: bare newlines, control bytes, not UTF-8."""
    if not line.endswith(b"\r\n"):
        return None, ""
    try:
        text = line[:-2].decode("utf-8")
    except UnicodeDecodeError:
        return None, ""
    if not text.isprintable():
        return None, ""
    verb, _, argument = text.partition(" ")
    return (verb.upper(), argument.strip(" ")) if verb.isascii() and verb else (None, "")
