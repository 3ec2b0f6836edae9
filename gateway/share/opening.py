"""Three shares put together: a link's secret, its wrap, and what the keyholder released (DESIGN §4).

Promises: the wrap's commitment is the only check of a link secret, with the same work for an unknown grant; a data key
is made from both halves or not at all, and lives only in the value given back.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import Tampered
from keys import errors
from keys.datakey import DataKey, ValueKey
from keys.derive import object_key
from keys.encoding import lp
from keys.inboxes import open_message
from keys.links import parse_printed_code, parse_token, token
from keys.wrap import WrapContext, commitment_holds, unwrap

__all__ = [
    "DataKey",
    "Shown",
    "details_of",
    "link_holds",
    "link_token",
    "message_key",
    "read_link",
    "read_printed",
    "shows_secret",
    "subject_of",
]

_NOBODY = "lnk_000000000000"


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """What a link or a typed code says it is: the grant, and the secret L unless it stands in a cookie."""

    grant: str
    secret: bytes | None


def read_link(text: str) -> Shown | None:
    """The last part of a link's path, forgiving what mail programs do to it; None when it is too short."""
    parsed = parse_token(text)
    return None if parsed is None else Shown(parsed.grant, parsed.secret)


def shows_secret(text: str) -> bool:
    """Whether the last part of a path holds a link secret, right or wrong, and not the grant alone."""
    parsed = parse_token(text)
    return parsed is not None and parsed.secret is not None


def read_printed(text: str) -> bytes | None:
    """L from the printed code; None when its check characters do not hold."""
    return parse_printed_code(text)


def link_holds(secret: bytes, tenant: str, row: Mapping[str, Any] | None) -> bool:
    """Whether this is the secret of that grant of that tenant; the same work when there is no such grant."""
    known = row if row is not None and row["tenant"] == tenant and row["kind"] == "link" else None
    if known is None:
        return commitment_holds(secret, None, WrapContext(tenant, "msg_none", _NOBODY, "link", 1))
    return commitment_holds(secret, known["wrap"], _context(known))


def message_key(secret: bytes, row: Mapping[str, Any]) -> bytes:
    """MK from the grant's wrap and what opens it: L of a link, the private half of an inbox.

    Raises Tampered when it does not open although that was checked.
    """
    try:
        if row["kind"] == "inbox":
            return open_message(
                secret, row["wrap"], tenant=row["tenant"], message=row["message"], grant=row["id"],
                person=row["person"], inbox=row["inbox"],
            )  # fmt: skip
        return unwrap(secret, row["wrap"], _context(row))
    except errors.KeysError as error:
        raise Tampered("a wrap does not open") from error


def key_of_object(mk: bytes, share: str, row: Mapping[str, Any]) -> DataKey:
    """The data key of one object, from MK and the share as the keyholder gave it (base64)."""
    return object_key(
        mk, base64.b64decode(share), tenant=row["tenant"], message=row["message"], object_id=row["id"], kind=row["kind"]
    )


def subject_of(key: str, row: Mapping[str, Any]) -> dict[str, str]:
    """`subject`, `from`, `from_name` of a message, opened with its released meta key (base64). Raises Tampered."""
    found = _opened(key, lp("sealgate/msgmeta/v1", row["tenant"], row["id"]), row["meta"])
    return {name: str(found.get(name) or "") for name in ("subject", "from", "from_name")}


def details_of(key: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """`name`, `type`, `bytes` of an object, opened with the message's released meta key (base64). Raises Tampered."""
    found = _opened(key, lp("sealgate/objmeta/v1", row["tenant"], row["message"], row["id"]), row["meta"])
    return {
        "name": str(found.get("name") or ""),
        "type": str(found.get("type") or ""),
        "bytes": int(found.get("bytes") or 0),
    }


def inner_details_of(key: DataKey, row: Mapping[str, Any]) -> dict[str, Any]:
    """As `details_of`, from the copy under the object's own key: the true name. Raises Tampered."""
    context = lp(row["tenant"], row["id"], row["header_tag"])
    return _json(lambda: key.value_key("sealgate/inner/v1").open(context, row["inner_meta"]))


def _opened(key: str, context: bytes, sealed: bytes) -> dict[str, Any]:
    return _json(lambda: ValueKey(base64.b64decode(key)).open(context, sealed))


def _json(open_it: Any) -> dict[str, Any]:
    try:
        found = json.loads(open_it())
    except (errors.Tampered, ValueError) as error:
        raise Tampered("sealed metadata does not open") from error
    if not isinstance(found, dict):
        raise Tampered("sealed metadata has another form")
    return found


def _context(row: Mapping[str, Any]) -> WrapContext:
    return WrapContext(row["tenant"], row["message"], row["id"], "link", 1)


def link_token(grant: str, secret: bytes) -> str:
    """The last part of a link's path."""
    return token(grant, secret)
