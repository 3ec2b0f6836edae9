"""keys/FORMAT.md: each vector by this package, and by a second reading of that page written out here."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import keys
from keys import boxes, derive, links, notes, wrap
from keys.datakey import DataKey, ValueKey
from keys.encoding import canonical, lp
from keys.merkle import leaf_hash
from keys.providers.file import FileProvider
from keys.signing import SigningKey, verify_signature

PACKAGE = Path(keys.__file__).parent
hexa = bytes.fromhex


def p(*parts: str | bytes | int) -> bytes:
    """§1, second reading."""
    out = b""
    for part in parts:
        if isinstance(part, int):
            raw = struct.pack(">Q", part)
        else:
            raw = part.encode() if isinstance(part, str) else part
        out += struct.pack(">I", len(raw)) + raw
    return out


def hkdf(secret: bytes, info: bytes, length: int = 32, salt: bytes = bytes(32)) -> bytes:
    """RFC 5869 2.2 and 2.3, second reading; an absent salt is as many zeros as the hash has bytes."""
    key = hmac.new(salt, secret, hashlib.sha256).digest()
    out = block = b""
    while len(out) < length:
        block = hmac.new(key, block + info + bytes((len(out) // 32 + 1,)), hashlib.sha256).digest()
        out += block
    return out[:length]


@pytest.fixture
def randomness(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], None]:
    """Replace the system's randomness by what a vector names; using more or other lengths fails."""

    def replace(values: list[str]) -> None:
        queue = [hexa(value) for value in values]

        def take(length: int) -> bytes:
            value = queue.pop(0)
            assert len(value) == length
            return value

        monkeypatch.setattr(os, "urandom", take)

    return replace


def test_parts(vectors: Any) -> None:
    case = vectors["lp"]
    text, number, raw = case["parts"]
    assert lp(text, number, hexa(raw)) == p(text, number, hexa(raw)) == hexa(case["encoded"])


def test_canonical_json(vectors: Any) -> None:
    case = vectors["canonical"]
    assert canonical(case["value"]) == hexa(case["encoded"])
    assert hexa(case["encoded"]).decode() == '{"a":"é\\n","b":[null,true,-1],"\U0001f600":1,"\ufb33":2}'


def test_shares(vectors: Any) -> None:
    case = vectors["shares"]
    tenant, message, object_id, kind = (case[name] for name in ("tenant", "message", "object_id", "kind"))
    message_key, share = hexa(case["message_key"]), hexa(case["share"])
    s_o = derive.object_share(share, tenant=tenant, message=message, object_id=object_id)
    key = derive.object_key(message_key, s_o, tenant=tenant, message=message, object_id=object_id, kind=kind)
    assert s_o.hex() == case["object_share"]
    assert key.raw().hex() == case["object_key"]
    assert derive.meta_key(share, tenant=tenant, message=message).raw().hex() == case["meta_key"]
    assert key.value_key(case["value_key_label"]).raw().hex() == case["value_key"]
    assert derive.blob_aad(tenant=tenant, object_id=object_id, kind=kind).hex() == case["blob_aad"]

    assert hkdf(share, p("sealgate/share/v1", tenant, message, object_id)) == s_o
    assert hkdf(message_key + s_o, p("sealgate/object/v1", tenant, message, object_id, kind)) == key.raw()
    assert hkdf(share, p("sealgate/meta/v1", tenant, message)).hex() == case["meta_key"]
    assert hkdf(key.raw(), p(case["value_key_label"])).hex() == case["value_key"]
    assert p("sealgate/blob/v1", tenant, object_id, kind).hex() == case["blob_aad"]


def test_object(vectors: Any, randomness: Callable[[list[str]], None]) -> None:
    case = vectors["object"]
    key, aad, header, body = (hexa(case[name]) for name in ("key", "aad", "header", "body"))
    randomness(case["random"])
    sealer = DataKey(key).sealer(aad)
    assert sealer.update(hexa(case["plain"])) + sealer.finish() == body
    assert (sealer.header, sealer.header_tag) == (header, header[42:])
    opener = DataKey(key).opener(aad, header, header[42:])
    assert opener.segment(0, body, final=True) == hexa(case["plain"])

    def expand(secret: bytes, purpose: bytes, length: int) -> bytes:
        info = header[:10] + header[10:42] + purpose + aad
        return hmac.new(secret, info + b"\x01", hashlib.sha384).digest()[:length]

    assert expand(key, b"HEADER_TAG:", 32) == header[42:]
    dek = expand(expand(key, b"MESSAGE_KEY:", 48), b"DEK:" + bytes(8), 32)
    assert body[:4] == struct.pack(">I", len(body))
    assert AESGCM(dek).decrypt(body[4:16], body[16:], bytes(8) + b"\x01") == hexa(case["plain"])


def test_value(vectors: Any, randomness: Callable[[list[str]], None]) -> None:
    case = vectors["value"]
    key, context, value, sealed = (hexa(case[name]) for name in ("key", "context", "value", "sealed"))
    randomness(case["random"])
    assert ValueKey(key).seal(context, value) == sealed
    assert ValueKey(key).open(context, sealed) == value
    assert ValueKey(key).mac(context, value).hex() == case["mac"]

    assert AESGCM(key).decrypt(sealed[1:13], sealed[13:], p("sealgate/value/v1", context)) == value
    mac_key = hkdf(key, p("sealgate/value-mac/v1"))
    assert hmac.new(mac_key, p(context, value), hashlib.sha256).hexdigest() == case["mac"]


