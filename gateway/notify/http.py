"""Text messages through a service of the operator's: one POST with a JSON body and a bearer token.

Body: `{"to": "+15550100199", "text": "…"}`; `Idempotency-Key` is the text's reference. 2xx: taken. 408, 425, 429 and
5xx, and every trouble on the line: try later. All else, redirections included, is a refusal: a code never follows a
service to another host. No proxy of the environment is used. The answer's body is not read.
"""

from __future__ import annotations

import http.client
import json
import ssl
from urllib.parse import urlsplit

from gateway.errors import Misconfigured, Refused, TryLater
from gateway.logs import Log
from gateway.notify.port import SENDERS
from gateway.sensitive import Sensitive
from gateway.settings import Notify

_TIMEOUT_SECONDS = 10.0
_TRY_LATER = frozenset({408, 425, 429})
_log = Log("gateway.notify")


@SENDERS.register("http")
class HttpSender:
    """Posts to `[notify] sms_url`."""

    def __init__(self, settings: Notify) -> None:
        if not settings.sms_url:
            raise Misconfigured("[notify] sms_url is missing")
        parts = urlsplit(settings.sms_url)
        self._host, self._port = parts.hostname or "", parts.port
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._token = settings.sms_token_file.read() if settings.sms_token_file else None

    def send(self, number: Sensitive[str], text: Sensitive[str], reference: str = "") -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "sealgate"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        if reference:
            headers["Idempotency-Key"] = reference
        body = json.dumps({"text": text.reveal(), "to": number.reveal()}).encode()
        connection = self._connection()
        try:
            connection.request("POST", self._target, body, headers)
            status = connection.getresponse().status
        except (
            OSError,
            http.client.HTTPException,
            ValueError,
        ):  # without its cause, whose text may quote what was sent
            _log.warning("text:unreachable")
            raise TryLater("the text message service cannot be reached") from None
        finally:
            connection.close()
        if status // 100 == 2:
            return
        _log.warning("text:refused", status=status)
        if status // 100 == 5 or status in _TRY_LATER:
            raise TryLater(f"the text message service answered {status}")
        raise Refused(f"the text message service answered {status}")

    def _connection(self) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS, context=self._context)
