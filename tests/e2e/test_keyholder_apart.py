"""A whole clinic whose keyholder is another machine: mail in, link out, file opened, all of it over mutual TLS. The
other machine goes away and comes back; certificates are renewed and revoked under way. DESIGN §2, deploy/KEYHOLDER.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.drills.test_outages import connection, leaked
from tests.support.apart import Apart
from tests.support.faulty import Reader, eventually

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    made = Apart(tmp_path_factory.mktemp("apart") / "c")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def reader(clinic: Apart) -> Reader:
    return clinic.reader()


def fetched(clinic: Apart, reader: Reader) -> tuple[int, bytes]:
    with closing(connection(clinic)) as line:
        return reader.fetch(line)


def test_clinic_works_with_its_keyholder_on_another_machine(clinic: Apart, reader: Reader) -> None:
    assert fetched(clinic, reader) == (200, reader.content)
    # Nothing of the keyholder lies on this machine, neither its store nor the root key nor a socket; and nothing of the
    # clinic's on the other one.
    here, there = names(clinic.data), names(clinic.far.folder)
    assert not here & {"keyholder.db", "kek", "operator.sock", "worker.sock", "portal.sock"}
    assert {"keyholder.db", "kek", "operator.sock"} <= there
    assert not there & {"sealgate.db", "worker.sock", "portal.sock", "log", "large", "node.key"}
    found = json.loads(clinic.far.command("keys", "machines", "--json"))
    assert {(one["node"], one["role"], one["revoked_us"]) for one in found} == {
        ("node-1", role, None) for role in ("worker", "portal", "operator")
    }
    assert json.loads(clinic.command("keys", "status", "--json"))["provider"] == "file"
    assert f"127.0.0.1:{clinic.way.port}" in json.loads(clinic.command("check", "--json"))["keyholder"]
    findings = {one["id"]: one["level"] for one in json.loads(clinic.command("doctor", "--json", status=1))["checks"]}
    for name in ("keyholder.answers", "keyholder.certificates", "kek.file", "kek.place", "kek.matches"):
        assert findings[name] == "green", name


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def test_other_machine_away_is_451_and_503_and_nothing_needs_a_restart(clinic: Apart, reader: Reader) -> None:
    assert clinic.send(clinic.letter()) == 250
    clinic.far.stop()
    eventually(lambda: clinic.send(clinic.letter()) == 451)
    status, page = fetched(clinic, reader)
    assert status == 503
    assert not leaked(reader, page)
    assert b"keyholder" not in page
    clinic.far.serve()
    eventually(lambda: clinic.send(clinic.letter()) == 250)
    clinic.settled()
    assert fetched(clinic, reader) == (200, reader.content)


@pytest.mark.parametrize("kind", ["silent", "nonsense"])
def test_a_way_that_is_silent_or_answers_nonsense_is_as_good_as_none(clinic: Apart, reader: Reader, kind: str) -> None:
    assert clinic.send(clinic.letter()) == 250
    clinic.way.become(kind)
    try:
        eventually(lambda: clinic.send(clinic.letter()) == 451)
        status, page = fetched(clinic, reader)
        assert status == 503
        assert not leaked(reader, page)
    finally:
        clinic.way.become("through")
    eventually(lambda: clinic.send(clinic.letter()) == 250)
    clinic.settled()
    assert fetched(clinic, reader) == (200, reader.content)


def test_certificates_are_renewed_and_revoked_while_mail_and_downloads_go_on(clinic: Apart, reader: Reader) -> None:
    before = len(json.loads(clinic.far.command("keys", "machines", "--json")))
    clinic.certified("--operator")
    assert len(json.loads(clinic.far.command("keys", "machines", "--json"))) == before + 3
    assert fetched(clinic, reader) == (200, reader.content)
    clinic.far.command("keys", "revoke", "node-1", "--role", "portal")
    assert fetched(clinic, reader)[0] == 503
    assert '"state":"not-admitted"' in clinic.far.log
    assert clinic.send(clinic.letter()) == 250, "the worker has a certificate of its own"
    clinic.certified()
    assert fetched(clinic, reader) == (200, reader.content)


def test_machine_without_the_operators_certificate_serves_and_changes_nothing(clinic: Apart, reader: Reader) -> None:
    mine = clinic.data / "spool" / "node" / "keyholder" / "operator.pem"
    kept = mine.read_bytes()
    clinic.stop_gateway()
    mine.unlink()
    clinic.serve()
    assert clinic.send(clinic.letter()) == 250
    assert fetched(clinic, reader) == (200, reader.content)
    with pytest.raises(Exception, match="may not act as the operator"):
        clinic.command("user", "app-password", clinic.amy.address)
    mine.write_bytes(kept)
    mine.chmod(0o400)
    clinic.command("keys", "status")
