"""What a thief makes of copied files, with nothing but the formats as they are written down.

`keys/FORMAT.md` and `gateway/spool/FORMAT.md` are read here a second time: no vault, spool or keyholder of the product
is used, only arithmetic of `keys`. Every method opens what can be opened and says so; none raises for what cannot.
"""

from __future__ import annotations

import base64
import hashlib
import json
import quopri
import re
import shutil
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from argon2.low_level import Type, hash_secret_raw

from keys import floe
from keys.boxes import BoxKey
from keys.datakey import DataKey
from keys.derive import blob_aad, object_key, object_share
from keys.encoding import lp
from keys.errors import KeysError
from keys.links import parse_token
from keys.wrap import WrapContext, unwrap

TOKEN = re.compile(rb"/m/([0-9A-Za-z]{34})")


@dataclass(frozen=True, slots=True)
class SpoolItem:
    """One record of a spool, unopened."""

    id: str
    tenant: str
    epoch: int
    header: bytes
    box: bytes
    body: bytes
    direction: str


@dataclass(slots=True)
class Loot:
    """Copies of files in one folder: `db/sealgate.db`, `vault/`, `spool/`."""

    folder: Path
    node: str = "node-1"
    links: dict[str, bytes] = field(default_factory=dict)
    """Link secrets that were found, by grant."""

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every row of a table of the gateway's database."""
        connection = sqlite3.connect(self.folder / "db" / "sealgate.db")
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
        finally:
            connection.close()

    def tables(self) -> list[str]:
        """Every table."""
        connection = sqlite3.connect(self.folder / "db" / "sealgate.db")
        try:
            return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        finally:
            connection.close()

    def bytes(self) -> Iterator[tuple[str, bytes]]:
        """Every stolen file: its name and what is in it."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.folder)), path.read_bytes()

    # the spool

    def items(self) -> Iterator[SpoolItem]:
        """Every record of both directions, new boxes included, erased or not."""
        for direction in ("in", "out"):
            folder = self.folder / "spool" / direction
            found: dict[str, SpoolItem] = {}
            for segment in sorted((folder / "log").glob("*.seg")):
                for kind, name, body in frames(segment.read_bytes()):
                    parts, at = parts_of(body, 6)
                    rest = body[at:]
                    if kind == 2:
                        large = folder / "large" / f"{name}.item"
                        rest = large.read_bytes() if large.exists() else b""
                    found[name] = SpoolItem(
                        name, parts[0].decode(), _u64(parts[2]), parts[3], parts[4], rest, direction
                    )
            yield from found.values()
            marks = folder / "marks" / "marks.log"
            for kind, name, body in frames(marks.read_bytes() if marks.exists() else b""):
                if kind == 3 and name in found:
                    parts, _ = parts_of(body, 3)
                    old = found[name]
                    yield SpoolItem(name, old.tenant, _u64(parts[0]), old.header, parts[1], old.body, direction)

    def read_item(self, item: SpoolItem, private: bytes) -> bytes | None:
        """Envelope and message of an item, with the private half of its epoch's key."""
        context = lp("sealgate/spool/v1", item.tenant, item.id, item.direction, self.node)
        bound = lp("sealgate/spool/v1", item.tenant, item.id, item.direction, self.node, item.epoch)
        try:
            key = BoxKey.from_private(private).open(hashlib.sha256(bound).digest(), item.box)
            return unseal(DataKey(key), context, item.header, item.header[-32:], item.body)
        except (KeysError, ValueError):
            return None

    def read_spool(self, privates: Iterable[bytes]) -> list[tuple[SpoolItem, bytes]]:
        """Every item that one of these keys opens; links in them are kept."""
        privates = list(privates)
        opened = []
        for item in self.items():
            for private in privates:
                content = self.read_item(item, private)
                if content is not None:
                    opened.append((item, content))
                    self.take_links(content)
                    break
        return opened

    def take_links(self, content: bytes) -> None:
        """Keep the link secrets in a mail."""
        for text in (content, quopri.decodestring(content), *_base64_texts(content)):
            for token in TOKEN.findall(text):
                parsed = parse_token(token.decode())
                if parsed is not None and parsed.secret is not None:
                    self.links[parsed.grant] = parsed.secret

    # the vault

    def message_keys(self, secrets: dict[str, bytes]) -> dict[str, bytes]:
        """Message to MK, for every grant whose secret is known."""
        found = {}
        for row in self.rows("grants"):
            if row["id"] in secrets:
                context = WrapContext(row["tenant"], row["message"], row["id"], row["kind"], 1)
                try:
                    found[row["message"]] = unwrap(secrets[row["id"]], row["wrap"], context)
                except KeysError:
                    continue
        return found

    def inbox_keys(self, private: bytes) -> dict[str, bytes]:
        """Message to MK, for every grant of an inbox that this private half opens (FORMAT.md §16)."""
        found = {}
        for row in self.rows("grants"):
            if row["kind"] == "inbox":
                context = lp("sealgate/inbox/v1", row["tenant"], row["message"], row["id"], row["person"], row["inbox"])
                try:
                    found[row["message"]] = BoxKey.from_private(private).open(context, row["wrap"])
                except KeysError:
                    continue
        return found

    def unlocked(self, phrase: bytes, peppers: Iterable[bytes]) -> list[bytes]:
        """Private halves that this passphrase opens with one of these peppers (FORMAT.md §16)."""
        found = []
        for row in self.rows("inbox_locks"):
            locked = row["locked"]
            stretched = hash_secret_raw(phrase, locked[1:33], 3, 65_536, 1, 32, Type.ID)
            context = WrapContext(row["tenant"], row["inbox"], row["id"], "inbox-" + row["kind"], 1)
            for pepper in peppers:
                try:
                    found.append(unwrap(stretched + pepper, locked[33:], context))
                except KeysError:
                    continue
        return found

    def objects(self, keys: dict[str, bytes], shares: dict[str, bytes]) -> dict[str, bytes]:
        """Object to contents, for every message whose MK (`keys`) and S (`shares`) are known."""
        found = {}
        for row in self.rows("objects"):
            if row["message"] in keys and row["message"] in shares:
                share = object_share(
                    shares[row["message"]], tenant=row["tenant"], message=row["message"], object_id=row["id"]
                )
                content = self.one_object(row, keys[row["message"]], share)
                if content is not None:
                    found[row["id"]] = content
        return found

    def one_object(self, row: dict[str, Any], key: bytes, share: bytes) -> bytes | None:
        """One object's contents, from MK and S_o."""
        made = object_key(
            key, share, tenant=row["tenant"], message=row["message"], object_id=row["id"], kind=row["kind"]
        )
        return self.with_key(row, made)

    def with_key(self, row: dict[str, Any], key: DataKey) -> bytes | None:
        """One object's contents, from its data key."""
        blob = (self.folder / "vault" / row["blob"][:2] / row["blob"]).read_bytes()
        aad = blob_aad(tenant=row["tenant"], object_id=row["id"], kind=row["kind"])
        head, body = blob[: floe.HEADER_BYTES], blob[floe.HEADER_BYTES :]
        try:
            return unseal(key, aad, head, row["header_tag"], body)
        except (KeysError, ValueError):
            return None

    # the keyholder's store

    def wrapped_keys(self) -> list[tuple[tuple[str | int, ...], bytes]]:
        """Use and bytes of every key that lies wrapped by the root key."""
        with closing(sqlite3.connect(self.folder / "keys" / "keyholder.db")) as store:
            found: list[tuple[tuple[str | int, ...], bytes]] = []
            for name, value in store.execute("SELECT name, value FROM meta WHERE name IN ('root_seed', 'hashing')"):
                found.append((("root",) if name == "root_seed" else ("hashing",), value))
            for use, query in (
                ("tenant", "SELECT wrapped, tenant, purpose FROM tenant_keys"),
                ("day", "SELECT wrapped, tenant, day FROM day_keys WHERE wrapped IS NOT NULL"),
                ("epoch", "SELECT private, node, epoch FROM epochs WHERE private IS NOT NULL"),
            ):
                found += [((use, *context), wrapped) for wrapped, *context in store.execute(query)]
            return found

    def keyholders_candidates(self) -> set[bytes]:
        """As `candidates`, from the keyholder's store: cells, their ends and their parts."""
        found: set[bytes] = set()
        with closing(sqlite3.connect(self.folder / "keys" / "keyholder.db")) as store:
            names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                for row in store.execute(f'SELECT * FROM "{name}"'):
                    for value in row:
                        pieces = _decoded(value) if isinstance(value, str) else []
                        if isinstance(value, bytes):
                            pieces = [value, *_parts_of_a_wrap(value)]
                        for piece in pieces:
                            found.update(one for size in (16, 32) for one in (piece[:size], piece[-size:])
                                         if len(one) == size)  # fmt: skip
        return found

    # an attempt with everything there is

    def candidates(self) -> set[bytes]:
        """Everything in these files that could be a secret of 16 or 32 bytes: cells, their ends, decoded texts."""
        pieces: set[bytes] = {bytes(16), bytes(32)}
        for table in self.tables():
            for row in self.rows(table):
                for value in row.values():
                    if isinstance(value, bytes):
                        pieces.add(value)
                        pieces.update(_parts_of_a_wrap(value))
                    elif isinstance(value, str):
                        pieces.update(_decoded(value))
        for item in self.items():
            pieces.update((item.header, item.box, item.body[:64], item.body[-64:]))
        for path in (self.folder / "vault").rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                pieces.update((content[: floe.HEADER_BYTES], content[-64:]))
        found: set[bytes] = set()
        for piece in pieces:
            for length in (16, 32):
                if len(piece) >= length:
                    found.update((piece[:length], piece[-length:]))
        return found

    def try_everything(self, candidates: set[bytes] | None = None) -> list[str]:
        """Use every candidate (those of `candidates` unless given) as every kind of key on every lock; what opened."""
        opened: list[str] = []
        candidates = self.candidates() if candidates is None else candidates
        grants = self.rows("grants")
        wide = [one for one in candidates if len(one) == 32]
        for grant in grants:
            opened += [f"wrap {grant['id']}" for one in candidates if self.message_keys_of(grant, one)]
        blobs = self.rows("objects")
        opened += [f"object {row['id']}" for row in blobs for one in wide if self.with_key(row, DataKey(one))]
        items = list(self.items())
        opened += [f"box {item.id}" for item in items[:4] for one in wide if self.read_item(item, one)]
        opened += [
            f"item {item.id}" for item in items for one in wide
            if _opens(one, lp("sealgate/spool/v1", item.tenant, item.id, item.direction, self.node), item)
        ]  # fmt: skip
        return opened

    @staticmethod
    def message_keys_of(grant: dict[str, Any], secret: bytes) -> bytes | None:
        """MK out of one wrap, or nothing."""
        context = WrapContext(grant["tenant"], grant["message"], grant["id"], grant["kind"], 1)
        try:
            return unwrap(secret, grant["wrap"], context)
        except (KeysError, ValueError):
            return None


