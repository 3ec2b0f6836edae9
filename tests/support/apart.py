"""A clinic whose keyholder is on another machine, as far as one machine can show it: two configurations, two folders,
two `sealgate serve`, and nothing between them but a TCP port.
"""

from __future__ import annotations

import json
import signal
import subprocess
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


class Apart(Faulty):
    """The clinic's own machine; `far` is the other one."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.far = Far(self, data.parent / "far")

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
        self.far.stop()

    def _toml(self, sink_port: int) -> str:
        text = super()._toml(sink_port).replace("[keys]\n", f'[keys]\naddress = "127.0.0.1:{self.far.port}"\n')
        return text + '[node]\nkeyholder = "apart"\n'

    def _far(self) -> str:
        text = self.config.read_text().replace('address = "127.0.0.1:', 'listen = "127.0.0.1:')
        return text.replace(str(self.data), str(self.far.folder)).replace('"apart"', '"alone"')
