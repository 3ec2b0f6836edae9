"""The outer layer: which host was asked, which headers every answer carries, one log line without the path.

Promises: an unknown Host gets 421 and nothing else (RFC 9110 15.5.20); no answer leaves without the security headers;
the log line names the route, never the path, for the path holds link tokens. Clauses: CSP Level 3, RFC 6797,
Referrer Policy, Fetch Metadata.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders

from gateway.logs import Log

log = Log("sealgate.portal")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE_CSP = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "script-src 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
LOOK_CSP = PAGE_CSP.replace("default-src 'none';", "default-src 'none'; img-src 'self';")
PASSKEY_CSP = PAGE_CSP.replace("script-src 'none'", "script-src 'self'")
"""The pages that ask a device for a passkey: one script of ours, which fetches nothing and makes no markup."""
FILE_CSP = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow, noarchive",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
}
_UNLESS_SET = {"content-security-policy": PAGE_CSP, "cache-control": "no-store"}
ROUTE = "sealgate.route"
REQUEST = "sealgate.request"
"""Where a route leaves its pattern and the request's id in the scope, for the log line."""
ANY_HOST = frozenset({"/healthz", "/readyz"})


class Outer:
    """ASGI middleware around the whole portal. `known` tells a Host field's value; `secure` whether it is https."""

    def __init__(self, app: Application, known: Callable[[str], bool], secure: Callable[[str], bool]) -> None:
        self._app = app
        self._known = known
        self._secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        host = hosts[0] if len(hosts) == 1 else ""
        status = 0

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers[name] = value
                for name, value in _UNLESS_SET.items():
                    headers.setdefault(name, value)
                if self._secure(host):
                    headers["strict-transport-security"] = "max-age=63072000"
            await send(message)

        try:
            if not self._known(host) and scope["path"] not in ANY_HOST:
                await _misdirected(guarded)
            else:
                await self._app(scope, receive, guarded)
        finally:
            log.info(
                "portal:request",
                method=scope["method"] if scope["method"] in _METHODS else "other",
                path_kind=scope.get(ROUTE, "none"),
                status=status,
                seconds=round(time.monotonic() - began, 4),
                request=scope.get(REQUEST, ""),
            )


_METHODS = frozenset({"GET", "HEAD", "POST"})


async def _misdirected(send: Send) -> None:
    """Fixed words: without a tenant there is no clinic whose page this could be."""
    body = b"This address is not in use here. Please check the address in your browser.\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body})
