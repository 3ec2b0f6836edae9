"""The log's Merkle tree: append, root, inclusion and consistency proofs, and their checks.

Pure: hashes come from `get`, which answers for complete subtrees only, addressed (level, index): level 0 holds the leaf
hashes, node (l, i) covers leaves i·2**l up to (i+1)·2**l. Promises: an append needs and makes O(log n) hashes; a proof
is accepted only with exactly the hashes the sizes call for. Clauses: RFC 6962 2.1, RFC 9162 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from keys.errors import Tampered

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256().digest()

Get = Callable[[int, int], bytes]
Node = tuple[int, int, bytes]


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree of `size` leaves kept as the roots of its complete subtrees: all that appending and the root need."""

    __slots__ = ("_hashes", "size")

    def __init__(self, size: int, hashes: Sequence[bytes]) -> None:
        """`hashes` from the largest subtree on the left to the smallest. ValueError unless there is one per set bit."""
        if size < 0 or len(hashes) != size.bit_count():
            raise ValueError("a tree of that size has another number of complete subtrees")
        self.size = size
        self._hashes = list(hashes)

    @classmethod
    def load(cls, size: int, get: Get) -> Frontier:
        """The frontier of a stored tree: one look-up per set bit of `size`."""
        return cls(size, [get(level, index) for level, index in _subtrees(0, size)])

    def copy(self) -> Frontier:
        """An independent twin, to append to and drop when a transaction fails."""
        return Frontier(self.size, self._hashes)

    def append(self, leaf: bytes) -> list[Node]:
        """Add a leaf hash; the complete nodes that came to be, the leaf first."""
        nodes: list[Node] = [(0, self.size, leaf)]
        level, index, value = 0, self.size, leaf
        while index & 1:
            value = node_hash(self._hashes.pop(), value)
            level, index = level + 1, index >> 1
            nodes.append((level, index, value))
        self._hashes.append(value)
        self.size += 1
        return nodes

    def root(self) -> bytes:
        """The root hash of the tree as it stands."""
        return _fold(self._hashes)


def append(size: int, leaf: bytes, get: Get) -> list[Node]:
    """The complete nodes that leaf hash number `size` brings, itself first; only its left neighbours are read."""
    nodes: list[Node] = [(0, size, leaf)]
    level, index, value = 0, size, leaf
    while index & 1:
        value = node_hash(get(level, index - 1), value)
        level, index = level + 1, index >> 1
        nodes.append((level, index, value))
    return nodes


def root(size: int, get: Get) -> bytes:
    """The root hash of the first `size` leaves."""
    return _range_root(0, size, get)


def inclusion_proof(index: int, size: int, get: Get) -> list[bytes]:
    """PATH(index, first `size` leaves), leaf upwards. RFC 6962 2.1.1. ValueError unless index < size."""
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of that size")
    proof: list[bytes] = []
    start, stop = 0, size
    while stop - start > 1:
        split = start + _largest_power_below(stop - start)
        if index < split:
            proof.append(_range_root(split, stop, get))
            stop = split
        else:
            proof.append(_range_root(start, split, get))
            start = split
    proof.reverse()
    return proof


def consistency_proof(old: int, new: int, get: Get) -> list[bytes]:
    """PROOF(old, first `new` leaves). RFC 6962 2.1.2. Empty for old = 0 and old = new. ValueError if old > new."""
    if not 0 <= old <= new:
        raise ValueError("a tree is consistent with a larger one only")
    if old in (0, new):
        return []
    proof: list[bytes] = []
    start, stop = 0, new
    while stop != old:  # SUBPROOF: walk to the node where the old tree ends
        split = start + _largest_power_below(stop - start)
        if old <= split:
            proof.append(_range_root(split, stop, get))
            stop = split
        else:
            proof.append(_range_root(start, split, get))
            start = split
    if start != 0:  # the old tree is not itself this subtree, so the verifier lacks its hash
        proof.append(_range_root(start, stop, get))
    proof.reverse()
    return proof


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if leaf hash number `index` is in the tree of that size and root. Raises Tampered. RFC 9162 2.1.3.2."""
    if not 0 <= index < size or len(leaf) != HASH_BYTES:
        raise Tampered("no such leaf in a tree of that size")
    here, last, value = index, size - 1, leaf
    for sibling in _sized(proof):
        if last == 0:
            raise Tampered("an inclusion proof is too long")
        if here & 1 or here == last:
            value = node_hash(sibling, value)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            value = node_hash(value, sibling)
        here, last = here >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(value, root):
        raise Tampered("an inclusion proof does not hold")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree (new, new_root) begins with the tree (old, old_root). Raises Tampered. RFC 9162 2.1.4.2."""
    if not 0 <= old <= new:
        raise Tampered("the log is smaller than it was")
    if old in (0, new):
        expected = EMPTY_ROOT if old == 0 else new_root
        if new == 0 and not hmac.compare_digest(new_root, EMPTY_ROOT):
            raise Tampered("an empty log has another root")
        if proof or not hmac.compare_digest(old_root, expected):
            raise Tampered("a consistency proof does not hold")
        return
    path = _sized(proof)
    if old & (old - 1) == 0:  # the old tree is complete: its root is the first hash of the path
        path = [old_root, *path]
    if not path:
        raise Tampered("a consistency proof is too short")
    here, last = old - 1, new - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise Tampered("a consistency proof is too long")
        if here & 1 or here == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        here, last = here >> 1, last >> 1
    held = hmac.compare_digest(older, old_root) & hmac.compare_digest(newer, new_root)
    if last != 0 or not held:
        raise Tampered("a consistency proof does not hold")


def _sized(proof: Sequence[bytes]) -> list[bytes]:
    """The proof's hashes, each of 32 bytes: with other lengths two nodes could be cut at another place."""
    if any(len(value) != HASH_BYTES for value in proof):
        raise Tampered("a proof holds something that is no hash")
    return list(proof)


def _largest_power_below(count: int) -> int:
    """The largest power of two smaller than `count` (at least 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtrees(start: int, stop: int) -> list[tuple[int, int]]:
    """Complete subtrees that cover the leaves, left to right; `start` is a multiple of the first one's width."""
    found = []
    for level in range((stop - start).bit_length() - 1, -1, -1):
        if (stop - start) >> level & 1:
            found.append((level, start >> level))
            start += 1 << level
    return found


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, joined from the right."""
    if not hashes:
        return EMPTY_ROOT
    value = hashes[-1]
    for left in reversed(hashes[:-1]):
        value = node_hash(left, value)
    return value


def _range_root(start: int, stop: int, get: Get) -> bytes:
    return _fold([get(level, index) for level, index in _subtrees(start, stop)])
