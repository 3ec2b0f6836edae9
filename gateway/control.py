"""The gateway's control socket: how commands that write reach a running installation (DESIGN §8).

Promises: the socket is 0600 in the gateway's own folder, so only that user and root can connect; one JSON object a line
each way; a failure is answered with its public text and exit code, never with a traceback.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError, Misconfigured, TryLater
from gateway.logs import Log
from gateway.registry import nearest

log = Log("gateway.control")
Command = Callable[[Mapping[str, Any]], Any]
LINE_LIMIT_BYTES = 1_048_576


class ControlServer:
    """Answers commands in threads of its own."""

    def __init__(self, path: Path, commands: Mapping[str, Command]) -> None:
        self._path = path
        self._commands = commands
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Bind and listen; a socket left by a killed process is replaced."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        previous = os.umask(0o177)
        try:
            self._socket.bind(str(self._path))
        finally:
            os.umask(previous)
        self._socket.listen(8)
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as stream:
            connection.settimeout(120)
            try:
                line = stream.readline(LINE_LIMIT_BYTES)
                if line:
                    stream.write(json.dumps(self._answer(line)).encode() + b"\n")
                    stream.flush()
            except (OSError, ValueError):
                log.warning("control:broken")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            name = str(request["command"])
            if name not in self._commands:
                raise Misconfigured(f"unknown command '{name}': {nearest(name, list(self._commands))}")
            return {"ok": self._commands[name](request.get("arguments") or {})}
        except GatewayError as error:
            return {"error": error.public, "detail": error.detail, "exit_code": error.exit_code}
        except Exception:
            log.exception("control:failed")
            return {"error": GatewayError().public, "detail": "", "exit_code": 70}


class ControlFailed(GatewayError):
    """The running gateway refused this command."""

    def __init__(self, public: str, exit_code: int) -> None:
        super().__init__("refused by the running gateway")
        self._public = public
        self.exit_code = exit_code

    @property
    def public(self) -> str:
        """What the running gateway said."""
        return self._public


def ask(path: Path, command: str, arguments: Mapping[str, Any]) -> Any:
    """Send one command. Raises ControlFailed with the gateway's own words, TryLater when none is running."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(120)
            connection.connect(str(path))
            with connection.makefile("rwb") as stream:
                stream.write(json.dumps({"command": command, "arguments": dict(arguments)}).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
    except (OSError, ValueError) as error:
        raise NotRunning("no answer on the control socket") from error
    if "error" in answer:
        words = answer["error"] + (f" ({answer['detail']})" if answer.get("detail") else "")
        raise ControlFailed(words, int(answer["exit_code"]))
    return answer["ok"]


class NotRunning(TryLater):
    """The gateway is not running, or this user may not reach it. Start it with: sealgate serve"""

    exit_code = 69
