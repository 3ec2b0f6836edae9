"""A log that was lost in part goes on under the next origin; one that was not, and a smaller tree, never do."""

from __future__ import annotations

import secrets

import pytest

from keys import merkle, notes
from keys.merkle import EMPTY_ROOT, Frontier, leaf_hash
from keys.notes import parse_checkpoint
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import House, refusal

LEAVES = [leaf_hash(secrets.token_bytes(8)) for _ in range(20)]


def root(size: int) -> bytes:
    tree = Frontier(0, [])
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    return tree.root()


def signed(house: House, size: int, old: int) -> str:
    def get(level: int, index: int) -> bytes:
        leaves = LEAVES[index << level : (index + 1) << level]
        while len(leaves) > 1:
            leaves = [merkle.node_hash(leaves[at], leaves[at + 1]) for at in range(0, len(leaves), 2)]
        return leaves[0]

    return house.worker.sign_checkpoint(TENANT, size, root(size), old, merkle.consistency_proof(old, size, get))


def test_what_is_given_up_is_kept_and_said_and_the_next_origin_signs_from_nothing(house: House) -> None:
    first = house.worker.vkeys(TENANT)
    old = signed(house, 12, 0)
    assert house.worker.reopened(TENANT) is None
    made = house.operator.new_origin(TENANT, 7, root(7), "set-back")
    now = house.worker.vkeys(TENANT)
    assert made == house.worker.reopened(TENANT)
    assert (made["size"], made["note"], made["reason"]) == (7, old, "set-back")
    assert made["origin"] == f"{first['origin']}/2" == notes.parse_vkey(now["log_vkey"]).name
    assert notes.parse_vkey(now["log_vkey"]).public == notes.parse_vkey(first["log_vkey"]).public
    assert (now["origin"], now["release_vkey"]) == (first["origin"], first["release_vkey"])
    assert house.worker.last_checkpoint(TENANT) is None
    with refusal("inconsistent"):
        signed(house, 9, 7)
    note = signed(house, 9, 0)
    checkpoint = parse_checkpoint(notes.open_note(note, notes.parse_vkey(now["log_vkey"])))
    assert (checkpoint.origin, checkpoint.size) == (made["origin"], 9)
    with refusal("inconsistent"):
        house.worker.sign_checkpoint(TENANT, 8, root(8), 9, [])
    assert house.actions(TENANT).count(("log:reopened", f"{now['log_vkey']} 7 of 12 set-back")) == 1
    house.reopen()
    assert house.worker.reopened(TENANT) == made


@pytest.mark.parametrize("size", [0, 12, 13])
def test_a_log_that_is_not_behind_keeps_its_origin(house: House, size: int) -> None:
    signed(house, 12, 0)
    with refusal("not-behind"):
        house.operator.new_origin(TENANT, size, EMPTY_ROOT, "set-back")
    with refusal("bad-reason"):
        house.operator.new_origin(TENANT, 7, root(7), "Because of Maria")
    assert house.worker.reopened(TENANT) is None
    signed(house, 14, 12)


def test_it_may_happen_again(house: House) -> None:
    signed(house, 12, 0)
    house.operator.new_origin(TENANT, 7, root(7), "set-back")
    with refusal("not-behind"):
        house.operator.new_origin(TENANT, 6, root(6), "set-back")
    second = signed(house, 10, 0)
    made = house.operator.new_origin(TENANT, 8, root(8), "database-lost")
    assert made["origin"].endswith("/3")
    assert made["note"] == second
