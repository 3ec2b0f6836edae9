"""A double of Vault's Transit engine: the three calls that we make, answered as its HTTP API documents them.

It is not Vault: paths, fields and statuses are those of the API's documentation (`/transit/keys/:name`,
`/transit/encrypt/:name`, `/transit/decrypt/:name`); what a real server does beyond is not shown by it.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


@dataclass
class Vault:
    """What it holds; `sealed`, `silent` and `garbage` are its ways of being down."""

    token: str = "hvs.a-token-of-the-test"
    keys: dict[str, list[bytes]] = field(default_factory=dict)
    sealed: bool = False
    garbage: bool = False
    calls: int = 0
    server: ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def start(self) -> None:
        """Listen on a port of the system's choice, in a thread."""
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._do({})

            def do_POST(self) -> None:
                self._do(json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}"))

            do_PUT = do_POST

            def _do(self, given: dict[str, Any]) -> None:
                status, answer = vault.answer(self.path, self.headers.get("X-Vault-Token", ""), given)
                body = b"<html>not what was asked" if vault.garbage else json.dumps(answer).encode()
                self.send_response(200 if vault.garbage else status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        assert self.server is not None
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path: str, token: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        self.calls += 1
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": ["permission denied"]}
        _, version, mount, what, name = (path.split("/") + [""] * 5)[:5]
        if (version, mount) != ("v1", "transit") or name not in self.keys:
            return 404, {"errors": []}
        versions = self.keys[name]
        if what == "keys":
            dates = {str(n): 1 for n in range(1, len(versions) + 1)}
            return 200, {"data": {"type": "aes256-gcm96", "derived": False, "keys": dates, "name": name}}
        data = base64.b64decode(given.get("associated_data") or "")
        if what == "encrypt":
            nonce = os.urandom(12)
            sealed = nonce + AESGCM(versions[-1]).encrypt(nonce, base64.b64decode(given["plaintext"]), data)
            return 200, {"data": {"ciphertext": f"vault:v{len(versions)}:{base64.b64encode(sealed).decode()}"}}
        try:
            _, number, text = given["ciphertext"].split(":")
            raw = base64.b64decode(text, validate=True)
            plain = AESGCM(versions[int(number[1:]) - 1]).decrypt(raw[:12], raw[12:], data)
        except (InvalidTag, ValueError, IndexError):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plain).decode()}}

    def make(self, name: str) -> None:
        """``vault write -f transit/keys/NAME type=aes256-gcm96``."""
        self.keys[name] = [os.urandom(32)]

    def rotate(self, name: str) -> None:
        """A further version, as Vault's own rotation makes it."""
        self.keys[name].append(os.urandom(32))
