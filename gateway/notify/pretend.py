"""The demo's phone: a file with one JSON object a line, readable by its owner alone.

For loopback demonstrations and tests. The file holds codes in clear, which is why nobody else may read it.
"""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path

from gateway.errors import Misconfigured, TryLater
from gateway.notify.port import SENDERS
from gateway.sensitive import Sensitive
from gateway.settings import Notify


@SENDERS.register("pretend")
class PretendPhone:
    """Appends `{"at_us", "reference", "text", "to"}`."""

    def __init__(self, settings: Notify) -> None:
        if settings.pretend_file is None:
            raise Misconfigured("[notify] pretend_file is missing")
        self._path: Path = settings.pretend_file
        self._lock = threading.Lock()

    def send(self, number: Sensitive[str], text: Sensitive[str], reference: str = "") -> None:
        entry = {"at_us": time.time_ns() // 1000, "reference": reference, "text": text.reveal(), "to": number.reveal()}
        line = json.dumps(entry, ensure_ascii=True, sort_keys=True).encode() + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with self._lock:
                descriptor = os.open(self._path, flags, 0o600)
                try:
                    if os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                        os.fchmod(descriptor, 0o600)
                    os.write(descriptor, line)  # one write under O_APPEND, so that a reader sees whole lines
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise TryLater("the pretend phone's file cannot be written") from error
