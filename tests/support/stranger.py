"""A stranger's reader: all that an installation has sealed, opened from what keys/FORMAT.md says, by nothing of ours.

Written from that page, and from gateway/spool/FORMAT.md for the frames of the spool, with the standard library,
`cryptography`, PyNaCl and `shamir-mnemonic`. A test sees to it that nothing of `keys` or `gateway` is imported here.
Whatever does not hold raises ValueError, InvalidTag or BadSignatureError.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shamir_mnemonic
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.public import PrivateKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SEGMENT = 262_144
HEADER = 74


def lp(*parts: str | bytes | int) -> bytes:
    """§1."""
    out = b""
    for part in parts:
        raw = part.encode("ascii") if isinstance(part, str) else part
        raw = struct.pack(">Q", raw) if isinstance(raw, int) else raw
        out += struct.pack(">I", len(raw)) + raw
    return out


def hkdf(secret: bytes, info: bytes, length: int = 32, salt: bytes = b"") -> bytes:
    """RFC 5869 with SHA-256."""
    key = hmac.digest(salt or bytes(32), secret, "sha256")
    out = block = b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes((counter,)), "sha256")
        out += block
    return out[:length]


def open_object(key: bytes, aad: bytes, sealed: bytes, pinned: bytes) -> bytes:
    """§5: header and body to plain bytes."""
    header, body = sealed[:HEADER], sealed[HEADER:]
    prefix, iv, tag = header[:10], header[10:42], header[42:]
    if prefix != bytes.fromhex("00000004000000000020") or tag != pinned:
        raise ValueError("another format, or another object")

    def expand(secret: bytes, info: bytes, length: int) -> bytes:
        return hmac.digest(secret, prefix + iv + info + aad + b"\x01", "sha384")[:length]

    if expand(key, b"HEADER_TAG:", 32) != tag:
        raise ValueError("another key or context")
    message_key = expand(key, b"MESSAGE_KEY:", 48)
    count = -(-len(body) // SEGMENT)
    if len(body) < 32 or 0 < len(body) % SEGMENT < 32:
        raise ValueError("no body has this size")
    plain = b""
    for index in range(count):
        segment, last = body[index * SEGMENT : (index + 1) * SEGMENT], index == count - 1
        if segment[:4] != (struct.pack(">I", len(segment)) if last else b"\xff\xff\xff\xff"):
            raise ValueError("a segment in the wrong place")
        dek = expand(message_key, b"DEK:" + struct.pack(">Q", index >> 20 << 20), 32)
        plain += AESGCM(dek).decrypt(segment[4:16], segment[16:], struct.pack(">Q", index) + bytes((last,)))
    return plain


def open_value(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """§6."""
    if sealed[0] != 1:
        raise ValueError("another version")
    return AESGCM(key).decrypt(sealed[1:13], sealed[13:], lp("sealgate/value/v1", context))


def unwrap(secret: bytes, wrapped: bytes, *context: str | int) -> bytes:
    """§7: context is tenant, message, grant, purpose, key version."""
    both = hkdf(secret, lp("sealgate/wrap/v1", 1, 1, lp(*context)), 64, wrapped[2:34])
    if wrapped[:2] != b"\x01\x01" or not hmac.compare_digest(both[32:], wrapped[34:66]):
        raise ValueError("not the secret of this wrap")
    return AESGCM(both[:32]).decrypt(bytes(12), wrapped[66:], None)


def read_token(text: str) -> tuple[str, bytes]:
    """§8: grant and L of the last part of a link's path."""
    text = text.strip().removeprefix("#").removeprefix("%23")
    kept = "".join(one for one in text if one in DIGITS)[:34]
    if len(kept) != 34:
        raise ValueError("no token with a secret")
    number = 0
    for one in kept[12:]:
        number = number * 62 + DIGITS.index(one)
    return "lnk_" + kept[:12], number.to_bytes(16, "big")


def read_printed(text: str) -> bytes:
    """§8: L of a printed code."""
    text = text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("ILO", "110"))
    number = 0
    for one in text:
        number = number * 32 + CROCKFORD.index(one)
    secret = (number >> 10).to_bytes(16, "big")
    check = int.from_bytes(hashlib.sha256(b"sealgate/code/v1" + secret).digest()[:2], "big") >> 6
    if len(text) != 28 or number & 1023 != check:
        raise ValueError("the check does not fit")
    return secret


def open_box(private: bytes, context: bytes, box: bytes) -> bytes:
    """§9."""
    if box[0] != 1:
        raise ValueError("another suite")
    plain = SealedBox(PrivateKey(private)).decrypt(box[1:])
    if not plain.startswith(lp(context)):
        raise ValueError("another context")
    return plain[len(lp(context)) :]


