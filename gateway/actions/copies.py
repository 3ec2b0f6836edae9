"""Outbound copies and our own mail to senders: what exactly leaves, written to the outbound spool.

Promises: one copy per protected recipient, holding that recipient's link and no other; RET=HDRS on every copy, so that
a bounce cannot bring PHI back (RFC 3461 4.3); nothing is sent to the null sender or in answer to an automatic mail;
every mail of our own carries the log's checkpoint when there is one (DESIGN §5).
"""

from __future__ import annotations

import mimetypes
import posixpath
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from datetime import datetime
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from gateway.actions.seal import LinkGrant, MessageSeal
from gateway.actions.signing import Signer
from gateway.actions.tenants import TenantView
from gateway.clock import Clock, from_us
from gateway.detect.display import harmless
from gateway.mail import calendar, compose, moments, rewrite, trace
from gateway.mail.dsn import DsnFacts, FailedRecipient, dsn
from gateway.mail.model import Message
from gateway.mail.notices import (
    NoticeFacts,
    attachment_block,
    invitation_words,
    neutral_subject,
    secure_words,
)
from gateway.mail.sender_notice import Found, SenderFacts, sender_notice
from gateway.mail.source import Source
from gateway.senders import LOOP
from gateway.spool.envelope import POSTMASTER, Envelope, Identity, Params, Recipient
from gateway.spool.writer import SpoolWriter
from gateway.words import Words

Path = tuple[int, ...]


