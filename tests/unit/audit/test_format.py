"""FORMAT.md's vectors, computed again with nothing of ours; and verifying needs no database."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nacl.signing
import pytest

from gateway.audit.event import FIELDS, parse
from gateway.audit.outside import header_value

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def vectors() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "tests/data/audit/vectors.json").read_text("utf-8"))
    return found


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_entries_hash_to_the_signed_root(vectors: dict[str, Any]) -> None:
    leaves = [sha256(b"\0" + entry.encode()) for entry in vectors["entries"]]
    assert [leaf.hex() for leaf in leaves] == vectors["leaf_hashes"]
    root = sha256(b"\1" + sha256(b"\1" + leaves[0] + leaves[1]) + leaves[2])
    assert root.hex() == vectors["root"]
    text, _, signature = vectors["checkpoint"].partition("\n\n")
    assert text.split("\n") == [vectors["vkey"].split("+")[0], "3", base64.b64encode(root).decode()]
    key = nacl.signing.SigningKey(bytes.fromhex(vectors["seed"])).verify_key
    raw = base64.b64decode(signature.split(" ")[-1])
    key.verify(text.encode() + b"\n", raw[4:])
    name, identifier, encoded = vectors["vkey"].split("+", 2)
    assert base64.b64decode(encoded) == b"\x01" + bytes(key)
    assert identifier == raw[:4].hex() == sha256(name.encode() + b"\n\x01" + bytes(key))[:4].hex()


def test_entries_are_of_the_closed_shape(vectors: dict[str, Any]) -> None:
    for entry in vectors["entries"]:
        fields = json.loads(entry)
        assert json.dumps(fields, sort_keys=True, separators=(",", ":")) == entry
        assert parse(entry.encode()) == fields
        assert set(fields) == FIELDS


def test_the_header_follows_from_note_salt_and_time(vectors: dict[str, Any]) -> None:
    note, salt = vectors["checkpoint"], bytes.fromhex(vectors["salt"])
    moment = datetime.fromtimestamp(vectors["at"] // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = base64.b64encode(sha256(salt + note.encode())).decode()
    expected = f"v1; {note.splitlines()[0]}; {moment}; {digest}; {note.split()[-1]}"
    assert vectors["header"] == expected == header_value(note, salt, vectors["at"])


def test_format_md_names_every_field() -> None:
    text = (ROOT / "gateway/audit/FORMAT.md").read_text("utf-8")
    assert [field for field in sorted(FIELDS) if f"`{field}`" not in text] == []


def test_verifying_loads_no_database_and_no_network() -> None:
    code = (
        "import sys, gateway.audit.verify; "
        "print(sorted({'sqlalchemy', 'sqlite3', 'psycopg', 'http.client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
