"""Part of `sealgate bench vault`: the root key rotated over a store with many keys, and what a call waits meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

from gateway.bench.measure import Figure, Spread, percentile, say
from keys.keyholder import rotation
from keys.keyholder.config import KeyholderConfig
from keys.keyholder.database import Tx
from keys.keyholder.holder import Holder
from keys.providers.file import FileProvider

KEYS, TENANTS = 365_000, 1_000
OURS = "Sealgate"


def figures(folder: Path, *, quick: bool) -> list[Figure]:
    """365,000 day keys go from one file to another, as a keyholder does it that serves."""
    count = KEYS // 100 if quick else KEYS
    here = folder / "rotation"
    here.mkdir()
    config = KeyholderConfig(directory=here / "keys", kek_file=here / "kek", sockets_dir=here / "s", create=True)
    FileProvider.open(here / "kek-2", create=True)
    holder = Holder.open(config)
    try:
        holder.database.run(lambda tx: _fill(tx, count))
        waits = []
        started = time.perf_counter()
        rotation.rotate(holder, provider="file", values={"kek_file": str(here / "kek-2")}, secret=b"")
        while holder.custody.key.before is not None:
            asked = time.perf_counter()
            holder.database.run(lambda tx: tx.number("SELECT 1"))
            waits.append((time.perf_counter() - asked) * 1000)
            time.sleep(0.01)
        taken = time.perf_counter() - started
    finally:
        holder.close()
    say(f"vault, root key rotated over {count} keys: {taken:.1f} s")
    return [
        Figure(f"root key rotated over {count:,} keys, file", "s", {OURS: Spread.of([taken])}, "≤ 60 s", False),
        Figure("a call meanwhile, p99", "ms", {OURS: Spread.of([percentile(waits, 0.99)])}, "", False),
    ]


def _fill(tx: Tx, count: int) -> None:
    names = [f"tnt_{number % TENANTS:04}" for number in range(count)]
    days = [20_000 + number // TENANTS for number in range(count)]
    tx.conn.executemany(
        "INSERT INTO day_keys (tenant, day, wrapped) VALUES (?, ?, ?)",
        ((name, day, tx.custody.wrap(bytes(32), "day", name, day)) for name, day in zip(names, days, strict=True)),
    )
