"""The commands of a message: the message itself, by DATA or in chunks, on its way into the spool.

Promises: a message is answered 250 only after `Receiver.finish` says that it is durable; whether mail can be kept safe
is asked before the message, and again before it is handed to the spool.
Clauses: RFC 5321 3.3, 4.1.1.4, 4.5.3.1; RFC 3030 (CHUNKING).
"""

from __future__ import annotations

import re
from functools import partial

from gateway import steps
from gateway.errors import TryLater
from gateway.logs import Log
from gateway.mail import trace
from gateway.smtp import replies
from gateway.smtp.addressing import Addressing, Transaction
from gateway.smtp.data import DotReader
from gateway.smtp.proof import Cloakroom, Vestibule
from gateway.smtp.receiver import Receiver
from gateway.smtp.reception import STRANGERS
from gateway.smtp.replies import Reply
from gateway.spool.envelope import POSTMASTER, Envelope, Identity
from gateway.spool.known import SharedEntry
from gateway.spool.snapshot import TenantEntry

_log = Log("gateway.smtp")
_BDAT = re.compile(r"([0-9]{1,18})(?: +(LAST))?\Z", re.IGNORECASE)
_DISCARD_FACTOR = 4
"""A refused message is read and forgotten up to that many times the limit; a longer one is cut off."""


