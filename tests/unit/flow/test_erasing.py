"""What the keyholder destroyed is written down once, its bytes go, and a store that was put back is told again."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import delete, select

from gateway.audit.event import Action
from gateway.errors import TryLater
from gateway.flow.erasing import Erasing
from gateway.store import schema
from gateway.store.rows import Row
from keys.errors import Denied
from tests.support.flow import PHI, World
from tests.support.spool import TENANT

LEAF = base64.b64encode(b"\1" * 32).decode()


@dataclass
class Keyholder:
    """A release log that a test writes; what was asked of it is kept."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    back: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)
    again: list[str] = field(default_factory=list)
    narrowed: list[str] = field(default_factory=list)
    on_hold: set[str] = field(default_factory=set)
    name: int = 7

    def say(self, action: str, object: str, reason: str = "", request: str = "dsp_1", **more: Any) -> None:
        index = len(self.entries)
        receipt = {"log": "elm/keyholder", "index": index, "leaf_hash": LEAF}
        entry = {"index": index, "action": action, "object": object, "reason": reason, "request": request}
        actor = {"kind": "user", "id": "usr_olga"}
        self.entries.append(entry | {"actor": actor, "at_us": 5, "receipt": receipt, "until_us": 0} | more)

    def dispose_more(self, tenant: str) -> bool:
        self.steps = max(0, self.steps - 1)
        return self.steps > 0

    def ended(self, tenant: str, start: int) -> dict[str, Any]:
        size = len(self.entries)
        marks = {"before": self.name * min(start, 1), "mark": self.name * min(size, 1)}
        return {"entries": self.entries[start:], "next": size, "size": size} | marks

    def alive(self, tenant: str, messages: list[str]) -> list[str]:
        return [one for one in messages if one in self.back]

    def destroy_message(self, tenant: str, message: str) -> dict[str, Any]:
        if message in self.on_hold:
            raise Denied("on-hold")
        self.again.append(message)
        return {}

    def grant_state(self, tenant: str, grants: list[str]) -> dict[str, dict[str, str]]:
        return {one: {"state": "live" if one in self.live else "revoked"} for one in grants}

    def narrow(self, tenant: str, message: str, grant: str, change: dict[str, Any], *who: str) -> None:
        assert change == {"revoke": True}
        self.narrowed.append(grant)


class Nobody:
    """No mail is held here."""


@dataclass
class Erased:
    """A sealed message to two people, the keyholder's log, and the duty."""

    world: World
    keyholder: Keyholder
    message: str

    def run(self) -> int:
        given: Any = self.keyholder
        held: Any = Nobody()
        world = self.world
        return Erasing(
            world.store, world.records, world.vault, given, held, lambda: [world.view], world.clock
        )()  # fmt: skip

    def row(self) -> Row:
        with self.world.store.reading() as conn:
            found = self.world.rows.get(conn, schema.messages, self.message)
        assert found is not None
        return found

    def blobs(self) -> list[str]:
        with self.world.store.reading() as conn:
            return list(conn.execute(select(schema.objects.c.blob)).scalars())

    def links(self) -> list[Row]:
        with self.world.store.reading() as conn:
            table = schema.grants
            return self.world.rows.find(conn, select(table).where(table.c.kind == "link").order_by(table.c.id))

    def said(self, action: Action) -> list[tuple[str, str]]:
        with self.world.store.reading() as conn:
            table = schema.log_leaves
            rows = conn.execute(select(table.c.object, table.c.outcome).where(table.c.action == action))
            return [(str(object), str(outcome)) for object, outcome in rows]


@pytest.fixture
def erased(world: World) -> Erased:
    """Sealed, and nothing has ended yet."""
    world.flow.process(world.spool(PHI, "b@example.test", "c@example.test"))
    with world.store.reading() as conn:
        (message,) = conn.execute(select(schema.messages.c.id)).scalars()
    return Erased(world, Keyholder(), message)


def test_what_was_erased_is_marked_and_told_once_and_its_bytes_go_at_once(erased: Erased) -> None:
    kept = erased.blobs()
    erased.keyholder.say("share:destroyed", erased.message, "erased")
    assert erased.run() == 1
    assert erased.row()["ended_at"] == 5
    assert set(erased.blobs()) == {""}
    known: Any = set
    assert erased.world.vault.sweep(known, erased.world.clock.now()) == 0, "none of the blobs is left"
    assert len(kept) > 0
    assert erased.run() == 0
    assert erased.said(Action.MESSAGE_ERASED) == [(erased.message, "ok")]


def test_what_ended_by_its_time_is_marked_and_its_bytes_wait_for_the_sweep(erased: Erased) -> None:
    kept = erased.blobs()
    erased.keyholder.say("share:destroyed", erased.message, "asked")
    erased.run()
    assert (erased.row()["ended_at"], erased.blobs()) == (5, kept)
    assert erased.said(Action.MESSAGE_ERASED) == erased.said(Action.MESSAGE_EXPIRED) == []


