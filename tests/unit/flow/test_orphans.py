"""A deposit without a row of ours is destroyed once it is old enough, and no other."""

from __future__ import annotations

from pathlib import Path

from gateway.flow.orphans import destroy_orphans
from gateway.store import schema
from gateway.store.database import Store
from keys.client import WorkerClient
from tests.support.keyholder import TENANT, deposit_for, running, set_up

COLUMNS = {
    "node": "node-1", "queue": "spl_1", "sender": b"", "sender_index": b"", "identity": "network", "retry_key": b"",
    "state": "secured", "rule": "", "policy": "", "findings": "{}", "urgent": 0, "size_bytes": 1, "received_at": 1,
    "created_at": 1, "row_mac": b"",
}  # fmt: skip


def left(worker: WorkerClient) -> list[str]:
    """What the keyholder still holds."""
    return worker.messages(TENANT, "", 2**53 - 1)


def test_only_an_old_deposit_without_a_row_is_destroyed(tmp_path: Path) -> None:
    with running(tmp_path) as keyholder:
        set_up(keyholder)
        store = Store.open(f"sqlite:///{tmp_path}/gateway.db", create=True)
        try:
            items = [deposit_for("per_1") for _ in range(3)]
            keyholder.worker.deposit(items)
            named, *orphans = sorted(item.message for item in items)
            row = schema.messages.insert().values(id=named, tenant=TENANT, **COLUMNS)
            store.run(lambda tx: tx.conn.execute(row))
            assert destroy_orphans(store, keyholder.worker, [TENANT], 1) == 0, "all are younger"
            assert left(keyholder.worker) == [named, *orphans]
            assert destroy_orphans(store, keyholder.worker, [TENANT], 2**53 - 1) == 2
            assert left(keyholder.worker) == [named]
            assert destroy_orphans(store, keyholder.worker, [TENANT], 2**53 - 1) == 0
        finally:
            store.close()
