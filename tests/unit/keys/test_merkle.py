"""keys.merkle: the published tree, a second reading of RFC 6962 2.1, and proofs that hold for one claim only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import merkle
from keys.errors import Tampered
from keys.merkle import EMPTY_ROOT, Frontier, leaf_hash, node_hash
from tests.unit.keys.conftest import flips, load

VECTORS = load("merkle_vectors.json")


class Tree:
    """A tree with every complete node, made by appending; `asked` counts look-ups."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.asked = 0
        self.leaves = leaves
        for size, leaf in enumerate(leaves):
            for level, index, value in merkle.append(size, leaf, self.get):
                assert (level, index) not in self.nodes
                self.nodes[level, index] = value

    def get(self, level: int, index: int) -> bytes:
        self.asked += 1
        return self.nodes[level, index]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, as written there, on leaf hashes."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY_ROOT
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(mth(leaves[:split]), mth(leaves[split:]))


def path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 2.1.1, as written there."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*path(index, leaves[:split]), mth(leaves[split:])]
    return [*path(index - split, leaves[split:]), mth(leaves[:split])]


def subproof(old: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 2.1.2, as written there."""
    if old == len(leaves):
        return [] if whole else [mth(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if old <= split:
        return [*subproof(old, leaves[:split], whole), mth(leaves[split:])]
    return [*subproof(old - split, leaves[split:], False), mth(leaves[:split])]


LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(70)]
TREE = Tree(LEAVES)
ROOTS = [mth(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def test_the_published_tree_node_by_node() -> None:
    leaves = [leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]]
    tree = Tree(leaves)
    for level, row in enumerate(VECTORS["nodes"]):
        for index, value in enumerate(row):
            assert tree.nodes[level, index].hex() == value
    assert len(tree.nodes) == sum(len(row) for row in VECTORS["nodes"])
    assert [merkle.root(size, tree.get).hex() for size in range(9)] == VECTORS["roots"]


def test_roots_and_proofs_are_those_of_the_rfc_for_every_size() -> None:
    for size in range(len(LEAVES) + 1):
        assert merkle.root(size, TREE.get) == ROOTS[size]
        for index in range(size):
            assert merkle.inclusion_proof(index, size, TREE.get) == path(index, LEAVES[:size])
        for old in range(1, size + 1):
            assert merkle.consistency_proof(old, size, TREE.get) == subproof(old, LEAVES[:size], True)


def test_every_true_proof_holds() -> None:
    for size in range(len(LEAVES) + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, TREE.get)
            merkle.verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
        for old in range(size + 1):
            proof = merkle.consistency_proof(old, size, TREE.get)
            merkle.verify_consistency(old, ROOTS[old], size, ROOTS[size], proof)


def test_an_inclusion_proof_holds_for_its_leaf_place_size_and_root_alone() -> None:
    for size in range(1, 20):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, TREE.get)
            for leaf, at, of, root in [
                *((LEAVES[index], other, size, ROOTS[size]) for other in range(-1, size + 2) if other != index),
                (LEAVES[index + 1], index, size, ROOTS[size]),
                (LEAVES[index], index, size, ROOTS[size + 1]),
                (LEAVES[index], index, 0, ROOTS[size]),
                (b"", index, size, ROOTS[size]),
                (LEAVES[index], index, size, b""),
            ]:
                with pytest.raises(Tampered):
                    merkle.verify_inclusion(leaf, at, of, proof, root)
            for wrong in spoiled(proof):
                with pytest.raises(Tampered):
                    merkle.verify_inclusion(LEAVES[index], index, size, wrong, ROOTS[size])


def test_a_consistency_proof_holds_for_its_two_trees_alone() -> None:
    for new in range(1, 20):
        for old in range(1, new):
            proof = merkle.consistency_proof(old, new, TREE.get)
            for small, small_root, large, large_root in [
                (old, ROOTS[old + 1], new, ROOTS[new]),
                (old, ROOTS[old], new, ROOTS[new + 1]),
                (new, ROOTS[new], old, ROOTS[old]),
                (-1, ROOTS[old], new, ROOTS[new]),
                (0, ROOTS[old], new, ROOTS[new]),
                (new, ROOTS[old], new, ROOTS[new]),
                (old, b"", new, ROOTS[new]),
            ]:
                with pytest.raises(Tampered):
                    merkle.verify_consistency(small, small_root, large, large_root, proof)
            for wrong in spoiled(proof):
                with pytest.raises(Tampered):
                    merkle.verify_consistency(old, ROOTS[old], new, ROOTS[new], wrong)


def test_a_true_proof_does_not_hold_for_other_sizes() -> None:
    """The hashes and the roots are right and only a size is a lie: a log that hides or invents entries."""
    for new in range(1, 18):
        for old in range(1, new):
            proof = merkle.consistency_proof(old, new, TREE.get)
            for small, large in [(old, size) for size in range(old, 34)] + [(size, new) for size in range(1, new)]:
                if (small, large) != (old, new) and may_differ(small, large, old, new):
                    with pytest.raises(Tampered):
                        merkle.verify_consistency(small, ROOTS[old], large, ROOTS[new], proof)


def may_differ(small: int, large: int, old: int, new: int) -> bool:
    """Whether the two claims ask for different shapes of proof."""
    return shape(small, large) != shape(old, new)


def shape(old: int, new: int) -> tuple[object, ...]:
    """How RFC 9162 2.1.4.2 would combine a proof for these sizes: the sides on which hashes are joined."""
    sides: list[str] = []
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    while last:
        if here & 1 or here == last:
            sides.append("both")
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            sides.append("new")
        here, last = here >> 1, last >> 1
    return (old & (old - 1) == 0, *sides)


def test_a_proof_of_too_many_or_too_few_hashes_is_named_as_such() -> None:
    with pytest.raises(Tampered, match="inclusion proof is too long"):
        merkle.verify_inclusion(LEAVES[0], 0, 1, [LEAVES[1]], node_hash(LEAVES[0], LEAVES[1]))
    with pytest.raises(Tampered, match="consistency proof is too long"):
        merkle.verify_consistency(1, ROOTS[1], 2, ROOTS[2], [LEAVES[1], LEAVES[2]])
    for old, new in ((3, 5), (5, 7), (6, 8)):
        with pytest.raises(Tampered, match="too short"):
            merkle.verify_consistency(old, ROOTS[old], new, ROOTS[new], [])


def test_bytes_cannot_be_moved_between_a_leaf_and_its_sibling() -> None:
    both = LEAVES[0] + LEAVES[1]
    merkle.verify_inclusion(both[:32], 0, 2, [both[32:]], ROOTS[2])
    with pytest.raises(Tampered, match="no such leaf"):
        merkle.verify_inclusion(both[:31], 0, 2, [both[31:]], ROOTS[2])
    with pytest.raises(Tampered, match="no hash"):
        merkle.verify_inclusion(both[:32], 0, 2, [both[32:63]], ROOTS[2])
    with pytest.raises(Tampered, match="no hash"):
        merkle.verify_consistency(1, both[:31], 2, ROOTS[2], [both[31:]])


def spoiled(proof: list[bytes]) -> list[list[bytes]]:
    """Proofs with one bit flipped in each hash's every byte, one hash missing, doubled, added, swapped or cut."""
    wrong = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, b""]]
    for at, value in enumerate(proof):
        wrong += [[*proof[:at], changed, *proof[at + 1 :]] for changed in flips(value, bits=1)]
        wrong += [[*proof[:at], *proof[at + 1 :]], [*proof[:at], value, *proof[at:]], [*proof[:at], value[:31]]]
        if at and proof[at] != proof[at - 1]:
            wrong.append([*proof[: at - 1], proof[at], proof[at - 1], *proof[at + 1 :]])
    return wrong


