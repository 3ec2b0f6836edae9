"""`log.numbered`: entries that wait too long for their number, and entries that were missing when it came."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from gateway.doctor import GREEN, RED, YELLOW
from gateway.doctor.finding import Finding
from gateway.settings import Settings, load
from gateway.store.database import Store
from gateway.store.schema import outbox, outbox_faults
from tests.support import databases, doctoring, postgres
from tests.unit.doctor.test_neighbours import LEAST

WAITING = {
    "log": "tnt_a", "node": "a", "nseq": 1, "action": "a", "actor": "b", "object": "c", "outcome": "ok", "entry": b"{}",
    "leaf_hash": b"h", "chain": b"c",
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    with postgres.running() as running:
        yield running


def settings(folder: Path, url: str) -> Settings:
    text = LEAST.format(folder=folder / "i").replace(f"sqlite:///{folder}/i/db/sealgate.db", url)
    roles = f'portal_url = "{url.replace("tester", "portal")}"\nowner_url = "{url.replace("tester", "owner")}"\n'
    file = folder / "gateway.toml"
    file.write_text(text.replace(f'url = "{url}"\n', f'url = "{url}"\n{roles}') if "postgresql" in url else text)
    return load(file, {})


def look(found: Settings) -> Finding:
    return doctoring.look("log.numbered", found, Path("/etc/sealgate/test.toml"))


def test_on_sqlite_nothing_ever_waits(tmp_path: Path) -> None:
    assert look(settings(tmp_path, f"sqlite:///{tmp_path}/i/db/sealgate.db")).level == GREEN


@pytest.mark.postgres
def test_late_numbers_are_yellow_then_red_with_the_line_that_repairs(server: postgres.Postgres, tmp_path: Path) -> None:
    url = databases.postgres(server)
    found, store = settings(tmp_path, url), Store.open(url)
    assert look(found).level == GREEN
    for number, (seconds, level) in enumerate(((-60, GREEN), (15, YELLOW), (3600, RED))):
        row = {**WAITING, "nseq": number, "ts": int((time.time() - seconds) * 1e6)}
        store.run(lambda tx, row=row: tx.conn.execute(insert(outbox).values(row)) and None)  # type: ignore[misc]
        finding = look(found)
        assert finding.level == level
        assert f"{number + 1} entries wait" in finding.found or level == GREEN
    assert "serve" in look(found).repair
    store.close()


@pytest.mark.postgres
def test_an_entry_that_was_missing_is_red_for_a_month_and_never_forgotten(
    server: postgres.Postgres, tmp_path: Path
) -> None:
    url = databases.postgres(server)
    found, store = settings(tmp_path, url), Store.open(url)
    for days, level in ((60, YELLOW), (1, RED)):
        values = {
            "id": f"flt_{days}", "log": "tnt_a", "node": "a", "nseq": 3, "kind": "missing", "entry": b"",
            "found_at": int((time.time() - days * 86_400) * 1e6),
        }  # fmt: skip
        store.run(lambda tx, values=values: tx.conn.execute(insert(outbox_faults).values(values)) and None)  # type: ignore[misc]
        assert look(found).level == level
    assert "audit export" in look(found).repair
    store.close()
