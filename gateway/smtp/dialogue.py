"""The commands of a message: from whom, to whom, and the message itself.

Promises: a message is answered 250 only after `Receiver.finish` says that it is durable; whether mail can be kept safe
is asked before the message, and again before it is handed to the spool.
Clauses: RFC 5321 3.3, 4.1.1, 4.5.3.1; RFC 1870 (SIZE), RFC 3030 (CHUNKING), RFC 3461 (DSN), RFC 6152, RFC 6531.
"""

from __future__ import annotations

import re
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial

from gateway import steps
from gateway.errors import TryLater
from gateway.logs import Log
from gateway.mail import trace
from gateway.mail.address import GrammarError, MailCommand, RcptCommand, parse_mail, parse_rcpt
from gateway.smtp import replies
from gateway.smtp.config import RELAY
from gateway.smtp.data import DotReader
from gateway.smtp.gate import Pending, admit, client_address, domain_of, known
from gateway.smtp.proof import Candidate, Cloakroom, Vestibule
from gateway.smtp.receiver import Receiver
from gateway.smtp.reception import STRANGERS, of_stranger, open_to, target
from gateway.smtp.replies import Reply
from gateway.smtp.session import Session
from gateway.spool.envelope import POSTMASTER, REFUSED, RETURNED, Envelope, Identity, Recipient
from gateway.spool.known import Address, SharedEntry
from gateway.spool.snapshot import Snapshot, TenantEntry

_log = Log("gateway.smtp")
_BDAT = re.compile(r"([0-9]{1,18})(?: +(LAST))?\Z", re.IGNORECASE)
_DISCARD_FACTOR = 4
"""A refused message is read and forgotten up to that many times the limit; a longer one is cut off."""


@dataclass(slots=True)
class Transaction:
    """One message's envelope while it is being told."""

    tenant: TenantEntry | None  # None: a stranger's report, until its recipient says whose it is
    identity: Identity
    mail: MailCommand
    max_bytes: int
    max_recipients: int
    pending: tuple[Candidate, ...] = ()
    turned_away: Reply = replies.NO_SUCH_ADDRESS  # what a stranger hears who writes to anybody but us
    recipients: dict[str, Recipient] = field(default_factory=dict)
    receiver: Receiver | Vestibule | None = None


