"""A whole machine set back to an earlier day, keyholder and root key included: nothing inside can notice, so the proof
lies outside, in recipients' mailboxes; and as long as none lies there `doctor` says so. DESIGN §5 (restore guard).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.audit import EX_TAMPERED
from gateway.demo.clinic import Clinic
from gateway.doctor import YELLOW
from gateway.errors import Misconfigured, TryLater
from gateway.settings import load
from tests.support import doctoring
from tests.support.load import PATIENCE
from tests.support.marked import Marked, settled
from tests.support.spool import eventually

pytestmark = pytest.mark.full
BEFORE, AFTER = Marked("before", "quillfeather7719@patient.test"), Marked("after", "inkhorn5532@patient.test")
WHOLE = ("db", "vault", "spool", "keys", "kek")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    clinic = Clinic(tmp_path_factory.mktemp("rollback") / "c")
    try:
        clinic.start()
        yield clinic
    finally:
        clinic.stop()


def put(source: Path, target: Path) -> None:
    """The whole state of a machine that is off, in the place of another's."""
    for part in WHOLE:
        if (target / part).is_dir():
            shutil.rmtree(target / part)
        (target / part).unlink(missing_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, ignore=shutil.ignore_patterns("*.sock"))
        else:
            shutil.copy2(source / part, target / part)


def test_a_whole_machine_set_back_is_found_by_a_checkpoint_outside_and_was_announced_without_one(
    clinic: Clinic, tmp_path: Path
) -> None:
    found = doctoring.look("checkpoint.outside", load(clinic.config, {}), clinic.config)
    assert found.level == YELLOW, "no checkpoint has left: who is set back now never knows, and is told so beforehand"
    assert "audit export" in found.repair

    BEFORE.send(clinic)
    clinic.sink.wait_for(BEFORE.recipient)
    settled(clinic)
    clinic.stop_gateway()
    (tmp_path / "snapshot").mkdir()
    put(clinic.data, tmp_path / "snapshot")
    clinic.serve()
    AFTER.send(clinic)
    clinic.sink.wait_for(AFTER.recipient)
    settled(clinic)
    assert verified(clinic, tmp_path / "true", AFTER) == 0, "the twin: on the true machine the same notice fits"

    clinic.stop_gateway()
    put(tmp_path / "snapshot", clinic.data)
    clinic.serve()  # it starts: all its parts agree with each other
    assert verified(clinic, tmp_path / "back", BEFORE) == 0, "what left before it was set back still fits"
    assert verified(clinic, tmp_path / "back", AFTER) == EX_TAMPERED, "what left afterwards does not"


@pytest.fixture(scope="module")
def older(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole machine as it was, before its log began to leave each day, and went on."""
    folder = tmp_path_factory.mktemp("older")
    clinic._more["SEALGATE_AUDIT__EXPORT_URL"] = f"file://{folder}/kept"
    clinic.stop_gateway()
    put(clinic.data, folder)
    clinic.serve()
    eventually(lambda: clinic.search("action:log:kept"), PATIENCE)
    return folder


def test_a_whole_machine_set_back_is_not_served_where_the_log_leaves_each_day(
    clinic: Clinic, older: Path, tmp_path: Path
) -> None:
    """The twin with an outside keeper: what is inside agrees with itself again, and the start is refused."""
    clinic.stop_gateway()
    put(clinic.data, tmp_path)
    put(older, clinic.data)
    with pytest.raises(TryLater, match="set back to an earlier day"):
        clinic.serve()
    clinic.stop_gateway()
    put(tmp_path, clinic.data)
    clinic.serve()  # the true machine goes on
    assert clinic.search("action:log:kept")


def test_a_database_that_lost_its_end_goes_on_under_a_new_origin_which_names_the_gap(
    clinic: Clinic, older: Path, tmp_path: Path
) -> None:
    """Only when the operator says so; the keyholder never signs a smaller tree, and what is lost is said for ever."""
    with pytest.raises(Misconfigured, match="the gateway runs"):
        clinic.command("audit", "reopen", "--reason", "database-lost")
    before, after = tmp_path / "before", tmp_path / "after"
    clinic.command("audit", "export", str(before))
    clinic.stop_gateway()
    for part in ("db", "vault"):
        shutil.rmtree(clinic.data / part)
        shutil.copytree(older / part, clinic.data / part)
    with pytest.raises(TryLater, match="older than its log"):
        clinic.serve()
    clinic.stop_gateway()
    assert "sealgate serve" in clinic.command("audit", "reopen", "--reason", "database-lost")
    clinic.serve()
    (entry,) = clinic.search("action:log:reopened")
    assert entry["object"].endswith("/2")
    assert verified(clinic, after, BEFORE) == 0, "a notice of before the gap still fits"
    key = clinic.command("audit", "key").strip()
    said = clinic.command("audit", "verify", str(after), "--key", key, "--checkpoint", str(before / "checkpoint"))
    assert f"GAP: entry {entry['entry']} opened a new origin (database-lost)" in said
    assert f"of which {entry['entry']} are here" in said
    assert said.endswith("holds\n")
    eventually(lambda: (older / "kept" / f"{clinic.tenant}-2-2" / "heads" / "00000000.json").exists(), PATIENCE)


def verified(clinic: Clinic, folder: Path, mark: Marked) -> int:
    """The status of checking a fresh export against the notice in that recipient's mailbox."""
    if not folder.exists():
        clinic.command("audit", "export", str(folder))
    (mail,) = clinic.sink.wait_for(mark.recipient)
    notice = folder.with_name(f"{mark.name}.eml")
    notice.write_bytes(mail.everything())
    key = clinic.command("audit", "key").strip()
    done = clinic.runner(
        [*clinic.program, "audit", "verify", str(folder), "--key", key, "--checkpoint", str(notice)],
        stdin="", environ={"PATH": "/usr/bin:/bin"}, timeout=120,
    )  # fmt: skip
    return done.returncode
