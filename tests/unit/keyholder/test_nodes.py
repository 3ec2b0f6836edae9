"""What nodes get: epoch keys and their end, snapshots, signed settings, checkpoints that never go back."""

from __future__ import annotations

import hashlib
import json
import secrets

import pytest

from keys import merkle, notes
from keys.boxes import BoxKey, seal_box
from keys.client import unb64
from keys.encoding import canonical
from keys.errors import Tampered
from keys.signing import verify_signature
from tests.support.keyholder import NODE, TENANT
from tests.unit.keyholder.conftest import SECOND, House, refusal

HOUR = 3600


def root_key(house: House) -> bytes:
    return unb64(house.operator.status()["public_key"])


def test_epochs_are_hourly_signed_key_pairs_handed_out_again_after_a_restart(house: House) -> None:
    epochs = house.worker.epochs(NODE)
    here = house.now // SECOND // HOUR
    assert [epoch["epoch"] for epoch in epochs] == [here, here + 1]
    for epoch in epochs:
        public = unb64(epoch["public"])
        verify_signature(root_key(house), unb64(epoch["signature"]), "sealgate/epoch/v1", NODE, epoch["epoch"], public)
        key = BoxKey.from_private(unb64(epoch["private"]))
        assert key.open(b"here", seal_box(public, b"here", b"item key")) == b"item key"
    house.reopen()
    assert house.worker.epochs(NODE) == epochs
    house.wait(2 * HOUR)
    assert [epoch["epoch"] for epoch in house.worker.epochs(NODE)] == [here, here + 1, here + 2, here + 3]


def test_a_finished_epochs_private_key_is_gone_from_store_and_write_ahead_log(house: House) -> None:
    here = house.worker.epochs(NODE)[0]["epoch"]
    ((wrapped,),) = house.rows("SELECT private FROM epochs WHERE epoch = ?", here)
    with refusal("not-over"):
        house.worker.epoch_done(NODE, here)
    house.wait(HOUR)
    house.worker.epoch_done(NODE, here)
    house.worker.epoch_done(NODE, here)
    remains = b"".join(path.read_bytes() for path in house.config.directory.iterdir())
    assert wrapped[1:13] not in remains
    assert wrapped[-16:] not in remains
    assert here not in [epoch["epoch"] for epoch in house.worker.epochs(NODE)]
    house.reopen()
    assert here not in [epoch["epoch"] for epoch in house.worker.epochs(NODE)]


def test_after_a_clock_that_was_ahead_the_hours_that_come_again_have_other_keys(house: House) -> None:
    before = {epoch["epoch"]: epoch["public"] for epoch in house.worker.epochs(NODE)}
    here = min(before)
    house.wait(3 * HOUR)
    for epoch in before:
        house.worker.epoch_done(NODE, epoch)
    house.wait(-3 * HOUR)
    snapshot = json.loads(house.worker.snapshot(NODE, {})["payload"])
    again = {epoch["epoch"]: epoch["public"] for epoch in snapshot["epochs"]}
    assert sorted(again) == [here, here + 1], "mail can be taken"
    assert not set(again.values()) & set(before.values()), "what was destroyed stays destroyed"
    found = next(epoch for epoch in house.worker.epochs(NODE) if epoch["epoch"] == here)
    assert BoxKey.from_private(unb64(found["private"])).public == unb64(again[here])


def test_an_epochs_swapped_public_key_is_refused(house: House) -> None:
    house.worker.epochs(NODE)
    house.change("UPDATE epochs SET public = ?", BoxKey.generate().public)
    with pytest.raises(Tampered):
        house.worker.epochs(NODE)


def test_the_snapshot_is_built_from_the_keyholders_own_rows_and_its_serial_only_grows(house: House) -> None:
    house.staff("usr_amy", "staff")
    password = house.operator.app_password(TENANT, "usr_amy", "amy@clinic.test")["password"]
    assert b"amy@clinic.test" not in b"".join(path.read_bytes() for path in house.config.directory.iterdir())
    taken = house.worker.snapshot(NODE, {"size": 1000})
    verify_signature(root_key(house), unb64(taken["signature"]), "sealgate/snapshot/v1", taken["payload"].encode())
    payload = json.loads(taken["payload"])
    assert canonical(payload).decode() == taken["payload"]
    assert (payload["node"], payload["serial"], payload["time_us"]) == (NODE, 1, house.now)
    assert payload["extensions"] == {"size": 1000}
    (tenant,) = payload["tenants"]
    assert (tenant["id"], tenant["domains"]) == (TENANT, ["clinic.test"])
    (user,) = tenant["users"]
    assert (user["username"], user["user"]) == ("amy@clinic.test", "usr_amy")
    assert hashlib.sha256(unb64(user["salt"]) + password.encode()).digest() == unb64(user["verifier"])
    assert len(payload["epochs"]) == 2
    assert all("private" not in epoch for epoch in payload["epochs"])
    house.reopen()
    assert json.loads(house.worker.snapshot(NODE, {})["payload"])["serial"] == 2
    house.operator.disable_user(TENANT, "usr_amy")
    assert json.loads(house.worker.snapshot(NODE, {})["payload"])["tenants"][0]["users"] == []


def test_a_node_key_is_vouched_for_and_cannot_be_exchanged(house: House) -> None:
    public = secrets.token_bytes(32)
    signed = house.operator.register_node(NODE, "smtp", public)
    assert house.operator.register_node(NODE, "smtp", public) == signed
    assert house.worker.node_keys(NODE)["smtp"] == signed
    verify_signature(root_key(house), unb64(signed["signature"]), "sealgate/node-key/v1", NODE, "smtp", public)
    with refusal("differs"):
        house.operator.register_node(NODE, "smtp", secrets.token_bytes(32))
    with refusal("no-node"):
        house.worker.epochs("node-9")
    with refusal("no-node"):
        house.worker.keys("node-9")


