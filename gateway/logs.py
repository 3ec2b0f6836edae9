"""One line of JSON per log record, with keys from a list and nothing else.

Promises: no message text, address, file name, subject, token or code reaches a log: a record holds a fixed event name
and values under known keys; a record of a foreign library keeps its logger and level, never its words; tracebacks
name files, lines and exception classes, not their texts or locals.
Clauses: 45 CFR 164.312(b); aiosmtpd logs message lines at DEBUG and addresses at INFO, so `mail.*` is capped.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

KEYS = frozenset(
    [
        "role",
        "node",
        "tenant",
        "queue",
        "message",
        "object",
        "grant",
        "delivery",
        "person",
        "user",
        "request",
        "event",
        "outcome",
        "reason",
        "code",
        "enhanced",
        "count",
        "bytes",
        "seconds",
        "attempt",
        "port",
        "path_kind",
        "method",
        "status",
        "pid",
        "signal",
        "version",
        "size",
        "origin",
        "check",
        "kind",
        "state",
        "epoch",
        "step",
        "listener",
        "host_port",
        "setting",
        "serial",
        "error",
        "remote",
        "part",
        "rule",
        "policy",
    ]
)
_LINE = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_OURS = ("gateway", "keys", "sealgate")


class JsonLines(logging.Formatter):
    """A record as one JSON line; `extra={"data": {...}}` carries the values."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if record.name.split(".")[0] in _OURS and isinstance(record.msg, str) and not record.args:
            line["event"] = record.msg
            for key, value in (getattr(record, "data", None) or {}).items():
                line[key] = (
                    value if key in KEYS and isinstance(value, (str, int, float, bool, type(None))) else "«redacted»"
                )
        else:
            line["event"] = "foreign"
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])[-4:]
            line["exception"] = record.exc_info[0].__name__
            line["at"] = [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno}" for frame in frames]
        return _LINE.encode(line)


class Log:
    """`log.info("spool:committed", queue=…, bytes=…)`: a fixed event and values under known keys."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **data: object) -> None:
        self._logger.debug(event, extra={"data": data})

    def info(self, event: str, **data: object) -> None:
        self._logger.info(event, extra={"data": data})

    def warning(self, event: str, **data: object) -> None:
        self._logger.warning(event, extra={"data": data})

    def error(self, event: str, **data: object) -> None:
        self._logger.error(event, extra={"data": data})

    def exception(self, event: str, **data: object) -> None:
        """Inside an except block: class and lines of the exception, never its text."""
        self._logger.error(event, extra={"data": data}, exc_info=True)


def set_up(level: str = "INFO") -> None:
    """Send everything to standard error as JSON lines; cap the loggers that print mail or addresses."""
    # What no line of ours shows is not looked up either (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in (
        "mail",
        "mail.log",
        "mail.debug",
        "mail.error",
        "uvicorn",
        "uvicorn.error",
        "uvicorn.access",
        "asyncio",
        "sqlalchemy",
        "python_multipart",
        "multipart",
        "pydicom",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
    Log("gateway.logs").debug("log:verbose", pid=os.getpid())
