"""The spool, the snapshot and the node's keys in the hands of somebody who can write to the disk.

Mail that waits is rearranged while nothing runs; what was touched is refused and named after the start, what was not is
delivered. Keys that others put in the place of ours are refused by name. DESIGN §1.5, §4a (spool item, snapshot).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import smtplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.demo.clinic import Clinic
from gateway.errors import Misconfigured
from gateway.spool import frame
from gateway.spool.envelope import Envelope, Identity, Recipient
from gateway.spool.item import current_epoch
from gateway.spool.writer import SpoolWriter
from keys.boxes import BoxKey
from keys.encoding import canonical, lp
from keys.signing import SigningKey
from tests.support.installed import once, processes
from tests.support.marked import Marked
from tests.support.spool import MovableClock, eventually
from tests.support.stolen import open_copy
from tests.support.thief import frames, message_of, parts_of, steal

pytestmark = pytest.mark.full
NAMES = ("payload-one", "payload-two", "record-one", "record-two", "unsigned", "untouched")
MARKS = {name: Marked(name, f"{name}@patient.test") for name in NAMES}


@dataclass
class Waiting:
    """A stopped clinic with mail in its spool, by name: the record's kind, id and body."""

    clinic: Clinic
    segment: Path
    records: dict[str, tuple[int, str, bytes]]


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """Six mails were answered 250, then the power went."""
    clinic = Clinic(tmp_path_factory.mktemp("spool") / "c")
    try:
        clinic.start()
        os.kill(processes(clinic)["gateway"], signal.SIGSTOP)  # nothing is taken out of the spool any more
        for mark in MARKS.values():
            mark.send(clinic)
        os.killpg(processes(clinic)["parent"], signal.SIGKILL)
        eventually(lambda: clinic.ended() is not None and not clinic.left_behind())
        (segment,) = (path for path in (clinic.data / "spool" / "in" / "log").iterdir() if path.stat().st_size)
        found = list(frames(segment.read_bytes()))
        assert len(found) == len(NAMES)
        yield Waiting(clinic, segment, dict(zip(NAMES, found, strict=True)))
    finally:
        clinic.stop()


def exchange_key(path: Path, content: bytes) -> bytes:
    """Other content under the same name and rights; what was there."""
    before, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(mode)
    return before


@pytest.mark.parametrize("role", ["smtp", "worker"])
def test_a_node_key_in_the_place_of_ours_is_refused_by_name(waiting: Waiting, role: str) -> None:
    path = waiting.clinic.data / "spool" / "node" / role / "node.key"
    before = exchange_key(path, SigningKey.generate().seed())
    done = once(waiting.clinic, "--single-user")
    exchange_key(path, before)
    assert done.returncode == Misconfigured.exit_code
    assert f"{path} is not the key with which node 'node-1' was set up" in done.stderr


@pytest.mark.parametrize("role", ["smtp", "worker"])
def test_another_keyholder_that_a_role_should_believe_is_refused_by_name(waiting: Waiting, role: str) -> None:
    path = waiting.clinic.data / "spool" / "node" / role / "keyholder.pub"
    before = exchange_key(path, SigningKey.generate().public.hex().encode())
    done = once(waiting.clinic, "--single-user")
    exchange_key(path, before)
    assert done.returncode == Misconfigured.exit_code
    assert f"{path} does not name this installation's keyholder" in done.stderr


def forged(clinic: Clinic) -> str:
    """An item as only the door may write it, by somebody with a key of their own; its id."""
    payload = json.loads(json.loads((clinic.data / "spool/node/snapshot/snapshot.json").read_text())["payload"])
    public = {one["epoch"]: base64.b64decode(one["public"]) for one in payload["epochs"]}
    clock = MovableClock()
    epoch = current_epoch(clock.now_us())
    writer = SpoolWriter(
        clinic.data / "spool" / "in", "node-1", SigningKey.generate(), "in", lambda: (epoch, public[epoch])
    )
    envelope = Envelope(
        tenant=payload["tenants"][0]["id"], queue=clock.new_id("spl"), mail_from=clinic.olga.address,
        recipients=(Recipient("forged@patient.test"),), identity=Identity("app-password", None),
        arrived_us=clock.now_us(), node="node-1",
    )  # fmt: skip
    item = writer.begin(envelope)
    item.write(b"From: olga@riverside.test\r\nSubject: forged\r\n\r\nforged\r\n")
    try:
        return item.finish().result(10)
    finally:
        writer.close()