def test_tenant_keys_are_the_same_for_worker_and_portal_and_after_a_restart(house: House) -> None:
    keys = house.worker.keys(NODE)
    assert set(keys["tenants"][TENANT]) == {"directory", "index", "row_mac", "log_value"}
    assert len(set(keys["tenants"][TENANT].values())) == 4
    assert house.portal.keys() == keys
    house.reopen()
    assert house.portal.keys() == keys


def test_a_tenants_keys_are_made_once(house: House) -> None:
    before = house.portal.keys()
    origin = f"portal.test/log/{TENANT}"
    assert house.operator.create_tenant(TENANT, "Elm Street Clinic", origin) == house.worker.vkeys(TENANT)
    assert house.portal.keys() == before
    with refusal("differs"):
        house.operator.create_tenant(TENANT, "Elm Street Clinic", "elsewhere/log")
    with refusal("taken"):
        house.operator.create_tenant("tnt_Second", "Second", origin)
    with refusal("taken"):
        house.operator.create_tenant("system", "System", "system")


def test_settings_are_signed_with_growing_serials_and_wait_once_an_officer_has_signed_in(house: House) -> None:
    first = house.worker.settings(TENANT)
    body = {"domains": ["clinic.test", "new.test"], "networks": [], "limits": {}}
    second = house.operator.put_settings(TENANT, body)
    assert (second["serial"], second["waiting"]) == (first["serial"] + 1, False)
    verify_signature(
        root_key(house), unb64(second["signature"]), "sealgate/settings/v1", TENANT, second["serial"], canonical(body)
    )
    assert house.operator.put_settings(TENANT, body)["serial"] == second["serial"]
    house.staff("usr_officer", "officer").sign_in()
    waiting = house.operator.put_settings(TENANT, body | {"domains": ["evil.test"]})
    assert (waiting["serial"], waiting["waiting"], waiting["signature"]) == (
        second["serial"], True, second["signature"],
    )  # fmt: skip
    assert house.portal.settings(TENANT)["body"] == body
    assert json.loads(house.worker.snapshot(NODE, {})["payload"])["tenants"][0]["domains"] == body["domains"]
    assert house.operator.status()["tenants"][TENANT]["waiting"] is True
    assert house.operator.put_settings(TENANT, body)["waiting"] is False
    assert house.operator.status()["tenants"][TENANT]["waiting"] is False


class Tree:
    """A log as the sequencer holds it."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def get(self, level: int, position: int) -> bytes:
        return self.nodes[level, position]

    def grow(self, count: int, word: str = "entry") -> None:
        for _ in range(count):
            leaf = merkle.leaf_hash(f"{word} {self.size}".encode())
            for level, position, digest in merkle.append(self.size, leaf, self.get):
                self.nodes[level, position] = digest
            self.size += 1

    def root(self) -> bytes:
        return merkle.root(self.size, self.get)

    def proof(self, old: int) -> list[bytes]:
        return merkle.consistency_proof(old, self.size, self.get)


@pytest.mark.parametrize("log", [TENANT, "system"])
def test_a_checkpoint_is_signed_only_for_a_tree_that_extends_the_last_one(house: House, log: str) -> None:
    tree = Tree()
    tree.grow(5)
    assert house.worker.last_checkpoint(log) is None
    house.worker.sign_checkpoint(log, 5, tree.root(), 0, [])
    old_root = tree.root()
    tree.grow(6)
    note = house.worker.sign_checkpoint(log, 11, tree.root(), 5, tree.proof(5))
    vkeys = house.worker.vkeys(TENANT)
    verifier = notes.parse_vkey(vkeys["log_vkey" if log == TENANT else "system_vkey"])
    checkpoint = notes.parse_checkpoint(notes.open_note(note, verifier))
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (verifier.name, 11, tree.root())
    house.reopen()
    last = house.worker.last_checkpoint(log)
    assert last is not None
    assert (last["size"], last["note"]) == (11, note)
    assert house.worker.sign_checkpoint(log, 11, tree.root(), 11, []) == note
    further = Tree()
    further.grow(13)
    forged = Tree()
    forged.grow(20, "forged")
    attempts = [
        (5, old_root, 5, []),
        (4, old_root, 11, []),
        (11, old_root, 11, []),
        (20, forged.root(), 11, forged.proof(11)),
        (20, forged.root(), 0, []),
        (20, forged.root(), 11, []),
        (12, b"short", 11, []),
        (13, further.root(), 10, further.proof(11)),
    ]
    for size, root, old, proof in attempts:
        with refusal("inconsistent") as no:
            house.worker.sign_checkpoint(log, size, root, old, proof)
        assert no.data["size"] == 11
    assert house.worker.last_checkpoint(log) == last
    assert house.actions(log)[-1] == ("checkpoint:refused", "inconsistent")


def test_a_domain_or_a_portal_host_is_one_tenants_by_what_is_signed(house: House) -> None:
    house.operator.create_tenant("tnt_Second", "Second", "second.test/log/tnt_Second")
    own = {"domains": ["second.test"], "public_url": "https://mail.second.test"}
    assert not house.operator.put_settings("tnt_Second", own)["waiting"]
    with refusal("shared"):
        house.operator.put_settings(TENANT, {"domains": ["clinic.test", "Second.test."]})
    with refusal("shared"):
        house.operator.put_settings(TENANT, {"domains": ["clinic.test"], "public_url": "https://MAIL.second.test:8443"})
    assert "second.test" not in house.worker.settings(TENANT)["body"]["domains"]
