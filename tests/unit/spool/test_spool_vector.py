"""The written-down item opens, as FORMAT.md says, also in a later release."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from gateway.errors import Tampered as Refused
from gateway.spool.envelope import Envelope
from gateway.spool.reader import SpoolReader
from keys.boxes import BoxKey
from keys.errors import Tampered
from keys.signing import SigningKey
from tests.support.spool import fresh

VECTOR = json.loads((Path(__file__).parents[2] / "data" / "spool" / "item.json").read_text())


def reader(directory: Path, epochs: set[str]) -> SpoolReader:
    keys = {int(number): BoxKey(bytes.fromhex(VECTOR["epochs"][number])) for number in epochs}

    def open_box(epoch: int, context: bytes, box: bytes) -> bytes:
        if epoch not in keys:
            raise Tampered("no key for this epoch")
        return keys[epoch].open(context, box)

    publics = {role: SigningKey(bytes.fromhex(VECTOR[f"{role}_seed"])).public for role in ("smtp", "worker")}
    return SpoolReader(directory, VECTOR["node"], publics, open_box)


@pytest.mark.parametrize(("marks", "epoch"), [(False, "498697"), (True, "498698")])
def test_vector_opens_with_the_epoch_it_is_boxed_to_and_no_other(tmp_path: Path, marks: bool, epoch: str) -> None:
    spool = fresh(tmp_path / "in")
    (spool / "log" / "0000000000000001.seg").write_bytes(base64.b64decode(VECTOR["segment"]))
    if marks:
        (spool / "marks" / "marks.log").write_bytes(base64.b64decode(VECTOR["marks"]))
    found = reader(spool, {epoch})
    (entry,) = list(found.replay())
    assert (entry.id, entry.tenant, entry.epoch) == (VECTOR["id"], VECTOR["tenant"], int(epoch))
    with found.open(entry) as opened:
        assert opened.envelope == Envelope.from_json(VECTOR["envelope"].encode())
        assert opened.source.read(0, opened.source.size).decode() == VECTOR["message"]
    found.close()
    other = reader(spool, set(VECTOR["epochs"]) - {epoch})
    (entry,) = list(other.replay())
    with pytest.raises(Refused, match=VECTOR["id"]):
        other.open(entry)
