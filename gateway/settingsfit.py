"""Limits and time-outs that contradict each other: each sentence says what to write instead.

Pure. A value outside its own bounds is refused by its parser (`settingtypes.Number`); here stand pairs of values, each
possible by itself, of which one would never take effect or would cut off what the other allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from gateway.section_smtp import Smtp
from gateway.sections import Courier, Worker

Wrong: TypeAlias = tuple[str, str, str]
HOUR_SECONDS = 3600


def unfit(smtp: Smtp, courier: Courier, worker: Worker) -> Wrong | None:
    """Section, key and sentence of the first pair that does not fit; None when all do."""
    return next(_found(smtp, courier, worker), None)


def _found(smtp: Smtp, courier: Courier, worker: Worker) -> Iterator[Wrong]:
    if smtp.max_connections_per_host > smtp.max_connections:
        yield "smtp", "max_connections_per_host", _most("max_connections", smtp.max_connections)
    if smtp.message_timeout_seconds < smtp.command_timeout_seconds:
        yield "smtp", "message_timeout_seconds", _least("command_timeout_seconds", smtp.command_timeout_seconds)
    if smtp.stranger_timeout_seconds > smtp.command_timeout_seconds:
        yield "smtp", "stranger_timeout_seconds", _most("command_timeout_seconds", smtp.command_timeout_seconds)
    if smtp.max_failed_logins_per_host < smtp.max_failed_logins_per_connection:
        least = smtp.max_failed_logins_per_connection
        yield "smtp", "max_failed_logins_per_host", _least("max_failed_logins_per_connection", least)
    if smtp.max_errors_per_connection < smtp.max_failed_logins_per_connection:
        least = smtp.max_failed_logins_per_connection
        yield "smtp", "max_errors_per_connection", _least("max_failed_logins_per_connection", least)
    if courier.end_timeout_seconds < courier.timeout_seconds:
        yield "courier", "end_timeout_seconds", _least("timeout_seconds", courier.timeout_seconds)
    if worker.retry_most_seconds < worker.retry_first_seconds:
        yield "worker", "retry_most_seconds", _least("retry_first_seconds", worker.retry_first_seconds)
    given_up = worker.give_up_hours * HOUR_SECONDS
    if worker.retry_most_seconds > given_up:
        sentence = f"must be at most give_up_hours ({worker.give_up_hours} h), or mail is tried hardly twice"
        yield "worker", "retry_most_seconds", sentence
    if courier.delay_notice_seconds >= given_up:
        sentence = f"must be less than [worker] give_up_hours ({worker.give_up_hours} h), or 0 for no such notice"
        yield "courier", "delay_notice_seconds", sentence


def _most(other: str, value: int) -> str:
    return f"must be at most {other}, which is {value}"


def _least(other: str, value: int) -> str:
    return f"must be at least {other}, which is {value}"