def steal(data: Path, into: Path, *parts: str) -> Loot:
    """Copy these folders of an installation, as a thief of disks or backups would."""
    into.mkdir(parents=True, exist_ok=True)
    for part in parts:
        shutil.copytree(data / part, into / part, ignore=shutil.ignore_patterns("node", "*.sock"))
    return Loot(into)


def unseal(key: DataKey, aad: bytes, header: bytes, tag: bytes, body: bytes) -> bytes:
    """A whole FLOE ciphertext. Raises KeysError."""
    opener = key.opener(aad, header, tag)
    count = floe.segment_count(len(body))
    pieces = []
    for index in range(count):
        start, stop = floe.segment_range(index, len(body))
        pieces.append(opener.segment(index, body[start:stop], final=index == count - 1))
    return b"".join(pieces)


def message_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Envelope and message of an opened spool item."""
    (length,) = struct.unpack(">I", content[:4])
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def _opens(key: bytes, aad: bytes, item: SpoolItem) -> bool:
    try:
        unseal(DataKey(key), aad, item.header, item.header[-32:], item.body)
    except (KeysError, ValueError):
        return False
    return True


def frames(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Kind, id and body of every whole record."""
    at = 0
    while (at := data.find(b"SGF1", at)) >= 0:
        kind, name, length, check = struct.unpack_from(">B20sII", data, at + 4)
        if zlib.crc32(data[at : at + 29]) == check and at + 33 + length + 4 <= len(data):
            yield kind, name.decode(), data[at + 33 : at + 33 + length]
            at += 33 + length + 4
        else:
            at += 4


def parts_of(body: bytes, count: int) -> tuple[list[bytes], int]:
    """The first length-prefixed parts of a record's body, and where they end."""
    at, parts = 1, []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", body, at)
        parts.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return parts, at


def _u64(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _parts_of_a_wrap(value: bytes) -> list[bytes]:
    return [value[2:34], value[34:66], value[66:98], value[1:13], value[13:45]]


def _decoded(text: str) -> list[bytes]:
    found = [text.encode()]
    for word in re.findall(r"[0-9A-Za-z+/_=-]{16,}", text):
        if len(word) == 34:
            parsed = parse_token(word)
            if parsed is not None and parsed.secret is not None:
                found.append(parsed.secret)
        try:
            found.append(bytes.fromhex(word))
        except ValueError:
            pass
        try:
            found.append(base64.b64decode(word + "=" * (-len(word) % 4), validate=True))
        except ValueError:
            pass
    return found


def _base64_texts(content: bytes) -> list[bytes]:
    found = []
    for block in re.findall(rb"(?:[A-Za-z0-9+/]{60,}={0,2}\r?\n?)+[A-Za-z0-9+/]*={0,2}", content):
        try:
            found.append(base64.b64decode(block))
        except ValueError:
            continue
    return found
