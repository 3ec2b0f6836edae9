"""`sealgate bench vault`: sealing and opening files next to plain AES-256-GCM in one go and a copy with fsync."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.bench.load import throwaway
from gateway.bench.measure import Area, Figure, Spread, say
from gateway.vault.vault import Stored, Vault
from keys.datakey import DataKey

CHUNK_BYTES = 1 << 20
RANGE_BYTES = 1 << 20
OURS, GCM, COPY = "Sealgate", "AES-256-GCM in one go", "copy with fsync"
_NAMES = {"tenant": "tnt_bench", "object_id": "obj_bench", "kind": "file"}


def run(*, quick: bool) -> Area:
    """All figures of this subcommand."""
    size, rounds = (4 << 20, 1) if quick else (128 << 20, 5)
    folder = throwaway()
    try:
        return _measure(folder, size, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(folder: Path, size: int, rounds: int) -> Area:
    url = f"file://{folder / 'vault'}"
    vault = Vault.create(url)
    data = os.urandom(CHUNK_BYTES) * (size // CHUNK_BYTES)
    plain = folder / "plain"
    plain.write_bytes(data)
    key, gcm, nonce = DataKey.random(), AESGCM(os.urandom(32)), os.urandom(12)
    taken: dict[str, dict[str, list[float]]] = {"seal": {}, "open": {}, "first": {}, "range": {}}
    sealed = gcm.encrypt(nonce, data, b"")
    middle = size // 2
    kept: list[Stored] = []

    def seal() -> None:
        chunks = (data[at : at + CHUNK_BYTES] for at in range(0, size, CHUNK_BYTES))
        kept.append(vault.seal(key, chunks=chunks, **_NAMES))

    def opened(start: int, stop: int | None, pieces: int | None) -> None:
        stored = kept[-1]
        with vault.open(
            key, blob=stored.blob, header_tag=stored.header_tag, sealed_bytes=stored.sealed_bytes, **_NAMES
        ) as reader:
            for number, _piece in enumerate(reader.read(start, stop), 1):
                if number == pieces:
                    break

    for number in range(rounds):
        for name, action, unit in (
            (OURS, seal, "seal"),
            (GCM, lambda: gcm.encrypt(nonce, data, b""), "seal"),
            (COPY, lambda: _copy(plain, folder / "copy"), "seal"),
            (OURS, lambda: opened(0, None, None), "open"),
            (GCM, lambda: gcm.decrypt(nonce, sealed, b""), "open"),
            (COPY, lambda: _copy(plain, folder / "copy"), "open"),
        ):
            taken[unit].setdefault(name, []).append(size / 1e6 / _seconds(action))
        for _ in range(20):
            taken["first"].setdefault(OURS, []).append(_seconds(lambda: opened(0, None, 1)) * 1000)
            taken["range"].setdefault(OURS, []).append(
                _seconds(lambda: opened(middle, middle + RANGE_BYTES, None)) * 1000
            )
        vault.remove(kept.pop().blob)
        sealing, opening = taken["seal"][OURS][-1], taken["open"][OURS][-1]
        say(f"vault, round {number + 1}: seal {sealing:.0f} MB/s, open {opening:.0f} MB/s")
    return Area(
        [
            _figure("a file sealed into the vault, durable", "MB/s", taken["seal"]),
            _figure("the same file opened and read, every segment verified", "MB/s", taken["open"]),
            _figure("first verified byte of an opened file", "ms", taken["first"], more=False),
            _figure("1 MiB out of the middle, opening included", "ms", taken["range"], more=False),
        ]
    )


def _figure(what: str, unit: str, taken: dict[str, list[float]], *, more: bool = True) -> Figure:
    return Figure(what, unit, {name: Spread.of(values) for name, values in taken.items()}, more_is_better=more)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as read, open(target, "wb") as written:
        shutil.copyfileobj(read, written, CHUNK_BYTES)
        written.flush()
        os.fsync(written.fileno())
