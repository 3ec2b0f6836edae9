"""What a thief gets from a copy of the keyholder's directory, with or without the root key file.

For drills: `open_copy` works on copies only and never touches a running keyholder's files. With the right KEK the
thief has everything the keyholder could have released; the drills show that this opens no delivered link-only mail.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from keys.errors import Denied
from keys.keyholder import grants, inboxes
from keys.keyholder.config import KeyholderConfig
from keys.keyholder.custody import tenant_key
from keys.keyholder.database import Tx
from keys.keyholder.holder import Holder


@dataclass(slots=True)
class Loot:
    """Everything that store and KEK together hold: S by message, R by grant, private keys of epochs, tenant keys,
    peppers of inboxes.
    """

    shares: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    epochs: dict[tuple[str, int], bytes] = field(default_factory=dict)
    tenant_keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    peppers: list[bytes] = field(default_factory=list)


def open_copy(directory: Path, kek_file: Path, scratch: Path) -> Loot:
    """Copy store and KEK into `scratch` and take all there is. Raises WrongKek or Tampered as the keyholder would."""
    copy = scratch / "stolen-keys"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    kek = scratch / "stolen-kek"
    kek.unlink(missing_ok=True)
    shutil.copy(kek_file, kek)
    holder = Holder.open(KeyholderConfig(directory=copy, kek_file=kek, sockets_dir=scratch / "none"))
    try:
        return holder.database.run(_take)
    finally:
        holder.close()


def _take(tx: Tx) -> Loot:
    loot = Loot()
    for message in tx.all("SELECT * FROM messages WHERE share IS NOT NULL"):
        try:
            loot.shares[message["id"]] = grants.share(tx, message)
        except Denied:
            continue  # its day key is gone
        for grant in tx.all("SELECT * FROM grants WHERE message = ? AND secret IS NOT NULL", message["id"]):
            loot.secrets[grant["id"]] = grants.secret(tx, grant, message)
    for row in tx.all("SELECT node, epoch, private FROM epochs WHERE private IS NOT NULL"):
        private = tx.custody.unwrap(bytes(row["private"]), "epoch", row["node"], row["epoch"])
        loot.epochs[row["node"], row["epoch"]] = private
    for row in tx.all(
        "SELECT l.*, i.tenant FROM inbox_locks l JOIN inboxes i ON i.id = l.inbox WHERE l.pepper IS NOT NULL"
    ):
        loot.peppers.append(inboxes.pepper(tx, row["tenant"], row))
    for row in tx.all("SELECT tenant, purpose FROM tenant_keys"):
        loot.tenant_keys[row["tenant"], row["purpose"]] = tenant_key(tx, row["tenant"], row["purpose"])
    return loot
