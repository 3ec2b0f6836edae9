"""An object of four segments, damaged in every way: refused, and not a byte of the damaged segment comes out.

In every run each byte of the header, of each segment's frame and tag, and next to each border is flipped, and some of
the rest that a seed draws; `nightly` flips a bit in every byte, and every bit of what frames the segments. That each
refusal is an event, and an alarm that `doctor` shows, is seen in the running product: tests/drills/test_swaps.py.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.errors import Tampered
from gateway.vault import Stored, Vault
from keys import floe
from keys.datakey import DataKey
from keys.derive import blob_aad, object_key, object_share
from keys.errors import Tampered as Broken

SEGMENT, PLAIN, HEADER = floe.SEGMENT_BYTES, floe.SEGMENT_PLAIN_BYTES, floe.HEADER_BYTES
NAMES = {"tenant": "tnt_a", "object_id": "obj_a", "kind": "file"}
KEY = DataKey(b"k" * 32)
FRAME = 16
"""Bytes before a segment's ciphertext: length and nonce. Its tag has as many, at its end."""


@dataclass(slots=True)
class Object:
    """One sealed object in a vault, and its bytes as they were."""

    vault: Vault
    stored: Stored
    path: Path
    plain: bytes
    sealed: bytes

    def read(self, sealed: bytes, **names: str) -> tuple[bytes, bool]:
        """What comes out of these bytes in its place, and whether the reader ended in a refusal."""
        self.path.write_bytes(sealed)
        out = b""
        try:
            with self.vault.open(
                KEY, **{**NAMES, **names}, blob=self.stored.blob, header_tag=self.stored.header_tag,
                sealed_bytes=self.stored.sealed_bytes,
            ) as reader:  # fmt: skip
                for piece in reader.read():
                    out += piece
        except Tampered:
            return out, True
        return out, False


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Object:
    """Four segments, the last one short."""
    root = tmp_path_factory.mktemp("flips") / "vault"
    vault = Vault.create(f"file://{root}")
    plain = random.Random(4).randbytes(3 * PLAIN + 5_000)
    stored = vault.seal(KEY, **NAMES, chunks=iter([plain]))
    path = root / stored.blob[:2] / stored.blob
    return Object(vault, stored, path, plain, path.read_bytes())


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]


def frames(size: int) -> set[int]:
    """Every byte that frames something: header, each segment's length, nonce and tag, and next to each border."""
    found = set(range(HEADER))
    for start in range(HEADER, size, SEGMENT):
        stop = min(start + SEGMENT, size)
        found |= {*range(start, start + FRAME + 2), *range(stop - FRAME - 2, stop)}
    return found


def before(at: int) -> int:
    """How many plain bytes stand in whole segments before the one that holds this byte."""
    return 0 if at < HEADER else (at - HEADER) // SEGMENT * PLAIN


def test_a_flip_in_any_framing_byte_and_in_a_drawn_rest_is_refused_and_its_segment_stays_inside(kept: Object) -> None:
    assert kept.read(kept.sealed) == (kept.plain, False), "the twin"
    drawn = random.Random(2026).sample(range(HEADER, len(kept.sealed)), 60)
    for at in sorted({*frames(len(kept.sealed)), *drawn}):
        out, refused = kept.read(flipped(kept.sealed, at, at % 8))
        assert refused, at
        # What left is true, and ends before the segment that was hit; the last one is opened first, and then nothing.
        last = at >= HEADER + 3 * SEGMENT
        assert out == kept.plain[: 0 if last else before(at)], at


@pytest.mark.nightly
def test_a_flip_in_any_byte_is_refused(kept: Object) -> None:
    aad = blob_aad(tenant="tnt_a", object_id="obj_a", kind="file")
    header, body = kept.sealed[:HEADER], kept.sealed[HEADER:]
    for at, bit in itertools.product(range(HEADER), range(8)):
        with pytest.raises(Broken):
            KEY.opener(aad, flipped(header, at, bit), kept.stored.header_tag)
    opener = KEY.opener(aad, header, kept.stored.header_tag)
    for index in range(4):
        segment = bytearray(body[index * SEGMENT : (index + 1) * SEGMENT])
        opener.segment(index, segment, final=index == 3)
        framing = {*range(FRAME), *range(len(segment) - FRAME, len(segment))}
        for at in range(len(segment)):
            for bit in range(8) if at in framing else (at % 8,):
                segment[at] ^= 1 << bit
                with pytest.raises(Broken):
                    opener.segment(index, segment, final=index == 3)
                segment[at] ^= 1 << bit


