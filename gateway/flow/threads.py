"""Message-IDs of our notices, from which an answer to one is known to be about one message.

Promises: nobody can make one up (a MAC under the tenant's index key), none works at another tenant or for another one
than the notice was written to, each is used once; no table remembers them and none is ever a link. Short enough to stay
in one piece on a header line. RFC 5322 3.6.4.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from dataclasses import dataclass

from gateway.share import Directory

_PURPOSE = "notice-id"
_IDS = re.compile(r"<ntc\.([0-9A-Za-z]{16})\.([0-9a-f]{8})\.([a-z2-7]{16})@([^<>@\s]+)>")
_SEVERAL = "0" * 16
_MAC_BYTES = 10
_READ = 10


@dataclass(frozen=True, slots=True)
class Answered:
    """A notice of ours that a mail answers: `about` a message, or "" for a notice about several.

    `sound` only for whom it was written to; otherwise somebody answers another one's notice, or made its id up.
    """

    about: str
    sound: bool


def message_id(directory: Directory, tenant: str, host: str, about: str, to: str) -> str:
    """A fresh Message-ID of a notice to that address about a message (``msg_…``), or about none in particular (empty).

    The address is in the MAC alone, so the id is no longer for it and names nobody.
    """
    id, once = about.removeprefix("msg_") or _SEVERAL, secrets.token_hex(4)
    return f"<ntc.{id}.{once}.{_mac(directory, tenant, id, once, to)}@{host}>"


def answered(directory: Directory, tenant: str, host: str, fields: str, sender: str) -> Answered | None:
    """Which notice that sender answers by In-Reply-To or References; None when none of ours to this tenant."""
    ours = False
    for found in list(_IDS.finditer(fields))[:_READ]:
        id, once, mac, where = found.groups()
        if hmac.compare_digest(mac, _mac(directory, tenant, id, once, sender)):
            return Answered("" if id == _SEVERAL else f"msg_{id}", True)
        ours = ours or where.lower() == host.lower()
    return Answered("", False) if ours else None


def _mac(directory: Directory, tenant: str, id: str, once: str, to: str) -> str:
    value = [id, once, directory.index(tenant, to).hex()]
    return base64.b32encode(directory.keyed(tenant, _PURPOSE, value)[:_MAC_BYTES]).decode().lower()
