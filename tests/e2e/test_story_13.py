"""Story 13: with storage or the database stopped, mail is 451, nothing is lost or leaked, and one copy comes after.

Every neighbour by itself, and what pages do meanwhile, is in `drills/test_outages.py`; a full disk and one that fails
in `drills/test_full_disk.py` and `drills/test_disks.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faulty import KINDS, Faulty, clear_copies, eventually

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    found = Faulty(tmp_path_factory.mktemp("stopped") / "c")
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_what_had_its_250_comes_once_though_storage_and_database_were_gone(clinic: Faulty) -> None:
    for gone in (clinic.data / "vault", clinic.database):
        for kind in KINDS:
            assert clinic.send(clinic.letter(kind)) == 250
        away = stopped(clinic, gone)
        eventually(lambda: clinic.send(clinic.letter()) == 451)
        assert [clinic.send(clinic.letter()) for _ in range(3)] == [451] * 3
        assert not gone.exists(), "nothing is made in its place"
        away.rename(gone)
        eventually(lambda: clinic.send(clinic.letter()) == 250)
        clinic.settled()
        arrived = clinic.arrivals()
        for queue, sent in clinic.account.taken.items():
            assert [arrived.pop((queue, one)) for one in sent.recipients] == [1] * len(sent.recipients)
        assert not arrived, "what was answered 451 was not sent either"
    letters = list(clinic.account.taken.values())
    assert clear_copies(clinic.sink.mails, letters) == []
    assert clinic.holds_in_clear([one.mark for one in letters]) == []
    with clinic.sql() as conn:
        done = conn.execute("SELECT count(*) FROM log_leaves WHERE action = 'message:delivered'").fetchone()
    assert done == (sum(len(one.recipients) for one in letters),)


def stopped(clinic: Faulty, path: Path) -> Path:
    """It is not where it was; where it is now."""
    away = path.with_name(path.name + ".away")
    path.rename(away)
    return away