class Dialogue(Addressing):
    """One connection."""

    _in_chunk = False

    @property
    def in_message(self) -> bool:
        return self._in_chunk or (self._transaction is not None and self._transaction.receiver is not None)

    async def smtp_DATA(self, argument: str) -> None:
        transaction = self._transaction
        if argument:
            self.refuse(replies.NO_ARGUMENT)
        elif transaction is None or transaction.receiver is not None:
            self.refuse(replies.MAIL_FIRST if transaction is None else replies.NOT_NOW)
        elif not transaction.recipients:
            self.refuse(replies.RCPT_FIRST)
        elif self._begin(transaction):
            self._out += replies.GO_AHEAD
            await self._read_dotted(transaction)

    async def _read_dotted(self, transaction: Transaction) -> None:
        receiver = transaction.receiver
        if receiver is None:
            return
        dots = DotReader()
        rest: bytes | None = None
        self.expect_message(begin=True)
        while rest is None:
            chunk = await self.read_some()
            if not chunk or receiver.bytes > transaction.max_bytes * _DISCARD_FACTOR:
                raise ConnectionResetError  # cut off before its end, or it has none
            body, rest = dots.feed(chunk)
            if body:
                await receiver.take(body, paired=dots.paired)
            self.expect_message()
        self.give_back(rest)
        await self._complete(transaction, receiver)

    async def smtp_BDAT(self, argument: str) -> None:
        match = _BDAT.match(argument)
        if match is None:
            # How many bytes follow is unknown, and they must not be read as commands.
            self.refuse(replies.BAD_ARGUMENT)
            self.leaving = True
            return
        left, last = int(match[1]), match[2] is not None
        transaction = self._transaction
        refusal: Reply | None = None
        if transaction is None or not transaction.recipients:
            refusal = replies.MAIL_FIRST if transaction is None else replies.RCPT_FIRST
        elif transaction.receiver is None:
            self.expect_message(begin=True)
            self._in_chunk = True  # until it is read, what comes are no commands, whatever goes wrong
            if not self._begin(transaction, announce=False):
                # With this chunk refused the whole message is (RFC 3030 2): a later one must not begin it anew.
                self.reset()
                transaction, refusal = None, replies.TRY_LATER
        receiver = transaction.receiver if transaction is not None else None
        if left > self.services.config.max_message_bytes * _DISCARD_FACTOR:
            self.refuse(replies.TOO_LARGE)
            self.leaving = True
            return
        while left:
            self.expect_message()
            chunk = await self.read_some()
            if not chunk:
                raise ConnectionResetError
            self.give_back(chunk[left:])
            chunk = chunk[:left]
            left -= len(chunk)
            if receiver is not None:
                await receiver.take(chunk)
        self._in_chunk = False
        if refusal is not None or transaction is None or receiver is None:
            self.refuse(refusal or replies.MAIL_FIRST)
        elif last:
            await self._complete(transaction, receiver)
        elif receiver.verdict is not None:
            self.refuse(receiver.verdict)  # said again for each further chunk, until RSET
        else:
            self.say(replies.CHUNK_OK)

    def _begin(self, transaction: Transaction, *, announce: bool = True) -> bool:
        """Open an item in the spool; False if mail cannot be taken now, which then was said."""
        try:
            self.services.gate.snapshot()
        except TryLater as error:
            if announce:
                self.try_later(error)
            return False
        if (tenant := transaction.tenant) is None:
            return False
        # Step 2: spool, sync, "250".
        steps.reached(2)
        if transaction.pending:
            transaction.receiver = self._vestibule(transaction)
        elif tenant.shared and transaction.identity.kind not in STRANGERS:
            begin, normalize = partial(self._receiver, transaction, tenant), self.services.config.normalize_newlines
            transaction.receiver = Cloakroom(tenant, begin, normalize=normalize)
        else:
            transaction.receiver = self._receiver(transaction, tenant)
        return True

    def _vestibule(self, transaction: Transaction) -> Vestibule:
        """For mail of a shared network: it becomes a clinic's when its header proves which."""

        def begin(tenant: TenantEntry, shared: SharedEntry) -> Receiver:
            transaction.tenant, transaction.identity = tenant, Identity("shared", None, shared.name)
            return self._receiver(transaction, tenant)

        def refused(reply: Reply) -> None:
            one, *more = {tenant.id for tenant, _ in transaction.pending}
            self._note(None if more else (one, None), reply.reason)

        return Vestibule(transaction.pending, begin, refused)

    def _receiver(self, transaction: Transaction, tenant: TenantEntry) -> Receiver:
        config = self.services.config
        item = self.services.writer.begin(
            Envelope(
                tenant=tenant.id,
                queue=self.services.clock.new_id("spl"),
                mail_from="" if transaction.identity.kind == POSTMASTER else transaction.mail.address,
                mail_params=transaction.mail.params,
                recipients=tuple(transaction.recipients.values()),
                identity=transaction.identity,
                arrived_us=self.services.clock.now_us(),
                node=config.node,
                client_ip=self.peer,
                helo=self._hello,
                tls=self.tls,
                listener=self.listener,
                protocol=trace.protocol(
                    transaction.mail.smtputf8, extended=self._extended, tls=bool(self.tls), signed_in=bool(self._login)
                ),
            )
        )
        return Receiver(
            item,
            self.services.pool,
            max_bytes=transaction.max_bytes,
            normalize_newlines=config.normalize_newlines,
            received_fields=config.limits.received_fields,
            own_passes=config.limits.own_passes,
        )

    async def _complete(self, transaction: Transaction, receiver: Receiver | Vestibule) -> None:
        """Answer for the message. Nobody waits for a client here: the clock stands still until the disk has spoken."""
        self._committing = True
        try:
            self.services.gate.snapshot()
        except TryLater as error:
            await receiver.refuse(replies.TRY_LATER)
            _log.warning("message:deferred", queue=receiver.queue, reason=error.detail)
        try:
            verdict = await receiver.finish()
        finally:
            self._committing = False
        self._transaction = None
        if verdict is not None:
            receiver.abandon()
            self.refuse(verdict)
            return
        tenant = transaction.tenant.id if transaction.tenant is not None else ""
        _log.info("message:spooled", queue=receiver.queue, tenant=tenant, bytes=receiver.bytes)
        self._out += replies.queued(receiver.queue)
        self.services.answers["accepted"] += 1


Dialogue.commands = {
    "EHLO": Dialogue.smtp_EHLO,
    "HELO": Dialogue.smtp_HELO,
    "MAIL": Dialogue.smtp_MAIL,
    "RCPT": Dialogue.smtp_RCPT,
    "DATA": Dialogue.smtp_DATA,
    "BDAT": Dialogue.smtp_BDAT,
    "RSET": Dialogue.smtp_RSET,
    "NOOP": Dialogue.smtp_NOOP,
    "QUIT": Dialogue.smtp_QUIT,
    "STARTTLS": Dialogue.smtp_STARTTLS,
    "AUTH": Dialogue.smtp_AUTH,
    "VRFY": Dialogue.smtp_VRFY,
    "EXPN": Dialogue.smtp_EXPN,
    "HELP": Dialogue.smtp_HELP,
}