def root_hash(entries: list[bytes]) -> bytes:
    """§10, RFC 6962 2.1."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    half = 1 << (len(entries) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_hash(entries[:half]) + root_hash(entries[half:])).digest()


def read_checkpoint(note: str, public: bytes) -> tuple[str, int, bytes]:
    """§10: origin, size and root of a checkpoint that this key has signed under its origin."""
    text, _, signatures = note.partition("\n\n")
    text += "\n"
    origin, size, root = text.splitlines()[:3]
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    for line in signatures.splitlines():
        dash, name, signature = line.split(" ")
        raw = base64.b64decode(signature)
        if (dash, name) == ("\u2014", origin) and raw[:4] == key_id:
            VerifyKey(public).verify(text.encode(), raw[4:])
            return origin, int(size), base64.b64decode(root)
    raise ValueError("not signed by this key")


@dataclass(frozen=True, slots=True)
class Installation:
    """§14: copies of the folders of one machine, and its root key."""

    folder: Path
    kek: bytes
    node: str = "node-1"

    @classmethod
    def of(cls, folder: Path, kek_file: Path) -> Installation:
        word, digits = kek_file.read_text().split()
        if word != "sealgate-kek-v1":
            raise ValueError("no root key")
        return cls(folder, bytes.fromhex(digits))

    def rows(self, file: str, query: str, *values: Any) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self.folder / file)) as store:
            store.row_factory = sqlite3.Row
            return store.execute(query, values).fetchall()

    def key(self, wrapped: bytes, *use: str | int) -> bytes:
        """§11: what the root key wraps."""
        if wrapped[0] != 1:
            raise ValueError("another version")
        aad = lp("sealgate/kek/v1", lp("sealgate/keyholder/v1", *use))
        return AESGCM(self.kek).decrypt(wrapped[1:13], wrapped[13:], aad)

    def share(self, message: str) -> bytes:
        """S."""
        (row,) = self.rows("keys/keyholder.db", "SELECT * FROM messages WHERE id = ?", message)
        table, use = ("hold_keys", "hold") if row["under_hold"] else ("day_keys", "day")
        query = f"SELECT wrapped FROM {table} WHERE tenant = ? AND day = ?"
        ((wrapped,),) = self.rows("keys/keyholder.db", query, row["tenant"], row["day"])
        day_key = self.key(wrapped, use, row["tenant"], row["day"])
        context = lp("sealgate/keyholder/share/v1", row["tenant"], message, row["expires_us"])
        return open_value(day_key, context, row["share"])

    def objects(self, token: str) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Name and kind, and contents, of each object of the message that a link leads to."""
        grant, secret = read_token(token)
        (row,) = self.rows("db/sealgate.db", "SELECT * FROM grants WHERE id = ?", grant)
        mk = unwrap(secret, row["wrap"], row["tenant"], row["message"], grant, row["kind"], 1)
        yield from self._opened(row["tenant"], row["message"], mk)

    def recovered(self, sheets: list[str], message: str) -> Iterator[tuple[dict[str, Any], bytes]]:
        """§15: the same, with the files of enough sheets of a recovery kit and no link."""
        words = [line.removeprefix("words: ") for sheet in sheets for line in sheet.split("\n") if line[:6] == "words:"]
        private = PrivateKey(shamir_mnemonic.combine_mnemonics(words))
        query = "SELECT * FROM grants WHERE message = ? AND kind = 'recovery'"
        (row,) = self.rows("db/sealgate.db", query, message)
        name = hashlib.sha256(lp("sealgate/recovery-key-id/v1", 1, bytes(private.public_key))).digest()[:10]
        if (row["wrap"][0], row["wrap"][1:11], row["wrap"][43]) != (2, name, 1):
            raise ValueError("for another recovery key")
        inner = SealedBox(private).decrypt(row["wrap"][44:])
        context = lp(lp(row["tenant"], message, row["id"], "recovery", 1))
        if inner[: len(context)] != context:
            raise ValueError("for another grant")
        yield from self._opened(row["tenant"], message, inner[len(context) :])

    def _opened(self, tenant: str, message: str, mk: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        share = self.share(message)
        for one in self.rows("db/sealgate.db", "SELECT * FROM objects WHERE message = ? ORDER BY position", message):
            part = hkdf(share, lp("sealgate/share/v1", tenant, message, one["id"]))
            key = hkdf(mk + part, lp("sealgate/object/v1", tenant, message, one["id"], one["kind"]))
            sealed = (self.folder / "vault" / one["blob"][:2] / one["blob"]).read_bytes()
            if len(sealed) != one["sealed_bytes"]:
                raise ValueError("another length")
            aad = lp("sealgate/blob/v1", tenant, one["id"], one["kind"])
            inner = open_value(
                hkdf(key, lp("sealgate/inner/v1")), lp(tenant, one["id"], one["header_tag"]), one["inner_meta"]
            )
            yield json.loads(inner) | {"kind": one["kind"]}, open_object(key, aad, sealed, one["header_tag"])

    def subject(self, message: str) -> dict[str, Any]:
        """What signed-in pages say of a message."""
        (row,) = self.rows("db/sealgate.db", "SELECT * FROM messages WHERE id = ?", message)
        meta_key = hkdf(self.share(message), lp("sealgate/meta/v1", row["tenant"], message))
        context = lp("sealgate/msgmeta/v1", row["tenant"], message)
        return dict(json.loads(open_value(meta_key, context, row["meta"])))

    def spooled(self) -> Iterator[tuple[str, dict[str, Any], bytes]]:
        """Direction, envelope and message of each item in segments of the log whose epoch's key is not destroyed."""
        epochs = {
            row["epoch"]: self.key(row["private"], "epoch", row["node"], row["epoch"])
            for row in self.rows("keys/keyholder.db", "SELECT * FROM epochs WHERE private IS NOT NULL")
        }
        nodes = self.rows("keys/keyholder.db", "SELECT role, public FROM nodes WHERE node = ?", self.node)
        signers = {row["role"]: row["public"] for row in nodes}
        for direction in ("in", "out"):
            for segment in sorted((self.folder / "spool" / direction / "log").glob("*.seg")):
                for kind, name, body in frames(segment.read_bytes()):
                    (tenant, role, epoch, header, box, signature), rest = parts(body, 6)
                    number, large = int.from_bytes(epoch, "big"), self.folder / "spool" / direction / "large"
                    if number not in epochs or (kind == 2 and not (large / f"{name}.item").exists()):
                        continue  # its key is destroyed, or it was erased
                    rest = (large / f"{name}.item").read_bytes() if kind == 2 else rest
                    names = (tenant.decode(), name, direction, self.node)
                    signed = lp("sealgate/spool-item/v1", lp("sealgate/spool/v1", *names), header[42:], box)
                    VerifyKey(signers[role.decode()]).verify(signed, signature)
                    bound = hashlib.sha256(lp("sealgate/spool/v1", *names, number)).digest()
                    key = open_box(epochs[number], bound, box)
                    plain = open_object(key, lp("sealgate/spool/v1", *names), header + rest, header[42:])
                    (length,) = struct.unpack(">I", plain[:4])
                    yield direction, json.loads(plain[4 : 4 + length]), plain[4 + length :]

    def log(self, log: str) -> tuple[str, list[dict[str, Any]]]:
        """Origin and entries of a log, as its last checkpoint proves them."""
        ((wrapped,),) = self.rows(
            "keys/keyholder.db", "SELECT wrapped FROM tenant_keys WHERE tenant = ? AND purpose = 'log_sign'", log
        )
        public = bytes(SigningKey(self.key(wrapped, "tenant", log, "log_sign")).verify_key)
        query = "SELECT note FROM log_checkpoints WHERE log = ? ORDER BY size DESC LIMIT 1"
        ((note,),) = self.rows("db/sealgate.db", query, log)
        origin, size, root = read_checkpoint(note, public)
        query = "SELECT entry FROM log_leaves WHERE log = ? AND idx < ? ORDER BY idx"
        entries = [bytes(entry) for (entry,) in self.rows("db/sealgate.db", query, log, size)]
        if len(entries) != size or root_hash(entries) != root:
            raise ValueError("not the entries that were signed")
        return origin, [json.loads(entry) for entry in entries]


def frames(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """gateway/spool/FORMAT.md, Frame: kind, id and body of each whole one."""
    at = 0
    while (at := data.find(b"SGF1", at)) >= 0:
        kind, name, length, check = struct.unpack_from(">B20sII", data.ljust(at + 33, b"\0"), at + 4)
        body = data[at + 33 : at + 33 + length]
        tail = data[at + 33 + length : at + 37 + length]
        if zlib.crc32(data[at : at + 29]) == check and zlib.crc32(body).to_bytes(4, "big") == tail:
            yield kind, name.decode("ascii"), body
            at += 37 + length
        else:
            at += 1


def parts(body: bytes, count: int) -> tuple[list[bytes], bytes]:
    """gateway/spool/FORMAT.md, Item: the parts behind the version, and the rest."""
    at, found = 1, []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", body, at)
        found.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return found, body[at:]
