"""One message over one connection: envelope, streamed content, one outcome per recipient.

Promises: content is never held whole; MAIL, RCPT and DATA go in one write where the server has PIPELINING; a fault
before the end of data was sent leaves nothing delivered, a fault after it is said to be unknown. What the source raises
passes through, and since the end of data was not sent by then, the caller has only to close the connection.
Clauses: RFC 5321 3.3, 4.1.1.4; RFC 2920 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from gateway.courier.connection import Connection, Interrupted
from gateway.courier.dots import BareNewline, DotStuffer
from gateway.courier.plan import Plan
from gateway.courier.port import Bounced, Delivered, Outbound, Outcome
from gateway.courier.reply import Reply, refusal
from gateway.errors import Tampered

Outcomes: TypeAlias = dict[int, Outcome]
_GROUP = 50  # recipients in one write; their answers fit into any socket buffer, so neither side can wait for the other

_ONE_WRITE_BYTES = 65_536
"""Content up to that size leaves in one write with its end, so that a small mail wakes the other side once."""


class ConnectionLost(Exception):
    """The line broke within a message. `ended`: after its end of data had been handed to the system."""

    def __init__(self, reason: str, *, ended: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ended = ended


def transact(connection: Connection, outbound: Outbound, plan: Plan) -> Outcomes:
    """Outcome by index of each recipient in the plan. Raises ConnectionLost, and what the source raises."""
    connection.used += 1
    try:
        outcomes, go_on = _pipelined(connection, plan) if connection.pipelining else _stepwise(connection, plan)
    except Interrupted as error:
        raise ConnectionLost(error.reason, ended=False) from None
    taken = [index for index, _ in plan.rcpt if index not in outcomes]
    if taken and go_on:
        return outcomes | dict.fromkeys(taken, _content(connection, outbound))
    # Nobody is left. Where DATA was already answered 354 an empty message is owed, and goes to nobody (RFC 2920 3.1).
    try:
        connection.send_bytes(b".\r\n" if go_on else b"RSET\r\n")
        connection.answer()
    except Interrupted:
        connection.close()
    return outcomes


def _pipelined(connection: Connection, plan: Plan) -> tuple[Outcomes, bool]:
    """Refusals by index, and whether the server waits for content."""
    outcomes: Outcomes = {}
    lines = [plan.mail]
    mail: Reply | None = None
    groups = [plan.rcpt[at : at + _GROUP] for at in range(0, len(plan.rcpt), _GROUP)]
    for group in groups:
        last = group is groups[-1]
        lines += [command for _, command in group] + (["DATA"] if last else [])
        connection.send_bytes("".join(f"{line}\r\n" for line in lines).encode(plan.encoding))
        lines = []
        mail = mail or connection.answer()
        for index, _ in group:
            reply = connection.answer()
            if not reply.good:
                outcomes[index] = refusal(reply, at_rcpt=True)
        if not mail.good:
            go_on = last and connection.answer().code == 354
            return dict.fromkeys((index for index, _ in plan.rcpt), refusal(mail)), go_on
    data = connection.answer()
    if data.code == 354:
        return outcomes, True
    return {index: outcomes.get(index, refusal(data)) for index, _ in plan.rcpt}, False


def _stepwise(connection: Connection, plan: Plan) -> tuple[Outcomes, bool]:
    """The same, one command and one answer at a time."""

    def ask(line: str) -> Reply:
        connection.send_bytes(f"{line}\r\n".encode(plan.encoding))
        return connection.answer()

    mail = ask(plan.mail)
    if not mail.good:
        return dict.fromkeys((index for index, _ in plan.rcpt), refusal(mail)), False
    outcomes: Outcomes = {}
    for index, command in plan.rcpt:
        reply = ask(command)
        if not reply.good:
            outcomes[index] = refusal(reply, at_rcpt=True)
    if len(outcomes) == len(plan.rcpt):
        return outcomes, False
    data = ask("DATA")
    if data.code == 354:
        return outcomes, True
    return {index: outcomes.get(index, refusal(data)) for index, _ in plan.rcpt}, False


def _content(connection: Connection, outbound: Outbound) -> Outcome:
    """The outcome of all whose RCPT was taken."""
    stuffer = DotStuffer()
    held = b""
    ended = False
    try:
        for block in _measured(outbound):
            if len(held) + len(block) > _ONE_WRITE_BYTES:
                connection.send_bytes(held)
                held = b""
            held += stuffer.feed(block)
        held += stuffer.finish()
        ended = True
        connection.send_bytes(held)
    except BareNewline:
        connection.close()
        return Bounced("5.6.0", "content")
    except Interrupted as error:
        words = connection.parting_words()  # servers that give up early may say why
        connection.close()
        if words is not None and words.code // 100 in (4, 5):
            return refusal(words)
        raise ConnectionLost(error.reason, ended=ended) from None
    try:
        reply = connection.answer(to_whole_message=True)
    except Interrupted as error:
        raise ConnectionLost(error.reason, ended=error.reason != "closing") from None
    return Delivered(reply.status, connection.evidence(reply.text)) if reply.good else refusal(reply)


def _measured(outbound: Outbound) -> Iterator[bytes]:
    """The content. Raises Tampered, before its end is sent, when it is not as long as was said."""
    seen = 0
    for block in outbound.chunks():
        seen += len(block)
        if seen > outbound.size:
            break
        yield block
    if seen != outbound.size:
        raise Tampered("an outbound copy differs from its recorded size")
