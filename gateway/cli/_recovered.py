"""Messages put together where the kit is: what the gateway released, and the private half that it never sees.

Promises: a folder for each message, 0700, its files 0600 and new; a message counts as opened only when all of it is
there and verified, which its last file says, and is then left as it is when the command is run again; what breaks in
between is opened anew beside it. Names from the message are never taken as paths.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli._running import control
from gateway.clock import from_us
from gateway.errors import Misconfigured, Tampered
from gateway.flow.proved import make_proof
from gateway.share.opening import inner_details_of, key_of_object, subject_of
from gateway.vault import Vault
from keys import recovery
from keys.boxes import BoxKey
from keys.errors import KeysError, WrongSecret
from keys.links import new_link_secret, printed_code, token
from keys.wrap import WrapContext, wrap

if TYPE_CHECKING:
    from gateway.settings import Settings

DONE = "message.json"
"""The last file that is written of a message."""
_NAME_CHARACTERS = 100


class Opener:
    """Opens messages of one act, one after the other. `opened` and `kept` count them."""

    def __init__(self, settings: Settings, private: BoxKey, act: str, machine: str) -> None:
        self._settings = settings
        self._private = private
        self._act = act
        self._machine = machine
        self._vault = Vault.at(settings.vault.url)
        self.opened = self.kept = 0

    def open(self, message: str, into: Path) -> str:
        """One message into a folder of its name; the line that proves it, or nothing if it was there before.

        Raises what the gateway refused, Tampered, Misconfigured for another kit.
        """
        if not message.isascii() or not message.replace("_", "").isalnum():
            raise Misconfigured(f"'{message[:40]}' is no id of a message")
        place = into / message
        if (place / DONE).is_file():
            self.kept += 1
            return ""
        for left in into.glob(f".{message}.*"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        given = released(self._settings, self._act, message)
        mk, proof = _proved(self._private, given)
        beside = into / f".{message}.{secrets.token_hex(4)}"
        os.mkdir(beside, 0o700)
        try:
            names = [self._object(mk, given, one, beside) for one in given["objects"]]
            _write_text(beside / DONE, json.dumps(_about(given, names), indent=2, ensure_ascii=False) + "\n")
            beside.rename(place)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        self.opened += 1
        return make_proof(message, proof, given["node"], self._machine).text()

    def _object(self, mk: bytes, given: Mapping[str, Any], one: Mapping[str, Any], into: Path) -> dict[str, Any]:
        row = _row(given, one)
        if not one["blob"]:
            raise Misconfigured(f"{given['message']}: what it held was destroyed")
        key = key_of_object(mk, one["share"], row)
        about = inner_details_of(key, row)
        name = f"{one['position'] + 1:02d}-{_plain(str(about.get('name') or ''), one['kind'])}"
        with (
            self._vault.open(
                key, tenant=row["tenant"], object_id=row["id"], kind=row["kind"], blob=row["blob"],
                header_tag=row["header_tag"], sealed_bytes=row["sealed_bytes"],
            ) as reader,
            _new(into / name) as file,
        ):  # fmt: skip
            size = 0
            for piece in reader.read():
                size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        return {
            "file": name, "object": row["id"], "kind": row["kind"], "name": str(about.get("name") or ""),
            "type": str(about.get("type") or ""), "bytes": size,
        }  # fmt: skip


def released(settings: Settings, act: str, message: str) -> dict[str, Any]:
    """What the gateway gives of one message for this act."""
    given = {"tenant": settings.tenant.name, "act": act, "message": message}
    return dict(control(settings, "recovery.open", given))


def message_key(settings: Settings, private: BoxKey, message: str) -> tuple[bytes, str]:
    """MK of a message, which opens nothing without its shares, and the tenant. Raises Misconfigured for another kit."""
    given = dict(control(settings, "recovery.grant", {"tenant": settings.tenant.name, "message": message}))
    return _unsealed(private, given), str(given["tenant"])


def _proved(private: BoxKey, given: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """MK and the proof that it was opened. Raises Misconfigured for another kit, Tampered."""
    mk = _unsealed(private, given)
    share = base64.b64decode(given["objects"][0]["share"]) if given["objects"] else b""
    proof = recovery.proof_of(mk, share, recovery.Place(given["tenant"], given["message"], given["grant"]))
    if not recovery.proves(base64.b64decode(given["wrap"]), proof):
        raise Tampered("a recovery grant is not of this message")
    return mk, proof


def _unsealed(private: BoxKey, given: Mapping[str, Any]) -> bytes:
    sealed = base64.b64decode(given["wrap"])
    try:
        return recovery.unseal(private, sealed, recovery.Place(given["tenant"], given["message"], given["grant"]))
    except WrongSecret as error:
        raise Misconfigured(
            f"{given['message']}: it was sealed to {recovery.sealed_for(sealed)}, and this kit is of "
            f"{recovery.key_id(private.public)}: look for the older kit"
        ) from error
    except KeysError as error:
        raise Tampered("a recovery grant does not open") from error


def new_link(settings: Settings, tenant: str, mk: bytes, act: str, message: str) -> dict[str, Any]:
    """A new link for a recipient, wrapped here: ``grant``, ``old``. Its secret leaves with the mail alone."""
    grant, secret = "lnk_" + _base62(12), new_link_secret()
    wrapped = wrap(secret, mk, WrapContext(tenant, message, grant, "link", 1))
    wanted = {
        "tenant": settings.tenant.name, "act": act, "grant": grant, "token": token(grant, secret),
        "code": printed_code(secret), "wrap": base64.b64encode(wrapped).decode("ascii"),
    }  # fmt: skip
    return dict(control(settings, "recovery.relink", wanted))


def _row(given: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    """As a row of `objects`."""
    return {
        "tenant": given["tenant"], "message": given["message"], "id": one["id"], "kind": one["kind"],
        "blob": one["blob"], "header_tag": base64.b64decode(one["header_tag"]), "sealed_bytes": one["sealed_bytes"],
        "inner_meta": base64.b64decode(one["inner_meta"]),
    }  # fmt: skip


def _about(given: Mapping[str, Any], files: list[dict[str, Any]]) -> dict[str, Any]:
    meta = {}
    if given["meta"]:
        row = {"tenant": given["tenant"], "id": given["message"], "meta": base64.b64decode(given["meta"])}
        meta = subject_of(given["meta_key"], row)
    return {
        "message": given["message"], "reference": given["reference"],
        "received": from_us(given["received_us"]).isoformat(), "from": given["sender"], "to": given["to"],
        "subject": meta.get("subject", ""), "files": files,
    }  # fmt: skip


def _plain(name: str, kind: str) -> str:
    """A name of a message as the end of a file's name: no separator, nothing that does not show, not too long."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(one if unicodedata.category(one)[0] not in "CZ" or one == " " else "_" for one in name).strip(" .")
    if kept:
        return kept.encode("utf-8")[:_NAME_CHARACTERS].decode("utf-8", "ignore") if len(kept) > 1 else f"{kind}-{kept}"
    return f"{kind}.json" if kind == "body" else kind


def _base62(width: int) -> str:
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(width))


@contextlib.contextmanager
def _new(path: Path) -> Any:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _write_text(path: Path, text: str) -> None:
    with _new(path) as file:
        file.write(text.encode("utf-8"))