def test_wrap(vectors: Any, randomness: Callable[[list[str]], None]) -> None:
    case = vectors["wrap"]
    names = [case[name] for name in ("tenant", "message", "grant", "purpose", "key_version")]
    secret, payload, wrapped = (hexa(case[name]) for name in ("secret", "payload", "wrapped"))
    randomness(case["random"])
    context = wrap.WrapContext(*names)
    assert wrap.wrap(secret, payload, context) == wrapped
    assert wrap.unwrap(secret, wrapped, context) == payload

    both = hkdf(secret, p("sealgate/wrap/v1", 1, 1, p(*names)), 64, salt=wrapped[2:34])
    assert wrapped[:2] == b"\x01\x01"
    assert both[32:] == wrapped[34:66]
    assert AESGCM(both[:32]).decrypt(bytes(12), wrapped[66:], None) == payload


def test_link(vectors: Any) -> None:
    case = vectors["link"]
    secret = hexa(case["secret"])
    assert links.token(case["grant"], secret) == case["token"]
    assert links.parse_token(case["token"]) == links.ParsedToken(case["grant"], secret)
    assert links.printed_code(secret) == case["printed_code"]
    assert links.parse_printed_code(case["printed_code"]) == secret

    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for character in case["token"][12:]:
        number = number * 62 + digits.index(character)
    assert number.to_bytes(16, "big") == secret
    bits = "".join(
        f"{'0123456789ABCDEFGHJKMNPQRSTVWXYZ'.index(character):05b}"
        for character in case["printed_code"].replace("-", "")
    )
    check = "".join(f"{byte:08b}" for byte in hashlib.sha256(b"sealgate/code/v1" + secret).digest())[:10]
    assert bits == "00" + "".join(f"{byte:08b}" for byte in secret) + check


def test_box_and_signature(vectors: Any) -> None:
    case = vectors["box"]
    key = boxes.BoxKey.from_private(hexa(case["private"]))
    assert key.public.hex() == case["public"]
    assert key.open(hexa(case["context"]), hexa(case["boxed"])) == hexa(case["payload"])
    case = vectors["signature"]
    signer = SigningKey.from_bytes(hexa(case["seed"]))
    assert signer.public.hex() == case["public"]
    assert signer.sign(case["label"], *case["parts"]).hex() == case["signature"]
    assert signer.sign_raw(p(case["label"], *case["parts"])).hex() == case["signature"]
    verify_signature(hexa(case["public"]), hexa(case["signature"]), case["label"], *case["parts"])


def test_checkpoint(vectors: Any) -> None:
    case = vectors["checkpoint"]
    signer = SigningKey.from_bytes(hexa(case["seed"]))
    checkpoint = notes.Checkpoint(case["origin"], case["size"], hexa(case["root"]))
    assert checkpoint.root == leaf_hash(b"entry") == hashlib.sha256(b"\x00entry").digest()
    assert notes.sign_note(checkpoint.text(), case["origin"], signer) == case["note"]
    assert notes.vkey(case["origin"], signer.public) == case["vkey"]
    assert notes.parse_checkpoint(notes.open_note(case["note"], notes.parse_vkey(case["vkey"]))) == checkpoint


def test_root_key(vectors: Any, tmp_path: Path, randomness: Callable[[list[str]], None]) -> None:
    case = vectors["root_key"]
    file = tmp_path / "kek"
    file.write_text(f"sealgate-kek-v1 {case['kek']}\n")
    file.chmod(0o400)
    provider = FileProvider.open(file)
    randomness(case["random"])
    context, key, wrapped = (hexa(case[name]) for name in ("context", "key", "wrapped"))
    assert provider.check_value == case["check_value"] == hkdf(hexa(case["kek"]), p("sealgate/kek-check/v1"), 8).hex()
    assert provider.wrap(key, context) == wrapped
    assert provider.unwrap(wrapped, context) == key
    assert AESGCM(hexa(case["kek"])).decrypt(wrapped[1:13], wrapped[13:], p("sealgate/kek/v1", context)) == key


def test_the_page_lists_exactly_the_labels_that_this_code_uses() -> None:
    used: set[str] = set()
    for source in [*PACKAGE.glob("*.py"), *(PACKAGE / "providers").glob("*.py"), PACKAGE / "keyholder/backups.py"]:
        if source.name not in ("client.py", "calling.py"):  # they name what the keyholder signs: keyholder/README.md
            used |= set(re.findall(r'"(sealgate/[a-z-]+/v\d+)"', source.read_text()))
    page = (PACKAGE / "FORMAT.md").read_text()
    listed = set(re.findall(r"^\| `(sealgate/[a-z-]+/v\d+)` \|", page, flags=re.M))
    assert used == listed


def test_the_page_names_every_vector(vectors: Any) -> None:
    page = (PACKAGE / "FORMAT.md").read_text()
    named = {name for group in re.findall(r"^## .*\[(.*)\]$", page, flags=re.M) for name in group.split(", ")}
    assert named == set(vectors) - {"note"}
