"""The demo's mail sink: takes every mail the gateway delivers and keeps it in memory. "What left the building"."""

from __future__ import annotations

import email
import email.message
import email.policy
import re
import threading
from dataclasses import dataclass
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from gateway.demo.ports import free_port

LINK = re.compile(r"https?://[^\s\"<>]+/m/[0-9A-Za-z]{34}")


@dataclass(frozen=True, slots=True)
class Received:
    """One mail as it arrived."""

    mail_from: str
    recipients: tuple[str, ...]
    data: bytes

    @property
    def parsed(self) -> email.message.EmailMessage:
        """For reading only."""
        return email.message_from_bytes(self.data, policy=email.policy.default)

    @property
    def text(self) -> str:
        """The text that a mail program would show; empty when there is none, or none that can be read."""
        try:
            body = self.parsed.get_body(("plain", "html"))
            return str(body.get_content()) if body is not None else ""
        except (LookupError, ValueError, AttributeError, TypeError):  # the email package on malformed mail
            return ""

    @property
    def attachments(self) -> int:
        """How many files a mail program would list."""
        try:
            return sum(1 for _ in self.parsed.iter_attachments())
        except (LookupError, ValueError, AttributeError, TypeError):
            return 0

    def header(self, name: str) -> str:
        """A header field's value as text; empty when it is absent or cannot be read."""
        try:
            return str(self.parsed.get(name, ""))
        except (LookupError, ValueError, AttributeError, TypeError):
            return ""

    @property
    def link(self) -> str | None:
        """The personal link in it."""
        found = LINK.search(self.text)
        return found[0] if found else None

    def everything(self) -> bytes:
        """The raw bytes and every decoded part, for looking that something is not in there."""
        parts = [part.get_payload(decode=True) or b"" for part in self.parsed.walk() if not part.is_multipart()]
        return b"\n".join([self.data, *(bytes(part) for part in parts)])


class _Smtp(SMTP):
    """aiosmtpd's, with room for the long lines that mail has in practice."""

    line_length_limit = 1 << 20


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Smtp(self.handler, **self.SMTP_kwargs)


class Sink:
    """A listening sink. `port` 0 lets the system choose."""

    def __init__(self, port: int = 0) -> None:
        self.port = port or free_port()
        self._condition = threading.Condition()
        self.mails: list[Received] = []
        self._stopped = False
        self._controller = _Controller(self, hostname="127.0.0.1", port=self.port, data_size_limit=200_000_000,
                                      enable_SMTPUTF8=True, ready_timeout=30)  # fmt: skip

    def start(self) -> int:
        """Begin to listen; the port."""
        self._controller.start()
        return self.port

    def stop(self) -> None:
        """Stop listening; may be called again."""
        if not self._stopped:
            self._stopped = True
            self._controller.stop(no_assert=True)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd's hook."""
        with self._condition:
            sender = "" if envelope.mail_from in (None, "<>") else envelope.mail_from  # aiosmtpd's null sender
            self.mails.append(Received(sender, tuple(envelope.rcpt_tos), bytes(envelope.content)))
            self._condition.notify_all()
        return "250 2.0.0 taken"

    def wait_for(self, recipient: str, count: int = 1, seconds: float = 60.0) -> list[Received]:
        """The mails to that address, once there are `count`. Raises TimeoutError."""

        def found() -> list[Received]:
            return [mail for mail in self.mails if recipient in mail.recipients]

        with self._condition:
            if not self._condition.wait_for(lambda: len(found()) >= count, seconds):
                raise TimeoutError(f"only {len(found())} of {count} mails arrived")
            return found()
