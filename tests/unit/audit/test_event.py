"""The closed shape of an entry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.event import (
    MAX_ENTRY_BYTES,
    OUTCOMES,
    Action,
    Actor,
    Event,
    check,
    parse,
    parse_receipt,
    receipt_text,
)  # fmt: skip
from keys.encoding import MAX_INT, canonical

PLAIN = Event(Action.OBJECT_OPENED, "tnt_a", "obj_1", Actor("person", "per_1"))

printable = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
events = st.builds(
    Event, action=st.sampled_from(list(Action)), tenant=printable.filter(bool), object=printable,
    actor=st.builds(Actor, printable, printable), outcome=st.sampled_from(sorted(OUTCOMES)), reason=printable,
    proof=st.none() | st.integers(0, 3), request=printable, ip_ref=printable, agent_ref=printable,
    bytes=st.none() | st.integers(0, MAX_INT), policy=printable, receipt=printable,
)  # fmt: skip


@given(events, st.integers(0, MAX_INT), printable, st.integers(1, MAX_INT))
def test_an_entry_is_canonical_json_and_parses_back(event: Event, ts: int, node: str, nseq: int) -> None:
    check(event)
    entry = event.entry(ts, node, nseq)
    fields = parse(entry)
    assert canonical(fields) == entry
    assert (fields["ts"], fields["node"], fields["nseq"], fields["v"]) == (ts, node, nseq, 1)
    assert fields["actor"] == {"kind": event.actor.kind, "id": event.actor.id}
    for name in ("action", "tenant", "object", "outcome", "reason", "proof", "request", "bytes", "policy", "receipt"):
        assert fields[name] == getattr(event, name)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"object": "Jürgen"}, "object"),
        ({"reason": "a\nb"}, "reason"),
        ({"receipt": "\x00"}, "receipt"),
        ({"request": "\x7f"}, "request"),
        ({"actor": Actor("person", "p\u200b")}, "actor"),
        ({"tenant": ""}, "tenant"),
        ({"outcome": "perhaps"}, "outcome"),
        ({"proof": 4}, "proof"),
        ({"proof": -1}, "proof"),
        ({"bytes": -1}, "bytes"),
        ({"bytes": MAX_INT + 1}, "bytes"),
        ({"action": "object:opened"}, "action"),
        ({"reason": "x" * 4096}, "4 KiB"),
        ({"reason": '"' * 2048}, "4 KiB"),
    ],
)
def test_what_no_entry_may_hold_is_refused_by_field(change: dict[str, Any], word: str) -> None:
    check(PLAIN)
    with pytest.raises(ValueError, match=word):
        check(replace(PLAIN, **change))


def test_the_largest_event_that_passes_fits_an_entry() -> None:
    size = next(n for n in range(MAX_ENTRY_BYTES, 0, -1) if _passes(replace(PLAIN, reason="x" * n)))
    entry = replace(PLAIN, reason="x" * size, bytes=MAX_INT, proof=3).entry(MAX_INT, "n" * 64, MAX_INT)
    assert 3000 < len(entry) <= MAX_ENTRY_BYTES


def _passes(event: Event) -> bool:
    try:
        check(event)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2}, {"extra": 1}, {"nseq": -1}, {"nseq": "1"}, {"ts": None}, {"actor": {"kind": "x"}}, {"object": 5},
        {"proof": "2"}, {"tenant": None},
    ],
)  # fmt: skip
def test_other_fields_are_no_entry(change: dict[str, Any]) -> None:
    good = parse(PLAIN.entry(1, "n", 1))
    with pytest.raises(ValueError):
        parse(canonical({**good, **change}))


def test_a_missing_field_another_spelling_or_an_overlong_one_are_no_entry() -> None:
    entry = PLAIN.entry(1, "n", 1)
    good = parse(entry)
    for wrong in (canonical({k: v for k, v in good.items() if k != "policy"}), entry + b" ", b"[]", b"{}", b"x"):
        with pytest.raises(ValueError):
            parse(wrong)
    with pytest.raises(ValueError, match="4 KiB"):
        parse(canonical({**good, "reason": "x" * 4096}))


def test_a_receipt_reads_back() -> None:
    leaf = "q" * 43 + "="
    text = receipt_text({"log": "a.example/log/t/keyholder", "index": 7, "leaf_hash": leaf, "signature": "s"})
    assert parse_receipt(text) == ("a.example/log/t/keyholder", 7, leaf)
    for wrong in ("", "x", f"a#07:{leaf}", f"a#7:{leaf}x", f"a b#7:{leaf}", f"#7:{leaf}"):
        assert parse_receipt(wrong) is None


def test_actions_are_subject_and_verb_in_lower_case() -> None:
    for action in Action:
        subject, colon, verb = str(action).partition(":")
        assert colon
        assert (subject + verb).replace("-", "").isalpha()
        assert str(action).islower()