def test_touched_items_are_refused_and_named_and_the_untouched_one_is_delivered(waiting: Waiting) -> None:
    clinic, records = waiting.clinic, dict(waiting.records)
    one, two = records["payload-one"], records["payload-two"]
    (_, cut), (_, other) = parts_of(one[2], 6), parts_of(two[2], 6)
    records["payload-one"] = (*one[:2], one[2][:cut] + two[2][other:])
    records["payload-two"] = (*two[:2], two[2][:other] + one[2][cut:])
    three, four = records["record-one"], records["record-two"]
    records["record-one"], records["record-two"] = (*three[:2], four[2]), (*four[:2], three[2])
    five = records["unsigned"]
    parts, rest = parts_of(five[2], 6)
    records["unsigned"] = (*five[:2], five[2][:1] + lp(*parts[:5], bytes(64)) + five[2][rest:])
    waiting.segment.write_bytes(b"".join(frame.encode(*record) for record in records.values()))
    stranger = forged(clinic)
    clinic.serve()

    clinic.sink.wait_for(MARKS["untouched"].recipient)  # the twin
    touched = {record[1] for name, record in records.items() if name != "untouched"} | {stranger}
    named = eventually(lambda: alarmed(clinic) >= touched and alarmed(clinic))
    assert named == touched
    assert {one["id"] for one in json.loads(clinic.command("queue", "list", "--json"))} >= touched
    assert {to for mail in clinic.sink.mails for to in mail.recipients} == {MARKS["untouched"].recipient}


def alarmed(clinic: Clinic) -> set[str]:
    """What the alarms in our logs name."""
    with closing(sqlite3.connect(clinic.data / "db" / "sealgate.db", timeout=60)) as store:
        found = store.execute("SELECT DISTINCT object FROM log_leaves WHERE action = 'tamper:found'")
        return {name for (name,) in found}


def test_an_epoch_key_of_somebody_else_in_the_snapshot_is_refused_and_seals_nothing(
    waiting: Waiting, tmp_path: Path
) -> None:
    clinic = waiting.clinic
    path, log = clinic.data / "spool" / "node" / "snapshot" / "snapshot.json", clinic.data / "gateway.log"
    Marked("before", "before@patient.test").send(clinic)  # the door has seen the true one
    true = json.loads(path.read_text())
    thief = BoxKey.generate()
    payload = json.loads(true["payload"])
    for one in payload["epochs"]:
        one["public"] = base64.b64encode(thief.public).decode()
    refusals = log.read_text().count("snapshot:refused")
    false = true | {"payload": canonical(payload).decode()}
    assert eventually(lambda: seen(clinic, path, false) and log.read_text().count("snapshot:refused") > refusals)
    mark = Marked("aftermath", "aftermath@patient.test")
    mark.send(clinic)  # the last good snapshot stays in force
    assert '"reason":"bad signature"' in log.read_text()
    put(path, true)
    clinic.sink.wait_for(mark.recipient)
    loot = steal(clinic.data, tmp_path / "loot", "spool")
    keys = open_copy(clinic.data / "keys", clinic.data / "kek", tmp_path)
    assert loot.read_spool([thief.private_bytes()]) == []
    opened = [message_of(content)[0]["recipients"] for _, content in loot.read_spool(keys.epochs.values())]
    assert any(mark.recipient in json.dumps(recipients) for recipients in opened), "the twin: the true key opens it"


def test_an_older_snapshot_is_refused(waiting: Waiting) -> None:
    clinic = waiting.clinic
    path, log = clinic.data / "spool" / "node" / "snapshot" / "snapshot.json", clinic.data / "gateway.log"
    old = clinic.data / "old-snapshot.json"
    shutil.copy(path, old)
    clinic.command("user", "app-password", clinic.amy.address)  # makes a new one
    serial = json.loads(json.loads(old.read_text())["payload"])["serial"]
    accepted = clinic.data / "spool" / "node" / "smtp" / "serial"
    eventually(lambda: greeted(clinic) and int(accepted.read_text().split()[0]) > serial)
    again = '"reason":"a serial that was used before"'
    assert eventually(lambda: seen(clinic, path, json.loads(old.read_text())) and again in log.read_text())
    Marked("older", "older@patient.test").send(clinic)  # the newer one stays in force
    clinic.sink.wait_for("older@patient.test")


def seen(clinic: Clinic, path: Path, value: object) -> bool:
    """Put a snapshot there, again and again because the worker puts its own, and let the door look at it."""
    put(path, value)
    return greeted(clinic)


def greeted(clinic: Clinic) -> bool:
    """A client said EHLO: the door looks at the snapshot."""
    with smtplib.SMTP("127.0.0.1", clinic.smtp_port, timeout=60) as server:
        return server.ehlo()[0] == 250


def put(path: Path, value: object) -> None:
    """Replace a file as the worker does."""
    fresh = path.with_name("put")
    fresh.write_text(json.dumps(value))
    fresh.replace(path)