def test_any_bit_flipped_in_any_leaf_changes_the_root() -> None:
    for at in range(9):
        for changed in flips(b"entry"):
            leaves = [leaf_hash(changed if number == at else b"entry") for number in range(9)]
            assert mth(leaves) != mth([leaf_hash(b"entry")] * 9)


def test_an_empty_log_is_the_beginning_of_every_log_and_only_with_its_own_root() -> None:
    merkle.verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    merkle.verify_consistency(0, EMPTY_ROOT, 5, ROOTS[5], [])
    for old_root, size, root, proof in [
        (bytes(32), 5, ROOTS[5], []),
        (EMPTY_ROOT, 5, ROOTS[5], [bytes(32)]),
        (EMPTY_ROOT, 0, bytes(32), []),
    ]:
        with pytest.raises(Tampered):
            merkle.verify_consistency(0, old_root, size, root, proof)


def test_equal_sizes_are_consistent_with_equal_roots_and_an_empty_proof_alone() -> None:
    merkle.verify_consistency(5, ROOTS[5], 5, ROOTS[5], [])
    for root, proof in [(ROOTS[6], []), (ROOTS[5], [ROOTS[5]])]:
        with pytest.raises(Tampered):
            merkle.verify_consistency(5, root, 5, ROOTS[5], proof)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3)])
def test_no_proof_is_made_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError):
        merkle.inclusion_proof(index, size, TREE.get)


@pytest.mark.parametrize(("old", "new"), [(3, 2), (-1, 2)])
def test_no_consistency_is_claimed_with_a_smaller_tree(old: int, new: int) -> None:
    with pytest.raises(ValueError):
        merkle.consistency_proof(old, new, TREE.get)


def test_appending_reads_and_writes_few_nodes() -> None:
    tree = Tree(LEAVES)
    assert tree.asked == sum(((~size & (size + 1)).bit_length() - 1) for size in range(len(LEAVES)))
    assert tree.asked < len(LEAVES)


@given(st.integers(0, 69), st.integers(0, 69))
def test_a_frontier_loaded_anywhere_goes_on_as_the_tree_does(start: int, more: int) -> None:
    frontier = Frontier.load(start, TREE.get)
    twin = frontier.copy()
    for size in range(start, min(start + more, len(LEAVES))):
        nodes = frontier.append(LEAVES[size])
        assert nodes == merkle.append(size, LEAVES[size], TREE.get)
        assert frontier.root() == ROOTS[size + 1]
    assert (twin.size, twin.root()) == (start, ROOTS[start])


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 0), (3, 1), (4, 2), (-1, 1)])
def test_a_frontier_has_one_hash_for_each_set_bit(size: int, count: int) -> None:
    with pytest.raises(ValueError):
        Frontier(size, [bytes(32)] * count)