class Copies:
    """Composes and writes. Thread-safe: it holds no state of a message."""

    def __init__(
        self,
        spool: SpoolWriter,
        clock: Clock,
        words: Words,
        tenants: Callable[[str], TenantView],
        checkpoint: Callable[[str], str],
        node: str,
        thread: Callable[[TenantView, str, str], str] | None = None,
        reader: Callable[[TenantView, str], str] = lambda view, sender: sender,
        signer: Signer | None = None,
    ) -> None:
        """`thread` makes a notice's Message-ID (about a message, to somebody), `reader` says who reads for a sender,
        `signer` signs what is not the original.
        """
        self._spool = spool
        self._clock = clock
        self._words = words
        self._tenants = tenants
        self._checkpoint = checkpoint
        self._node = node
        self._thread = thread
        self.reader = reader
        self._signer = signer

    def write(self, envelope: Envelope, chunks: Iterable[bytes], *, untouched: bool = False) -> Future[str]:
        """Seal one copy into the outbound spool; the future answers when it is durable.

        `chunks` can be gone through twice, for a signature stands before what it is made of; `untouched` is the
        original, which is never signed.
        """
        signed, view = b"", self._tenants(envelope.tenant)
        # What a stranger wrote to postmaster is never the clinic's word, whatever became of it here.
        if self._signer is not None and not untouched and envelope.identity.kind != POSTMASTER:
            signed = self._signer.fields(view, chunks)
        if envelope.identity.kind == "system":  # what is not our own has it from `top`
            signed += self._loop(view)
        item = self._spool.begin(envelope)
        try:
            if signed:
                item.write(signed)
            for chunk in chunks:
                item.write(chunk)
            return item.finish()
        except BaseException:
            item.abort()
            raise

    def envelope(
        self, original: Envelope, copy: str, recipients: tuple[Recipient, ...], params: Params, *, system: bool = False
    ) -> Envelope:
        """The envelope of a copy. Mail of our own goes out with the null reverse-path (RFC 3834 3.3, RFC 3464 2)."""
        return Envelope(
            tenant=original.tenant,
            queue=copy,
            mail_from="" if system else original.mail_from,
            recipients=recipients,
            identity=Identity("system") if system else original.identity,
            arrived_us=self._clock.now_us(),
            node=self._node,
            mail_params=params,
        )

    @staticmethod
    def headers_only(params: Params) -> Params:
        """The same parameters with RET=HDRS; SIZE is left to the courier, which knows the copy's."""
        kept = tuple(one for one in params if one[0].upper() not in ("RET", "SIZE"))
        return (*kept, ("RET", "HDRS"))

    def top(self, tenant: str, envelope: Envelope) -> bytes:
        """The lines on top of what passes (RFC 5321 4.4)."""
        view = self._tenants(tenant)
        host = view.host
        date = format_datetime(from_us(envelope.arrived_us))
        lines = trace.received(envelope.helo, envelope.client_ip, host, envelope.protocol, envelope.queue, date)
        return lines + trace.trace(self._node, envelope.queue) + self._loop(view)

    @staticmethod
    def _loop(view: TenantView) -> bytes:
        """Tells the provider's mail-flow rule that it was here; nothing where mail does not go back to it."""
        return f"{LOOP}: {view.loop}\r\n".encode("ascii") if view.loop else b""

    @staticmethod
    def original(source: Source, top: bytes) -> Iterator[bytes]:
        """The original under our lines."""
        yield top
        yield from source.chunks(0, source.size)

    def secured(
        self,
        view: TenantView,
        envelope: Envelope,
        message: Message,
        source: Source,
        seal: MessageSeal,
        link: LinkGrant,
        recipient: Recipient,
        *,
        whole_notice: bool,
        removed: frozenset[Path],
        neutral: bool,
        invitation: str = "",
    ) -> Iterable[bytes]:
        """The copy for one recipient: the mail without its sealed parts, or a notice in place of all of it.

        `invitation` is the calendar object that was sealed: with a notice goes one that works and says nothing of it.
        """
        facts = NoticeFacts(
            clinic=view.display_name,
            recipient=recipient.address,
            url=f"{view.public_url}/m/{link.token}",
            files=seal.files,
            size_bytes=seal.file_bytes,
            until=self._local(view, seal.expires_us),
            phone=view.phone,
            sender=self.sender_name(message),
            proved=in_own_name(envelope, message),
            reference=seal.reference,
            code=link.code,
        )
        top = self.top(view.id, envelope) + self._checkpoint_field(view.id)
        subject = neutral_subject(self._words, view.display_name) if neutral else None
        shown = harmless(self.sender_name(message))
        if not whole_notice:
            try:
                block = attachment_block(self._words, facts)
                pieces = rewrite.seal_attachments(message, source, removed, block, top, subject, sender_shown=shown)
                return rewrite.Rendered(source, pieces)
            except rewrite.Unrewritable as error:
                raise NotEditable("the message cannot be edited") from error
        words = secure_words(self._words, facts)
        invite = None
        if invitation:
            invite = calendar.neutral(invitation, *invitation_words(self._words, view.display_name, facts.url))
        notice = rewrite.secure_notice(message, words, top, subject, sender_shown=shown, invitation=invite)
        return rewrite.Rendered(source, notice)

    def _checkpoint_field(self, tenant: str) -> bytes:
        """The log's head, left in the recipient's mailbox where no operator can change it (DESIGN §5)."""
        value = self._checkpoint(tenant)
        return compose.header(trace.CHECKPOINT, value) if value else b""

    @staticmethod
    def sender_name(message: Message) -> str:
        """The display name of From, empty where there is none."""
        found = message.addresses("from")
        return found[0][0] if found else ""

    @staticmethod
    def extension(content_type: str, name: str = "") -> str:
        """A file name's ending, from the name or the media type; it tells the kind of file and nothing else."""
        ending = posixpath.splitext(name)[1].lower()
        known = ending in mimetypes.types_map or ending in (".dcm", ".hl7")
        return ending if known else mimetypes.guess_extension(content_type) or ""

    def sender_notice(
        self,
        view: TenantView,
        envelope: Envelope,
        message: Message,
        kind: str,
        reference: str,
        recipients: Iterable[Recipient],
        found: tuple[Found, ...],
    ) -> bytes | None:
        """Plain words to the sender, or None where nobody may be answered."""
        if not answerable(envelope, message):
            return None
        now = self._clock.now()
        return sender_notice(
            self._words,
            SenderFacts(
                kind=kind,
                to=self.reader(view, envelope.mail_from),
                postmaster=f"postmaster@{view.host}",
                clinic=view.display_name,
                phone=view.phone,
                message_id=self._message_id(view, reference, self.reader(view, envelope.mail_from)),
                date=format_datetime(now.astimezone(ZoneInfo(view.timezone))),
                sent_at=moments.whole(self._local(view, envelope.arrived_us)),
                reference=reference,
                recipients=tuple(one.address for one in recipients),
                found=found,
                url=f"{view.public_url}{_PAGES.get(kind, '/staff/held')}/{reference}",
                days=view.hold_for.days,
                in_reply_to=message.message_id or "",
                checkpoint=self._checkpoint(view.id),
            ),
        )

    def dsn(
        self,
        view: TenantView,
        envelope: Envelope,
        message: Message | None,
        reference: str,
        failed: tuple[FailedRecipient, ...],
        action: str = "failed",
        retry_until_us: int | None = None,
    ) -> bytes | None:
        """A delivery status notification, or None for the null sender. `retry_until_us` is for what is delayed."""
        if not envelope.mail_from:
            return None
        envid = next((value for name, value in envelope.mail_params if name.upper() == "ENVID"), "")
        return dsn(
            self._words,
            DsnFacts(
                action=action,
                to=self.reader(view, envelope.mail_from),
                postmaster=f"postmaster@{view.host}",
                reporting_mta=view.host,
                clinic=view.display_name,
                phone=view.phone,
                message_id=self._message_id(view, reference, self.reader(view, envelope.mail_from)),
                date=format_datetime(self._clock.now().astimezone(ZoneInfo(view.timezone))),
                arrived=format_datetime(self._local(view, envelope.arrived_us)),
                reference=reference,
                recipients=failed,
                envid=compose.one_line(envid),
                checkpoint=self._checkpoint(view.id),
                retry_until=format_datetime(self._local(view, retry_until_us)) if retry_until_us is not None else "",
            ),
            message,
        )

    def _message_id(self, view: TenantView, about: str, to: str) -> str:
        if self._thread is not None:
            return self._thread(view, about, to)
        return f"<{self._clock.new_id('ntc')}@{view.host}>"

    @staticmethod
    def _local(view: TenantView, at_us: int) -> datetime:
        return from_us(at_us).astimezone(ZoneInfo(view.timezone))


_PAGES = {"protected": "/staff/messages"}
"""Where the sender finds the message that such a notice is about; what is held has a page of its own."""


class NotEditable(ValueError):
    """A message that cannot be edited without breaking it; it is sealed whole instead."""


def in_own_name(envelope: Envelope, message: Message) -> bool:
    """Whether From's one address is that of the account that signed in: only then has anybody proved to be it."""
    found, identity = message.addresses("from"), envelope.identity
    if identity.kind != "app-password" or len(found) != 1 or "@" not in identity.name:
        return False
    return found[0][1].casefold() == identity.name.casefold()


def answerable(envelope: Envelope, message: Message | None) -> bool:
    """Whether a notice may go to the sender: never to the null sender or in answer to a program (RFC 3834 2)."""
    return bool(envelope.mail_from) and not (message is not None and message.auto_submitted)