def test_what_a_hold_had_kept_is_told_as_expired(erased: Erased) -> None:
    erased.keyholder.say("share:destroyed", erased.message, "lifted")
    erased.run()
    assert erased.said(Action.MESSAGE_EXPIRED) == [(erased.message, "ok")]


def test_of_a_reader_who_was_erased_the_wrap_keeps_its_commitment_alone(erased: Erased) -> None:
    one, other = erased.links()
    erased.keyholder.say("grant:narrowed", one["id"], "erased")
    erased.run()
    closed, untouched = erased.links()
    assert closed["wrap"][:66] == one["wrap"][:66]
    assert set(closed["wrap"][66:]) == {0}
    assert len(closed["wrap"]) == len(one["wrap"])
    assert closed["revoked_at"] == 5
    assert untouched["wrap"] == other["wrap"]
    erased.run()
    assert erased.said(Action.LINK_REVOKED) == [(one["id"], "ok")]


def test_a_message_that_ends_sooner_ends_so_in_every_row(erased: Erased) -> None:
    until = erased.row()["expires_at"] - 1000
    erased.keyholder.say("grant:narrowed", erased.message, "shortened", until_us=until)
    erased.run()
    assert erased.row()["expires_at"] == until
    assert [one["expires_at"] for one in erased.links()] == [until, until]
    assert erased.said(Action.LINK_SHORTENED) == [(erased.message, "ok")]


def test_holds_and_certificates_are_told_once_also_when_the_mark_is_lost(erased: Erased) -> None:
    erased.keyholder.say("hold:set", TENANT, "tenant", "hld_1")
    erased.keyholder.say("hold:lifted", TENANT, "tenant", "hld_1")
    erased.keyholder.say("certificate:issued", "dsp_1", "ab" * 32)
    erased.run()
    erased.world.store.run(lambda tx: tx.conn.execute(delete(schema.notice_marks)))
    erased.run()
    assert [erased.said(one) for one in (Action.HOLD_SET, Action.HOLD_LIFTED, Action.CERTIFICATE_ISSUED)] == [
        [(TENANT, "ok")], [(TENANT, "ok")], [("dsp_1", "ok")],
    ]  # fmt: skip


def test_what_the_keyholder_found_changed_is_an_alarm_here_once_for_each_time_it_says_so(erased: Erased) -> None:
    for day in ("20000", "20000", "20001"):
        erased.keyholder.say("tamper:found", erased.message, "row", f"{erased.message}-{day}", outcome="failed")
    erased.run()
    erased.run()
    assert erased.said(Action.TAMPER_FOUND) == [(erased.message, "failed")] * 2
    assert erased.row()["ended_at"] is None


def test_a_vault_that_does_not_answer_keeps_the_mark_where_it_was(
    erased: Erased, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(blob: str) -> None:
        raise TryLater("down")

    erased.keyholder.say("share:destroyed", erased.message, "erased")
    with monkeypatch.context() as broken:
        broken.setattr(erased.world.vault, "remove", down)
        with pytest.raises(TryLater):
            erased.run()
    assert erased.row()["ended_at"] is None
    erased.run()
    assert erased.said(Action.MESSAGE_ERASED) == [(erased.message, "ok")]


@pytest.mark.parametrize("how", ["shorter", "another"])
def test_a_keyholder_that_was_put_back_is_told_again_what_had_ended(erased: Erased, how: str) -> None:
    (link, _) = erased.links()
    erased.keyholder.say("grant:narrowed", link["id"], "erased")
    erased.keyholder.say("share:destroyed", erased.message, "erased")
    erased.run()
    erased.keyholder.back, erased.keyholder.live = {erased.message}, {link["id"]}
    if how == "shorter":
        del erased.keyholder.entries[0]
    else:
        erased.keyholder.name = 8
    erased.run()
    assert (erased.keyholder.again, erased.keyholder.narrowed) == ([erased.message], [link["id"]])
    assert erased.said(Action.MESSAGE_ERASED) == [(erased.message, "ok"), (TENANT, "partial")]
    erased.run()
    assert erased.keyholder.again == [erased.message], "once"


def test_a_hold_in_the_store_that_was_put_back_counts(erased: Erased) -> None:
    erased.keyholder.say("share:destroyed", erased.message, "erased")
    erased.run()
    erased.keyholder.back = erased.keyholder.on_hold = {erased.message}
    erased.keyholder.name = 8
    erased.run()
    assert erased.keyholder.again == []


def test_a_large_erasure_goes_on_here_and_leaves_others_their_turn(erased: Erased) -> None:
    erased.keyholder.steps = 25
    erased.run()
    assert erased.keyholder.steps == 15
    erased.run()
    assert erased.keyholder.steps == 5
