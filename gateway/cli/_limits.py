"""The page `deploy/mail/limits.md`: every limit and time-out of the way a mail goes, made from the code.

Promises: a number that can be set stands here with its default and its bounds; one that cannot, with its value and the
reason. A test walks the code and refuses one that is in neither list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from typing import cast

from gateway.settings import SECTIONS
from gateway.settingtypes import Number

FIXED = (
    ("gateway.smtp.engine", "_LINE_BYTES", "Longest command line; RFC 5321 4.5.3.1 asks for 512, with parameters 1,036."),
    ("gateway.smtp.session", "_AUTH_BYTES", "Longest line inside AUTH (RFC 4954 4)."),
    ("gateway.smtp.engine", "READ_BYTES", "Read at once; memory for each connection follows from it."),
    ("gateway.smtp.engine", "_UNSENT_BYTES", "Answers gathered before we wait for a client that does not read."),
    ("gateway.smtp.receiver", "WRITE_BYTES", "Gathered of a large message while a thread writes."),
    ("gateway.smtp.data", "MAX_HEADER_BYTES", "How far into a message Received and trace lines are counted."),
    ("gateway.smtp.proof", "HEADER_BYTES", "Longest header that is waited for on a shared network; providers allow less."),
    ("gateway.smtp.dialogue", "_DISCARD_FACTOR", "Times max_message_bytes that are read and forgotten of a refused message."),
    ("gateway.smtp.engine", "NOTED_REFUSALS", "Refusals a minute that reach a clinic's log; all stand in ours."),
    ("gateway.smtp.engine", "NOTED_WINDOW_SECONDS", "That minute."),
    ("gateway.smtp.limits", "_REMEMBERED_HOSTS", "Addresses whose wrong passwords are remembered; the oldest is forgotten."),
    ("gateway.smtp.gate", "_LOOK_AGAIN_SECONDS", "How often the door looks whether the worker is well."),
    ("gateway.smtp.process", "BACKLOG", "Connections that the system keeps for us until we take them."),
    ("gateway.smtp.process", "COUNT_SECONDS", "How often the door's figures are written."),
    ("gateway.smtp.reception", "POSTMASTER_AN_HOUR", "Mails of strangers to postmaster in an hour for each host; later ones get 451."),
    ("gateway.smtp.reception", "HOUR_SECONDS", "That hour."),
    ("gateway.spool.health", "FRESH_FOR_US", "Age (µs) of the worker's sign of life at which mail is answered 451."),
    ("gateway.spool.snapshot", "MAX_AGE_US", "Age (µs) of the signed snapshot at which mail is answered 451."),
    ("gateway.spool.writer", "MAX_ENVELOPE_BYTES", "Envelope of one message; max_recipients keeps it far below."),
    ("gateway.courier.smtp", "ASK_SECONDS", "Wait at start for the smarthost's extensions; the start goes on without."),
    ("gateway.courier.patience", "SLOW_SECONDS", "A smarthost that hangs longer is tried by one thread; nobody else waits for it."),
    ("gateway.courier.transaction", "_GROUP", "Recipients in one write; their answers fit into any socket buffer."),
    ("gateway.courier.transaction", "_ONE_WRITE_BYTES", "Up to this size a message leaves with its commands."),
    ("gateway.courier.plan", "_HEADER_LIMIT_BYTES", "How far a header is read for letters that need SMTPUTF8."),
    ("gateway.flow.doubts", "TRIES_BEFORE_HOLD", "Failures inside the gateway after which a message is held whole."),
    ("gateway.flow.begun", "STUCK_SECONDS", "Time after which a message under way counts as stuck: health turns red."),
    ("gateway.flow.worker", "SPARE_THREADS", "Threads that may take the place of stuck ones."),
    ("gateway.flow.worker", "LARGE_THREADS", "Large messages worked on at once."),
    ("gateway.flow.worker", "LARGE_BYTES", "What counts as large."),
    ("gateway.flow.worker", "BATCH", "Ordinary messages that go through together."),
    ("gateway.flow.worker", "BATCH_BYTES", "And their size together."),
    ("gateway.flow.outcomes", "AGAIN_SECONDS", "Pause before an outcome that could not be written is written again."),
    ("gateway.flow.rounds", "ROUND", "Deliveries until their outcomes are committed; a crash may repeat so many."),
    ("gateway.flow.rounds", "ROUND_SECONDS", "Or such a time."),
    ("gateway.flow.rounds", "LATE_SECONDS", "A delivery that takes longer lets others' outcomes be committed without it."),
    ("gateway.flow.outbound", "RETRY_WINDOW_US", "How long (µs) a sender's retry after a lost 250 is known as one (RFC 5321 4.5.4.1)."),
    ("gateway.flow.reading", "PART_LIMIT_BYTES", "Largest part that is read for PHI; a larger one is unread, never clean."),
    ("gateway.flow.reading", "MESSAGE_LIMIT_BYTES", "And all parts of a message together."),
    ("gateway.flow.parser", "MEMORY_BYTES", "Memory of one isolated parser."),
    ("gateway.flow.child", "START_SECONDS", "Time for a parser to start."),
    ("gateway.flow.tries", "PER_SENDER", "Refused RECALL answers an hour of one sender; more are not answered."),
    ("gateway.flow.tries", "PER_NODE", "And of all."),
)  # fmt: skip
"""Where it stands, its name, and why it is as it is."""


def page() -> str:
    """The page's text."""
    lines = [
        "# Limits and time-outs", "",
        "Made from the code by: `python -m gateway check --limits`. `sealgate check` refuses a value outside these bounds, "
        "and a pair that contradicts", "itself, with a line that says what to write. `sealgate check` without more prints "
        "what is in force.", "",
        "## What can be set", "",
        "| section | setting | default | least | most | |", "|---|---|---:|---:|---:|---|",
    ]  # fmt: skip
    lines += [
        f"| `{section}` | `{name}` | {default} | {kind.least} | {kind.most} | {doc} |"
        for section, name, default, kind, doc in numbers()
    ]
    lines += ["", "What must fit together:", ""]
    lines += [f"* {one}" for one in PAIRS]
    lines += ["", "## What cannot", "", "| where | value | |", "|---|---:|---|"]
    lines += [
        f"| `{module.removeprefix('gateway.')}` `{name.lstrip('_')}` | {getattr(import_module(module), name)} | {why} |"
        for module, name, why in FIXED
    ]
    return "\n".join(lines) + "\n"


PAIRS = (
    "`[smtp]` `max_connections_per_host` at most `max_connections`.",
    "`[smtp]` `message_timeout_seconds` at least, `stranger_timeout_seconds` at most `command_timeout_seconds`.",
    "`[smtp]` `max_failed_logins_per_host` and `max_errors_per_connection` at least `max_failed_logins_per_connection`.",
    "`[courier]` `end_timeout_seconds` at least `timeout_seconds`.",
    "`[worker]` `retry_most_seconds` at least `retry_first_seconds`, and at most `give_up_hours`.",
    "`[courier]` `delay_notice_seconds` less than `[worker] give_up_hours`.",
)


def numbers() -> Iterator[tuple[str, str, int, Number, str]]:
    """Section, key, default, bounds and sentence of every setting that is a number."""
    for section, kind in SECTIONS.items():
        for item in fields(kind):
            parse = item.metadata["parse"]
            if isinstance(parse, Number):
                yield section, item.name, cast(int, item.default), parse, item.metadata["doc"]
