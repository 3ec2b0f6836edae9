"""The sockets: one per role, its peers checked by uid, a thread for each connection; and other machines (`distant`).

Promises: a socket can be reached by its role's group alone and answers only peers whose uid is that role's
(`SO_PEERCRED`); another machine has the role of its certificate, and speaks for its own node alone; whatever else
connects is recorded and gets nothing; an answer is sent only after the commit; errors carry a word, never a detail.
DESIGN §2.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from keys.errors import Denied, Tampered, Unavailable
from keys.keyholder import journal, wire
from keys.keyholder.calls import BadCall
from keys.keyholder.config import BadConfig, KeyholderConfig
from keys.keyholder.distant import Doors, Machine
from keys.keyholder.holder import Holder, NotAllowed

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid
_MOST_CONNECTIONS = 128
"""Of each role: one in wrong hands must not take the others' places."""


class Server:
    """Listens while open. `start` returns once every socket can be reached."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder
        self._config = holder.config
        self._listeners: list[socket.socket] = []
        self._peers: set[socket.socket] = set()
        self._open: Counter[str] = Counter()
        self._busy: set[socket.socket] = set()
        self._guard = threading.Condition()
        self._stopping = False
        self._doors = Doors(holder, self._machine)

    def start(self) -> list[int]:
        """Bind the sockets and accept; ports for other machines. Raises BadConfig when one cannot be had."""
        prepare_directory(self._config)
        for role in self._config.sockets:
            listener = bind(self._config, role)
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(role, listener), name=f"accept-{role}", daemon=True).start()
        return self._doors.start()

    def stop(self, *, seconds: float = 5.0) -> None:
        """Take no more calls, answer those begun, close."""
        self._doors.stop()
        with self._guard:
            self._stopping = True
            for listener in self._listeners:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for peer in self._peers - self._busy:
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
            self._guard.wait_for(lambda: not self._busy, timeout=seconds)
        for role in self._config.sockets:
            with contextlib.suppress(OSError):
                socket_path(self._config, role).unlink()

    def _accept(self, role: str, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                if self._stopping:
                    return
                journal.line("keyholder:accept-failed", role=role)
                threading.Event().wait(0.1)  # out of descriptors: let some connections end
                continue
            if self._entered(role, peer):
                threading.Thread(target=self._serve, args=(role, peer), name=role, daemon=True).start()

    def _entered(self, role: str, peer: socket.socket) -> bool:
        """Note one more connection of that role; False, and it is closed, where there is no place."""
        with self._guard:
            full = self._stopping or self._open[role] >= _MOST_CONNECTIONS
            if not full:
                self._peers.add(peer)
                self._open[role] += 1
        if full:
            peer.close()
        return not full

    def _machine(self, role: str, peer: socket.socket, machine: Machine) -> None:
        if self._entered(role, peer):
            self._serve(role, peer, machine)

    def _serve(self, role: str, peer: socket.socket, machine: Machine | None = None) -> None:
        try:
            if machine is None and not self._admitted(role, peer):
                return
            while (request := wire.receive(peer)) is not None:
                if machine is not None and not self._doors.in_force(machine):
                    journal.line("keyholder:machine-refused", state="not-admitted")
                    peer.sendall(wire.encode({"id": 0, "error": "not-admitted"}))
                    return
                with self._guard:
                    if self._stopping:
                        return
                    self._busy.add(peer)
                try:
                    peer.sendall(self._answer(role, request, machine))
                finally:
                    with self._guard:
                        self._busy.discard(peer)
                        self._guard.notify_all()
        except (OSError, wire.BadFrame):
            pass  # the peer left or speaks something else; what it was answered is committed
        except Exception as error:
            journal.failure("keyholder:connection-failed", error, role=role)
        finally:
            with self._guard:
                self._peers.discard(peer)
                self._open[role] -= 1
            peer.close()

    def _admitted(self, role: str, peer: socket.socket) -> bool:
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, uid, _ = _CREDENTIALS.unpack(raw)
        allowed = self._config.uids.get(role, ()) if self._config.uids else (os.geteuid(), 0)
        if uid in allowed:
            return True
        journal.line("keyholder:stranger", role=role, uid=uid)
        with contextlib.suppress(Exception):
            self._holder.refuse_call(role, f"uid-{uid}")
        return False

    def _answer(self, role: str, request: dict[str, Any], machine: Machine | None) -> bytes:
        answer = self._outcome(role, request, machine)
        try:
            return wire.encode(answer)
        except (wire.BadFrame, ValueError) as error:
            journal.failure("keyholder:answer-too-large", error, role=role)
            return wire.encode({"id": answer["id"], "error": "internal"})

    def _outcome(self, role: str, request: dict[str, Any], machine: Machine | None) -> dict[str, Any]:
        number = request.get("id")
        head = {"id": number if isinstance(number, int) else 0}
        method = request.get("method")
        if set(request) != {"id", "method", "params"} or not isinstance(method, str):
            return head | {"error": "bad-call"}
        try:
            if machine is not None and not _its_own(machine, request["params"]):
                self._holder.refuse_call(role, method)
                raise NotAllowed
            return head | {"ok": self._holder.call(role, method, request["params"])}
        except Denied as denial:
            return head | {"denied": {**denial.data, "reason": denial.reason}}
        except NotAllowed:
            journal.line("keyholder:not-allowed", role=role)
            return head | {"error": "not-allowed"}
        except (BadCall, UnicodeError):
            return head | {"error": "bad-call"}
        except Tampered as error:
            journal.failure("keyholder:tampered", error, role=role)
            return head | {"error": "tampered"}
        except Unavailable as error:
            journal.failure("keyholder:unavailable", error, role=role)
            return head | {"error": "unavailable"}
        except Exception as error:
            journal.failure("keyholder:failed", error, role=role)
            return head | {"error": "internal"}


def _its_own(machine: Machine, params: Any) -> bool:
    """Whether a call speaks for no other node than the certificate's: its epoch keys open its spool. The operator
    speaks for all of them, as on the keyholder's own machine.
    """
    if machine.known.role == "operator" or not isinstance(params, dict):
        return True
    return "node" not in params or params["node"] == machine.known.node


def socket_path(config: KeyholderConfig, role: str) -> Path:
    """Where that role connects."""
    return config.sockets_dir / f"{role}.sock"


def prepare_directory(config: KeyholderConfig) -> None:
    """The directory of the sockets: ours alone, to be passed through by others only where roles are users."""
    if not config.sockets_dir.exists():
        config.sockets_dir.mkdir(parents=True, mode=0o700)
        config.sockets_dir.chmod(0o711 if config.socket_groups else 0o700)
    status = config.sockets_dir.stat()
    if status.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(status.st_mode) & 0o022:
        raise BadConfig(f"{config.sockets_dir}: must belong to the keyholder's user and be writable by no other")


def bind(config: KeyholderConfig, role: str) -> socket.socket:
    """A listening socket of mode 0660 for the role's group, or 0600 for our own user alone."""
    path = socket_path(config, role)
    if path.is_socket():
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        if role in config.socket_groups:
            os.chown(path, -1, config.socket_groups[role])
            path.chmod(0o660)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise BadConfig(f"{path}: this socket cannot be made for its role ({error.strerror})") from error
    return listener
