"""Message-IDs of our notices, from which an answer to one is known to be about one message.

Promises: the id in it is sealed under the tenant's directory key, so it says nothing to anybody, nobody can make
one up, and none works at another tenant; no table remembers them and none is ever a link. RFC 5322 3.6.4.
"""

from __future__ import annotations

import base64
import binascii
import re

from gateway.errors import GatewayError
from gateway.share import Directory
from keys.errors import KeysError

_PURPOSE = "notice-id"
_IDS = re.compile(r"<ntc\.([a-z2-7]{60,200})@[^<>@\s]+>", re.IGNORECASE)
_READ = 10
_WIDTH = 24  # whether a notice is about one message does not show in the length of its id


def message_id(directory: Directory, tenant: str, host: str, about: str) -> str:
    """A fresh Message-ID of a notice about that message (``msg_…``), or about none in particular (empty)."""
    sealed = directory.seal(tenant, _PURPOSE, "", (about or "-").ljust(_WIDTH))
    return f"<ntc.{base64.b32encode(sealed).decode().rstrip('=').lower()}@{host}>"


def about(directory: Directory, tenant: str, fields: str) -> str | None:
    """The message that the notice answered by In-Reply-To or References was about; "" for a notice about several.

    None when no notice of ours to this tenant is answered.
    """
    for found in list(_IDS.finditer(fields))[:_READ]:
        text = found[1].upper()
        try:
            sealed = base64.b32decode(text + "=" * (-len(text) % 8))
            opened = directory.open(tenant, _PURPOSE, "", sealed).strip()
        except (binascii.Error, ValueError, KeysError, GatewayError):
            continue
        return "" if opened == "-" else opened
    return None
