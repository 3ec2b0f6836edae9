"""Search words are understood or refused; what is found is the entry, with its proof level."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, text

from gateway.audit.event import Action, Actor
from gateway.audit.query import parse_query
from gateway.audit.search import BadQuery, page, search
from gateway.clock import from_us
from gateway.errors import Tampered
from gateway.store import schema
from gateway.store.database import Tx
from tests.unit.audit.conftest import TENANT, House


@pytest.fixture
def told(house: House) -> House:
    house.happen(Action.LINK_VISITED, object="lnk_1", proof=0, actor=Actor("visitor", ""))
    house.happen(Action.SESSION_STARTED, object="lnk_1", proof=2)
    house.happen(Action.SESSION_REFUSED, object="lnk_1", outcome="refused", reason="wrong")
    house.open_object("obj_1", proof=2)
    house.open_object("obj_2", proof=3)
    house.happen(Action.MESSAGE_SECURED, object="msg_1", actor=Actor("gateway", ""))
    return house


def found(house: House, query: str, limit: int = 1000) -> list[tuple[str, str]]:
    with house.store.reading() as conn:
        return [(one.fields["action"], one.fields["object"]) for one in search(conn, TENANT, query, limit)]


@pytest.mark.parametrize(
    ("query", "objects"),
    [
        ("action:object:opened", ["obj_1", "obj_2"]),
        ("action:session", ["lnk_1", "lnk_1"]),
        ("action:session outcome:refused", ["lnk_1"]),
        ("actor:per_1 action:object:opened object:obj_2", ["obj_2"]),
        ("actor:visitor", ["lnk_1"]),
        ("proof:3", ["obj_2"]),
        ("proof:0", ["lnk_1"]),
        ("object:obj_9", []),
        ("actor:per_2", []),
    ],
)
def test_words_narrow_the_search(told: House, query: str, objects: list[str]) -> None:
    assert [object for _, object in found(told, query)] == objects


def test_days_are_utc_and_whole(told: House) -> None:
    today = datetime.now(UTC).date()
    day = timedelta(days=1)
    everything = len(found(told, ""))
    assert everything == 7
    assert len(found(told, f"created:{today - day}..{today}")) == everything
    assert len(found(told, f"created:{today - day}..")) == everything
    assert len(found(told, f"created:..{today + day}")) == everything
    assert found(told, f"created:{today - 2 * day}..{today - 2 * day}") == []
    assert found(told, f"created:{today + 2 * day}") == []


def test_a_day_is_one_of_the_asked_zone(told: House) -> None:
    def page_of(query: str) -> int:
        with told.store.reading() as conn:
            return len(page(conn, TENANT, parse_query(query), zone=zone).found)

    with told.store.reading() as conn:
        at = from_us(search(conn, TENANT, "action:object:opened")[0].fields["ts"])
    zone = timezone(timedelta(hours=14 if at.hour >= 12 else -14))  # there it is another day than by UTC
    there, day = at.astimezone(zone).date(), timedelta(days=1)
    assert there != at.date()
    assert page_of(f"action:object:opened created:{there}") > 0
    assert page_of(f"action:object:opened created:{there - day}") == 0


def test_a_message_brings_its_objects_links_and_deliveries(told: House) -> None:
    rows = {
        schema.messages: {
            "id": "msg_1", "tenant": TENANT, "node": "n", "queue": "q", "sender": b"", "sender_index": b"",
            "identity": "system", "retry_key": b"", "state": "secured", "rule": "", "policy": "", "findings": "{}",
            "urgent": 0, "size_bytes": 1, "received_at": 1, "created_at": 1, "row_mac": b"",
        },
        schema.objects: {
            "id": "obj_1", "tenant": TENANT, "message": "msg_1", "kind": "file", "position": 0, "blob": "b",
            "header_tag": b"", "sealed_bytes": 1, "meta": b"", "inner_meta": b"", "created_at": 1, "row_mac": b"",
        },
        schema.grants: {
            "id": "lnk_1", "tenant": TENANT, "message": "msg_1", "kind": "link", "wrap": b"", "expires_at": 1,
            "created_at": 1, "row_mac": b"",
        },
    }  # fmt: skip
    for table, values in rows.items():
        told.store.run(lambda tx, table=table, values=values: tx.conn.execute(insert(table).values(values)) and None)  # type: ignore[misc]
    assert {object for _, object in found(told, "object:msg_1")} == {"msg_1", "obj_1", "lnk_1"}
    assert found(told, "object:msg_1 action:object:opened") == [("object:opened", "obj_1")]


def test_the_latest_come_when_there_are_too_many(told: House) -> None:
    assert [object for _, object in found(told, "", limit=2)] == ["obj_2", "msg_1"]


def test_an_entry_says_its_proof_in_words(told: House) -> None:
    with told.store.reading() as conn:
        proofs = [one.proof for one in search(conn, TENANT, "action:object:opened")]
    assert proofs == ["2 text or staff code, card or TOTP", "3 passkey"]


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("acton:object:opened", "did you mean 'action'"),
        ("opened", "unknown search word"),
        ("action:object:open", "did you mean 'object:opened'"),
        ("outcome:refuse", "did you mean 'refused'"),
        ("action:", "needs a value"),
        ("proof:5", "0 to 3"),
        ("created:yesterday", "2026-11-03"),
        ("created:2026-13-01", "2026-11-03"),
        ("created:..", "needs a day"),
    ],
)
def test_a_word_that_is_not_understood_is_refused_with_a_hint(told: House, query: str, hint: str) -> None:
    with pytest.raises(BadQuery) as caught:
        found(told, query)
    assert hint in caught.value.public


@pytest.mark.parametrize("value", ["CAST(replace(entry, 'obj_2', 'obj_3') AS BLOB)", "'text'", "7"])
def test_an_entry_changed_in_the_database_is_not_shown(told: House, value: str) -> None:
    def change(tx: Tx) -> None:
        tx.conn.execute(text("DROP TRIGGER log_leaves_no_update"))
        tx.conn.execute(text(f"UPDATE log_leaves SET entry = {value} WHERE object = 'obj_2'"))

    told.store.run(change)
    with pytest.raises(Tampered, match="entry 5"):
        found(told, "action:object:opened")