def test_a_cut_at_every_border_is_refused_with_nothing_out(kept: Object) -> None:
    borders = {0, 10, 42, HEADER, len(kept.sealed)}
    for start in range(HEADER, len(kept.sealed), SEGMENT):
        borders |= {start, start + 4, start + FRAME, min(start + SEGMENT, len(kept.sealed)) - FRAME}
    cuts = {at + step for at in borders for step in (-1, 0, 1)} - {len(kept.sealed)}
    for at in sorted(one for one in cuts if one >= 0):
        longer = kept.sealed + b"\0" * max(0, at - len(kept.sealed))
        assert kept.read(longer[:at]) == (b"", True), at
    for index in range(4):  # and from the front, or out of the middle
        start = HEADER + index * SEGMENT
        assert kept.read(kept.sealed[:start] + kept.sealed[start + SEGMENT :]) == (b"", True), index


def test_segments_in_any_other_order_or_twice_are_refused(kept: Object) -> None:
    header = kept.sealed[:HEADER]
    segments = [kept.sealed[HEADER + at * SEGMENT : HEADER + (at + 1) * SEGMENT] for at in range(4)]
    orders = [one for one in itertools.permutations(range(4)) if one != (0, 1, 2, 3)]
    orders += [(*range(at), other, *range(at + 1, 4)) for at in range(4) for other in range(4) if other != at]
    for order in orders:
        out, refused = kept.read(header + b"".join(segments[one] for one in order))
        assert refused, order
        true = next(at for at in range(4) if order[at] != at)
        same_size = 3 not in order[:3] and order[3] == 3
        assert out == kept.plain[: true * PLAIN if same_size else 0], order


def test_objects_do_not_pass_for_each_other_across_tenants_messages_objects_kinds_and_versions(kept: Object) -> None:
    share, mk = b"s" * 32, b"m" * 32
    own = {"tenant": "tnt_a", "message": "msg_a", "object_id": "obj_a", "kind": "file"}

    def sealed(**names: str) -> tuple[bytes, Stored]:
        key = key_of(**names)
        stored = kept.vault.seal(
            key, tenant=names["tenant"], object_id=names["object_id"], kind=names["kind"], chunks=iter([b"x" * 100])
        )
        path = kept.path.parents[1] / stored.blob[:2] / stored.blob
        return path.read_bytes(), stored

    def key_of(**names: str) -> DataKey:
        ids = {name: names[name] for name in ("tenant", "message", "object_id")}
        return object_key(mk, object_share(share, **ids), **ids, kind=names["kind"])

    def opens(content: bytes, pinned: Stored) -> bool:
        path = kept.path.parents[1] / pinned.blob[:2] / pinned.blob
        before, path_bytes = path.read_bytes(), content
        path.write_bytes(path_bytes)
        try:
            with kept.vault.open(
                key_of(**own), tenant="tnt_a", object_id="obj_a", kind="file", blob=pinned.blob,
                header_tag=pinned.header_tag, sealed_bytes=pinned.sealed_bytes,
            ) as reader:  # fmt: skip
                return b"".join(reader.read()) == b"x" * 100
        except Tampered:
            return False
        finally:
            path.write_bytes(before)

    content, pinned = sealed(**own)
    assert opens(content, pinned), "the twin"
    for change in ({"tenant": "tnt_b"}, {"message": "msg_b"}, {"object_id": "obj_b"}, {"kind": "body"}, {}):
        other, stored = sealed(**{**own, **change})  # the last one: the same object, sealed again
        assert len(other) == len(content), "not even the length tells them apart"
        assert not opens(other, pinned), change or "an earlier version"
        # With its header tag put into the row as well, only the key decides; a version of its own row then opens.
        assert opens(other, stored) is (change == {}), change
