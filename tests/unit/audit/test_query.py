"""Words of a search: understood or refused with the nearest known one; what was typed shows in no repr."""

from __future__ import annotations

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.audit.query import BadQuery, Term, days, keys_of, parse_query


def test_every_qualifier_and_its_other_names() -> None:
    text = (
        "actor:amy action:object:opened object:msg_1 result:refused to:@insurer.example message:402-917 proof:2 "
        "created:2026-11-01..2026-11-07 reason:wrong request:req_1"
    )
    terms = parse_query(text)
    assert [str(term) for term in terms] == [
        "actor:amy", "action:object:opened", "object:msg_1", "outcome:refused", "recipient:@insurer.example",
        "message:402917", "proof:2", "created:2026-11-01..2026-11-07", "reason:wrong", "request:req_1",
    ]  # fmt: skip
    assert keys_of(terms) == "action actor created message object outcome proof reason recipient request"
    assert parse_query("  ") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("recipent:x@y.example", "recipient"),
        ("opened", "unknown search word"),
        ("action:object:opend", "object:opened"),
        ("result:refuse", "refused"),
        ("actor:", "needs a value"),
        ("proof:4", "0 to 3"),
        ("message:40291", "six digits"),
        ("recipient:maria", "whole address"),
        ("recipient:@", "whole address"),
        ("created:yesterday", "not a day"),
        ("created:..", "needs a day"),
        ("created:9999-12-31", "1970 to 2999"),
        ("created:0001-01-01..", "1970 to 2999"),
        ("actor:" + "x" * 500, "500 characters"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(BadQuery) as caught:
        parse_query(text)
    assert said in caught.value.public


def test_a_day_ends_when_the_next_begins() -> None:
    start, end = days("2026-11-03")
    assert start is not None
    assert end is not None
    assert (end - start).days == 1
    assert days("2026-11-03..")[1] is None
    assert days("..2026-11-03")[0] is None


def test_a_day_is_as_long_as_it_is_on_that_clock() -> None:
    chicago = ZoneInfo("America/Chicago")
    start, end = days("2026-03-08", chicago)  # an hour of it is left out
    assert start is not None
    assert end is not None
    assert (start.astimezone(UTC).hour, end.astimezone(UTC).hour) == (6, 5)
    assert end.astimezone(UTC) - start.astimezone(UTC) == timedelta(hours=23)


def test_a_term_shows_its_qualifier_only() -> None:
    assert "maria" not in repr(Term("recipient", "maria@mail.example"))
