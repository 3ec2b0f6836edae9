"""Message-IDs of our notices, from which an answer to one is known to be about one message.

Promises: nobody can make one up (a MAC under the tenant's index key), none works at another tenant, each is used once;
no table remembers them and none is ever a link. Short enough to stay in one piece on a header line. RFC 5322 3.6.4.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets

from gateway.share import Directory

_PURPOSE = "notice-id"
_IDS = re.compile(r"<ntc\.([0-9A-Za-z]{16})\.([0-9a-f]{8})\.([a-z2-7]{16})@[^<>@\s]+>")
_SEVERAL = "0" * 16
_MAC_BYTES = 10
_READ = 10


def message_id(directory: Directory, tenant: str, host: str, about: str) -> str:
    """A fresh Message-ID of a notice about that message (``msg_…``), or about none in particular (empty)."""
    id, once = about.removeprefix("msg_") or _SEVERAL, secrets.token_hex(4)
    return f"<ntc.{id}.{once}.{_mac(directory, tenant, id, once)}@{host}>"


def about(directory: Directory, tenant: str, fields: str) -> str | None:
    """The message that the notice answered by In-Reply-To or References was about; "" for a notice about several.

    None when no notice of ours to this tenant is answered.
    """
    for found in list(_IDS.finditer(fields))[:_READ]:
        id, once, mac = found.groups()
        if hmac.compare_digest(mac, _mac(directory, tenant, id, once)):
            return "" if id == _SEVERAL else f"msg_{id}"
    return None


def _mac(directory: Directory, tenant: str, id: str, once: str) -> str:
    return base64.b32encode(directory.keyed(tenant, _PURPOSE, [id, once])[:_MAC_BYTES]).decode().lower()
