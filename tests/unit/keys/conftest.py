"""What the tests of `keys` share: the vectors, and flipping bits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "data" / "keys"


def load(name: str) -> Any:
    """A vector file."""
    return json.loads((DATA / name).read_text())


def flips(data: bytes, *, bits: int = 8) -> Iterator[bytes]:
    """`data` with each single bit flipped (or only the lowest of each byte with ``bits=1``)."""
    for at in range(len(data)):
        for bit in range(bits):
            yield data[:at] + bytes((data[at] ^ (1 << bit),)) + data[at + 1 :]


@pytest.fixture(scope="session")
def vectors() -> Any:
    """tests/data/keys/vectors.json, the vectors of keys/FORMAT.md."""
    return load("vectors.json")
