"""`sealgate bench vault`: sealing and opening next to OpenSSL in memory, on the disk, and through the portal."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.bench import rotation
from gateway.bench.downloads import openssl_speed, through_the_portal
from gateway.bench.load import throwaway
from gateway.bench.measure import Area, Figure, Spread, say
from gateway.errors import Misconfigured
from gateway.vault.vault import Stored, Vault
from keys import floe
from keys.datakey import DataKey

CHUNK_BYTES = 1 << 20
RANGE_BYTES = 1 << 20
OURS, GCM, COPY = "Sealgate", "AES-256-GCM in one go", "copy with fsync"
OPENSSL = "openssl speed aes-256-gcm"
_NAMES = {"tenant": "tnt_bench", "object_id": "obj_bench", "kind": "file"}


def run(*, quick: bool) -> Area:
    """All figures of this subcommand."""
    size, rounds = (4 << 20, 1) if quick else (128 << 20, 5)
    folder = throwaway()
    try:
        area = _measure(folder, size, rounds)
        area.figures[:0] = _in_memory(size, rounds, area.notes)
        figures, notes = through_the_portal(folder, quick=quick)
        area.figures += figures
        area.notes += notes
        area.figures += rotation.figures(folder, quick=quick)
        return area
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_memory(size: int, rounds: int, notes: list[str]) -> list[Figure]:
    """The format alone, no file: a stream sealed and opened in segments, beside the same cipher as OpenSSL times it."""
    data = os.urandom(CHUNK_BYTES)
    count = size // CHUNK_BYTES
    key = DataKey.random()
    taken: dict[str, dict[str, list[float]]] = {"seal": {OURS: []}, "open": {OURS: []}}
    for _ in range(rounds):
        try:
            speed = openssl_speed(1)
            for values in taken.values():
                values.setdefault(OPENSSL, []).append(speed)
        except (Misconfigured, subprocess.SubprocessError) as error:
            notes[:] = [f"openssl speed is left out: {type(error).__name__}"]
        started = time.perf_counter()
        sealer = key.sealer(b"bench")
        for _ in range(count):
            sealer.update_pieces(data)  # what was sealed is thrown away at once
        sealer.finish_pieces()
        taken["seal"][OURS].append(size / 1e6 / (time.perf_counter() - started))
        sealer = key.sealer(b"bench")
        body = memoryview(b"".join([*sealer.update_pieces(data), *sealer.finish_pieces()]))
        opener = key.opener(b"bench", sealer.header, sealer.header_tag)
        ranges = [floe.segment_range(index, len(body)) for index in range(floe.segment_count(len(body)))]
        started = time.perf_counter()
        for _ in range(count):
            for index, (first, last) in enumerate(ranges):
                opener.segment(index, body[first:last], final=index == len(ranges) - 1)
        taken["open"][OURS].append(size / 1e6 / (time.perf_counter() - started))
    say(f"vault, in memory: seal {taken['seal'][OURS][-1]:.0f} MB/s, open {taken['open'][OURS][-1]:.0f} MB/s")
    floor = f"≥ 0.5 × {OPENSSL}"
    return [
        _figure("sealing in memory", "MB/s", taken["seal"], floor=floor),
        _figure("opening in memory, every segment verified", "MB/s", taken["open"], floor=floor),
    ]


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


def _figure(what: str, unit: str, taken: dict[str, list[float]], *, more: bool = True, floor: str = "") -> Figure:
    return Figure(what, unit, {name: Spread.of(values) for name, values in taken.items()}, floor, more)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as read, open(target, "wb") as written:
        shutil.copyfileobj(read, written, CHUNK_BYTES)
        written.flush()
        os.fsync(written.fileno())
