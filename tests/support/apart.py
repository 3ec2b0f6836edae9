"""A clinic whose keyholder is on another machine, as far as one machine can show it: two configurations, two folders,
two `sealgate serve`, and nothing between them but a TCP port.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from gateway.demo.clinic import READY_SECONDS, Clinic
from gateway.demo.ports import free_port
from tests.support.faulty import Faulty


class Far:
    """The machine of the keyholder alone."""

    def __init__(self, clinic: Clinic, folder: Path) -> None:
        self._clinic = clinic
        self.folder = folder
        self.port = free_port()
        self.config = folder / "far.toml"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "far.log").read_text()

    def start(self, text: str) -> None:
        """From a configuration of the other machine: the same file, with other lines for keyholder and folders."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config.write_text(text)
        self.serve()

    def serve(self) -> None:
        with open(self.folder / "far.log", "ab") as log:
            self.process = subprocess.Popen(
                [*Clinic.program, "serve", *Clinic.options, "--config", str(self.config)],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, env=self._clinic._environ(),
                start_new_session=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            line = self.process.stdout.readline()
            assert line, self.log
            if line.startswith(b"{"):
                assert json.loads(line)["keyholder"] == [f"127.0.0.1:{self.port}"]
                return

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def command(self, *arguments: str) -> str:
        """A `sealgate` command on that machine."""
        environ = self._clinic._environ() | {"SEALGATE_CONFIG": str(self.config)}
        done = Clinic.runner([*Clinic.program, *arguments], stdin="", environ=environ, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


class Way:
    """The network between them: it lets through, falls silent, or answers nonsense in the other machine's place."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._kind = "through"
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def become(self, kind: str) -> None:
        """through, silent or nonsense; connections that are open end."""
        with self._guard:
            self._kind = kind
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def close(self) -> None:
        self.become("nonsense")
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            with self._guard:
                kind = self._kind
                self._open.add(near)
            if kind == "through":
                far = socket.create_connection(("127.0.0.1", self._to))
                with self._guard:
                    self._open.add(far)
                back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
                back.start()
                self._pass(near, far)
                back.join()
                far.close()
            while near.recv(65_536):
                if kind == "nonsense":
                    near.sendall(b"HTTP/1.1 200 OK\r\n\r\n" * 20)
        near.close()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                target.sendall(piece)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Apart(Faulty):
    """The clinic's own machine; `far` is the other one, `way` what lies between them."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.far = Far(self, data.parent / "far")
        self.way = Way(self.far.port)

    def serve(self) -> None:
        if not (self.data / "spool" / "node" / "keyholder").exists():
            self.far.start(self._far())
            self.certified("--operator")
        super().serve()

    def certified(self, *more: str) -> None:
        """Request, answer, acceptance: what a person carries from one machine to the other and back."""
        there, back = self.data / "request.json", self.data / "answer.json"
        asked = json.loads(self.command("keys", "request", str(there), "--single-user", "--json", *more))
        answered = json.loads(self.far.command("keys", "certify", str(there), "--to", str(back), "--json"))
        assert asked["fingerprints"] == answered["fingerprints"]
        self.command("keys", "accept", str(back), "--single-user")

    def stop(self) -> None:
        super().stop()
        self.way.close()
        self.far.stop()

    def _toml(self, sink_port: int) -> str:
        text = super()._toml(sink_port).replace("[keys]\n", f'[keys]\naddress = "127.0.0.1:{self.way.port}"\n')
        return text + '[node]\nkeyholder = "apart"\n'

    def _far(self) -> str:
        text = self.config.read_text().replace(
            f'address = "127.0.0.1:{self.way.port}"', f'listen = "127.0.0.1:{self.far.port}"'
        )
        return text.replace(str(self.data), str(self.far.folder)).replace('"apart"', '"alone"')
