"""Mail as real programs of thirty years write it, through the real flow: right, whole, and never a word of a patient.

Every kind of `tests/support/real` goes through once here, filled and under a policy as its number says; every other
filling under every policy is the wide run, `nightly`: `python -m tests nightly tests/unit/flow/test_real_mails.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.support.flow import World
from tests.support.mail_rows import Made
from tests.support.real import KINDS, judged
from tests.support.real.pieces import Kind, fillings
from tests.support.second_reader import SecondReader
from tests.support.treated import Treated, clinic, treat

POLICIES = ("clinic", "strict", "observe")


def _few() -> list[tuple[str, str, str]]:
    """Each kind once; over the kinds, every filling meets every policy."""
    chosen = []
    for number, one in enumerate(KINDS.values()):
        names = sorted(fillings(one), reverse=True)
        chosen.append((POLICIES[number % 7 % 3], one.name, names[number % len(names)]))
    return chosen


FEW = _few()
REST = [
    (policy, one.name, name)
    for policy, one in product(POLICIES, KINDS.values())
    for name in fillings(one)
    if (policy, one.name, name) not in FEW  # sent twice it would be a sender's retry
]


def _id(case: tuple[str, str, str]) -> str:
    return "-".join(case)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    found: dict[str, World] = {}
    try:
        for policy in POLICIES:
            found[policy] = clinic(tmp_path_factory.mktemp("real") / policy, policy)
        yield found
    finally:
        for one in found.values():
            one.close()


@pytest.fixture(scope="module")
def second() -> Iterator[SecondReader]:
    with SecondReader() as reader:
        yield reader


def assert_treated(worlds: dict[str, World], second: SecondReader, case: tuple[str, str, str]) -> None:
    policy, name, filled = case
    one = KINDS[name]
    filling = fillings(one)[filled]
    data = one.mail(filling)
    got = treat(worlds[policy], Made("real", filling.id, data))
    if policy == "observe":
        assert got.treatment == "as-is"
        assert got.left is not None
        assert judged.is_suffix(data, got.left)
        return
    assert judged.leaks(got) == []
    if policy == "clinic":
        assert_as_the_table_says(one, filled, got)
    if got.left is None:
        assert got.treatment == "held"
    elif got.treatment == "as-is":
        assert judged.is_suffix(data, got.left)
    else:
        assert_whole_and_linked(data, got, second, strict=policy == "strict")


def assert_as_the_table_says(one: Kind, filled: str, got: Treated) -> None:
    if filled == "quiet":
        assert got.treatment == one.quiet
    else:
        assert got.treatment in ("attachments", "secure")


def assert_whole_and_linked(data: bytes, got: Treated, second: SecondReader, *, strict: bool) -> None:
    assert got.left is not None
    assert judged.linkless(got.left) == []
    assert any(judged.linked(leaf.text) for leaf in second.leaves(got.left))
    if got.treatment != "attachments":
        return
    message = judged.parsed(data)
    files = [*message.attachments(), *(part for part in message.parts() if part.kind == "inline")]
    bodies = message.visible(frozenset(part.path for part in files))
    assert judged.lost_parts(data, got.left, files, bodies, second) == []
    if strict:
        gone = frozenset(part.path for part in message.attachments())
        assert judged.untouched(data, got.left, gone) == []
        assert [part.id for part in message.attachments() if data[part.start : part.body_stop] in got.left] == []


@pytest.mark.parametrize("case", FEW, ids=map(_id, FEW))
def test_mail_of_every_program_is_treated_as_the_table_says(
    worlds: dict[str, World], second: SecondReader, case: tuple[str, str, str]
) -> None:
    assert_treated(worlds, second, case)


@pytest.mark.nightly
@pytest.mark.parametrize("case", REST, ids=map(_id, REST))
def test_mail_of_every_program_with_every_filling_under_every_policy(
    worlds: dict[str, World], second: SecondReader, case: tuple[str, str, str]
) -> None:
    assert_treated(worlds, second, case)


def test_there_are_several_hundred_and_their_words_can_be_found() -> None:
    assert len(KINDS) >= 300
    assert len(FEW) + len(REST) >= 2_700
    assert len({(policy, filled) for policy, _, filled in FEW}) == 9
    planted = [one for one in KINDS.values() if one.says and not one.name.startswith("letters-")][::8]
    lost = [one.name for one in planted if not judged.says(one.mail(fillings(one)["words"]))]
    assert lost == []
