"""Cookies: their names, and the one way they are set.

Promises: every cookie is HttpOnly, SameSite=Lax (Strict would lose it when arriving from a mail link), Path=/, without
Domain; `__Host-` and Secure except for http on loopback (RFC 6265bis 4.1.3.2, DESIGN §8). Values are random or a link
secret; ids stand in names so that two messages can be open in one browser.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from starlette.responses import Response

DEVICE_SECONDS = 90 * 86_400
LINKS_KEPT = 8
SECRET_BYTES = 16
TOKEN_BYTES = 32

VISITOR = "visitor"
STAFF = "staff"
LINK = "link-"
SESSION = "session-"
DEVICE = "device-"
INBOX = "inbox"
INBOX_KEY = "inbox-key"
"""The private half of an inbox's key, sealed under a key that ends with the session of the cookie beside it."""
SEALED_BYTES = 114
WANTED = "wanted"
WANTED_SECONDS = 900
_PAGE = re.compile(r"/(?:staff|audit)(?:/(?:[a-z-]{1,20}|[a-z]{3}_[0-9A-Za-z]{1,40}|[0-9]{1,17})){0,4}", re.ASCII)


def short(identifier: str) -> str:
    """An id without its prefix, for use in a cookie's name."""
    return identifier.rpartition("_")[2]


def encode(value: bytes) -> str:
    """Bytes as a cookie value: base64url without padding (RFC 4648 5)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str, length: int) -> bytes | None:
    """The bytes of a cookie value, or None unless it is exactly that long."""
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        return None
    return value if len(value) == length else None


class Jar:
    """The cookies of one request, and the changes that go with its answer."""

    def __init__(self, given: Mapping[str, str], *, secure: bool) -> None:
        self._given = given
        self._secure = secure
        self._prefix = "__Host-" if secure else ""
        self._changes: dict[str, tuple[str, int | None]] = {}

    def get(self, name: str) -> str:
        """The value as the browser sent it, or empty."""
        return self._given.get(self._prefix + name, "")

    def set(self, name: str, value: str, seconds: int | None = None) -> None:
        """Set it with the answer; without `seconds` the browser forgets it when it is closed."""
        self._changes[name] = (value, seconds)

    def drop(self, name: str) -> None:
        """Have the browser forget it."""
        self._changes[name] = ("", 0)

    def links(self) -> dict[str, bytes]:
        """Link secrets by grant id, from their cookies."""
        found = {}
        for full, value in self._given.items():
            if full.startswith(self._prefix + LINK):
                secret = decode(value, SECRET_BYTES)
                if secret is not None:
                    found["lnk_" + full[len(self._prefix + LINK) :]] = secret
        return found

    def keep_link(self, grant: str, secret: bytes, seconds: int | None = None) -> None:
        """Keep L for this grant; the oldest others make room, for header fields have limits."""
        others = [name for name in self.links() if name != grant]
        for old in others[: max(0, len(others) + 1 - LINKS_KEPT)]:
            self.drop(LINK + short(old))
            self.drop(SESSION + short(old))
        self.set(LINK + short(grant), encode(secret), seconds)

    def visitor(self) -> str:
        """The value that binds a text code and the form token to this browser; made when there is none."""
        known = self.get(VISITOR)
        if decode(known, TOKEN_BYTES) is None:
            known = encode(secrets.token_bytes(TOKEN_BYTES))
            self._given = {**self._given, self._prefix + VISITOR: known}
            self.set(VISITOR, known)
        return known

    def has_visitor(self) -> bool:
        """Whether this browser brought its visitor cookie along."""
        return VISITOR not in self._changes and decode(self.get(VISITOR), TOKEN_BYTES) is not None

    def want(self, path: str) -> None:
        """Keep the staff page that somebody came for, until they have signed in."""
        if _PAGE.fullmatch(path):
            self.set(WANTED, encode(path.encode()), WANTED_SECONDS)

    def wanted(self) -> str:
        """The page to go to after signing in, which is forgotten; `/staff` when there is none."""
        kept = self.get(WANTED)
        if not kept:
            return "/staff"
        self.drop(WANTED)
        try:
            path = base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4)).decode("ascii")
        except (ValueError, binascii.Error):
            return "/staff"
        # A cookie can be planted by who controls another host of the domain: only pages of ours are gone to.
        return path if _PAGE.fullmatch(path) else "/staff"

    def write(self, response: Response) -> None:
        """Put the changes on the answer."""
        for name, (value, seconds) in self._changes.items():
            response.set_cookie(
                self._prefix + name,
                value,
                max_age=seconds,
                path="/",
                secure=self._secure,
                httponly=True,
                samesite="lax",
            )


def form_token(visitor: str, handle: str) -> str:
    """The token of a form: bound to browser and session, and useless for finding either."""
    mac = hmac.digest(visitor.encode(), b"sealgate/form/v1\x00" + handle.encode(), hashlib.sha256)
    return encode(mac)


def form_token_holds(token: str, visitor: str, handle: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(token.encode(), form_token(visitor, handle).encode())