class Dialogue(Session):
    """One connection."""

    _transaction: Transaction | None = None
    _in_chunk = False
    _address: Address | None = None

    def reset(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None and transaction.receiver is not None:
            transaction.receiver.abandon()

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None

    @property
    def in_message(self) -> bool:
        return self._in_chunk or (self._transaction is not None and self._transaction.receiver is not None)

    # -- envelope

    async def smtp_MAIL(self, argument: str) -> None:
        if not self._hello:
            self.refuse(replies.HELLO_FIRST)
            return
        if self._transaction is not None:
            self.refuse(replies.NESTED_MAIL)
            return
        try:
            snapshot = self.services.gate.snapshot()
        except TryLater as error:
            self.try_later(error)
            return
        offered = {"SIZE", "DSN", "AUTH"} | ({"8BITMIME", "SMTPUTF8"} & snapshot.extensions)
        if self.tls:  # RFC 8689 2: only over TLS may a client ask for it
            offered |= {"REQUIRETLS"} & snapshot.extensions
        mail = parse_mail(argument, frozenset(offered) if self._extended else frozenset())
        if isinstance(mail, GrammarError):
            self.refuse(_grammar(mail))
            return
        if self._address is None:
            self._address = client_address(self.peer)
        answer = admit(
            snapshot, self._address, self._login, mail.address, login_required=self.listener != RELAY,
            certificate=self.certificate,
        )  # fmt: skip
        if isinstance(answer, Reply) and open_to(
            snapshot, self.services.config, self._address, answer, signed_in=self._login is not None
        ):
            most = self.services.config.limits.report_bytes
            refusal = answer if mail.address else replies.NO_SUCH_ADDRESS
            self._transaction = Transaction(None, Identity(RETURNED), mail, most, 1, turned_away=refusal)
            self.say(replies.SENDER_OK)
            return
        if isinstance(answer, Reply):
            self._turn_away(snapshot, answer)
            return
        self.recognised()
        pending = answer.candidates if isinstance(answer, Pending) else ()
        tenant, identity = (pending[0][0], Identity("shared")) if isinstance(answer, Pending) else answer
        config = self.services.config
        max_bytes = min(config.max_message_bytes, tenant.max_message_bytes or config.max_message_bytes)
        if (mail.size or 0) > max_bytes:
            self.refuse(replies.TOO_LARGE)
            return
        max_recipients = min(config.max_recipients, tenant.max_recipients or config.max_recipients)
        self._transaction = Transaction(tenant, identity, mail, max_bytes, max_recipients, pending)
        self.say(replies.SENDER_OK)

    def _note(self, found: tuple[str, str | None] | None, reason: str) -> None:
        """Have the worker write `message:refused` into the log of the tenant whose client tried, a few a minute.

        A sealed and signed item like any other, without addresses: this process has no log to write to.
        """
        if found is None or not self.services.noted.take(found[0], self.loop.time()):
            return
        envelope = Envelope(
            tenant=found[0],
            queue=self.services.clock.new_id("spl"),
            mail_from="",
            recipients=(),
            identity=Identity(REFUSED, found[1], reason),
            arrived_us=self.services.clock.now_us(),
            node=self.services.config.node,
            listener=self.listener,
        )
        try:
            self.services.writer.begin(envelope).finish().add_done_callback(_noted)
        except TryLater as error:
            _log.warning("smtp:not-noted", reason=error.detail)

    async def smtp_RCPT(self, argument: str) -> None:
        transaction = self._transaction
        if transaction is None or transaction.receiver is not None:
            self.refuse(replies.MAIL_FIRST)
            return
        offered = frozenset({"DSN"}) if self._extended else frozenset[str]()
        rcpt = parse_rcpt(argument, offered, smtputf8=transaction.mail.smtputf8)
        if isinstance(rcpt, GrammarError):
            self.refuse(_grammar(rcpt))
            return
        if transaction.pending and not transaction.mail.address:
            self._perhaps_for_us(transaction, rcpt.address)
        if transaction.identity.kind in STRANGERS and not self._for_us(transaction, rcpt.address):
            return
        rcpt = replace(rcpt, address=target(self.services.config.postmasters, rcpt.address))
        key = _same(rcpt)
        if key not in transaction.recipients and len(transaction.recipients) >= transaction.max_recipients:
            self.say(replies.TOO_MANY_RECIPIENTS)  # a list of addresses is one mistake, not one for each address
            return
        transaction.recipients.setdefault(key, Recipient(rcpt.address, rcpt.params))
        self.say(replies.RECIPIENT_OK)

    def _turn_away(self, snapshot: Snapshot, answer: Reply) -> None:
        self.refuse(answer)
        if answer in (replies.NOT_YOUR_DOMAIN, replies.NOT_ITS_ADDRESS):
            self._note(known(snapshot, self._address, self._login, self.certificate), answer.reason)

    def _perhaps_for_us(self, transaction: Transaction, address: str) -> None:
        """What comes to us may come from a provider's network too: it needs no clinic's proof, and gets no further
        than from anywhere else.
        """
        config = self.services.config
        if not config.return_hosts or transaction.recipients:
            return
        try:
            found = of_stranger(self.services.gate.snapshot(), config, "", address)
        except TryLater:
            return  # said where the message begins
        if found is not None:
            transaction.tenant, transaction.identity, transaction.pending = found.tenant, Identity(RETURNED), ()
            transaction.max_bytes, transaction.max_recipients = config.limits.report_bytes, 1

    def _for_us(self, transaction: Transaction, address: str) -> bool:
        """Whether a stranger may write to that address; otherwise it was refused."""
        if transaction.recipients:
            self.refuse(replies.REPORTS_ONLY)
            return False
        try:
            snapshot = self.services.gate.snapshot()
        except TryLater as error:
            self.try_later(error)
            return False
        found = of_stranger(snapshot, self.services.config, transaction.mail.address, address)
        if found is None:
            self._turn_away(snapshot, transaction.turned_away)
            return False
        if found.host and not self.services.to_postmaster.take(found.host, self.loop.time()):
            self.say(replies.TRY_LATER)
            return False
        transaction.tenant, transaction.identity = found.tenant, found.identity
        return True

    # -- message

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


def _noted(future: Future[str]) -> None:
    if future.exception() is not None:
        _log.warning("smtp:not-noted", reason="spool")


def _grammar(error: GrammarError) -> Reply:
    return Reply(error.code, error.enhanced, error.text, "grammar")


def _same(rcpt: RcptCommand) -> str:
    """Two recipients are one when their local parts are equal and their domains are the same."""
    return rcpt.address.rpartition("@")[0] + "@" + domain_of(rcpt.address)


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
