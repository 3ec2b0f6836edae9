"""The commands of an envelope: from whom, to whom.

Promises: who may send what is decided at MAIL (`gate.py`), for strangers at RCPT (`reception.py`); a client that tries
what it may not is noted for the log of the tenant whose it is, without an address.
Clauses: RFC 5321 3.3, 4.1.1.2, 4.1.1.3, 4.5.3.1; RFC 1870 (SIZE), RFC 3461 (DSN), RFC 6152, RFC 6531.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from gateway.errors import TryLater
from gateway.logs import Log
from gateway.mail.address import GrammarError, MailCommand, RcptCommand, domain_of, parse_mail, parse_rcpt
from gateway.smtp import replies
from gateway.smtp.config import RELAY
from gateway.smtp.gate import Pending, admit, client_address, known
from gateway.smtp.proof import Candidate, Vestibule
from gateway.smtp.receiver import Receiver
from gateway.smtp.reception import STRANGERS, of_stranger, open_to, target
from gateway.smtp.replies import Reply
from gateway.smtp.session import Session
from gateway.spool.envelope import REFUSED, RETURNED, Envelope, Identity, Recipient
from gateway.spool.known import Address
from gateway.spool.snapshot import Snapshot, TenantEntry

_log = Log("gateway.smtp")


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


class Addressing(Session):
    """A connection's dialogue without the commands that bring the message itself."""

    _transaction: Transaction | None = None
    _address: Address | None = None

    def reset(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None and transaction.receiver is not None:
            transaction.receiver.abandon()

    @property
    def in_transaction(self) -> bool:
        return self._transaction is not None

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


def _noted(future: Future[str]) -> None:
    if future.exception() is not None:
        _log.warning("smtp:not-noted", reason="spool")


def _grammar(error: GrammarError) -> Reply:
    return Reply(error.code, error.enhanced, error.text, "grammar")


def _same(rcpt: RcptCommand) -> str:
    """Two recipients are one when their local parts are equal and their domains are the same."""
    return rcpt.address.rpartition("@")[0] + "@" + domain_of(rcpt.address)
