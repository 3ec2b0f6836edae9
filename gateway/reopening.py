"""What is lost of the log is given up: asked for while the gateway is stopped, done by its next start, once.

`sealgate audit reopen` leaves a note in a folder that no role can write to; `serve`, which may speak to the keyholder
as the operator, has the logs that end before what was signed go on under a new origin, and takes the note away. The
worker writes into each log what was given up (`flow/reopening.py`). Promises: a log that is not behind is left as it
is; the keyholder signs no smaller tree under any name. DESIGN §5 (restore guard); decision 0056.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.settings import Settings
from keys.client import OperatorClient
from keys.errors import Denied

NAME = "reopen.json"
REASONS = ("database-lost", "database-damaged", "set-back")


def ask(settings: Settings, reason: str) -> None:
    """Leave the note for the next start. Raises Misconfigured."""
    if settings.node.keyholder != "own":
        raise Misconfigured('[node] keyholder is "shared": ask for it on the node that runs the keyholder')
    path = settings.node_directory / NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps({"reason": reason}) + "\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}; is this installation set up?") from error


def carry_out(settings: Settings, operator: OperatorClient) -> None:
    """What the note asks for, where there is one; what was done is printed. Raises Misconfigured, KeysError."""
    path = settings.node_directory / NAME
    reason = _asked(path)
    if reason is None:
        return
    from gateway.audit.event import SYSTEM  # a start without a note needs no database
    from gateway.audit.log import AuditLog
    from gateway.clock import SystemClock
    from gateway.store.database import Store

    store = Store.open(settings.store.url, writing=False)
    try:
        audit = AuditLog(store, settings.node.name, SystemClock())
        for log in (*sorted(operator.status()["tenants"]), SYSTEM):
            size, root = audit.head(log)
            last = operator.last_checkpoint(log)
            if last is None or size >= int(last["size"]):
                continue
            try:
                made = operator.new_origin(log, size, root, reason)
            except Denied as denied:
                raise Misconfigured(f"log {log}: the keyholder gives it no new origin: {denied.reason}") from denied
            lost = f"entries {size} to {int(last['size']) - 1}"
            print(
                f"sealgate: log {log}: {lost} were signed and are lost; it goes on as {made['origin']}", file=sys.stderr
            )
    finally:
        store.close()
    path.unlink()


def _asked(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text())["reason"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Misconfigured(f"{path} cannot be read: remove it, or ask again with sealgate audit reopen") from error
