"""Commands of `sealgate` without the interpreter's start: a process that has imported them makes a child for each.

The suite runs hundreds of commands, and most of a command's time is Python's own start and its imports. Each still is a
process of its own, with its own arguments, environment and three standard streams, and runs what the program runs.
Only what Clinic would start as this very interpreter is run so; a drill that names another program, or another user,
has that started.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.demo.clinic import Clinic, started

ROOT = Path(__file__).resolve().parents[2]
_BEFOREHAND = (
    "gateway.accounts.people_list",
    "gateway.cli._live",
    "gateway.cli._running",
    "gateway.control",
    "keys.client",
    "zxcvbn",
)
"""What commands import only when they run."""

_REQUEST_BYTES = 1_048_576
_MODULE = ("-m", "gateway")
_START = "import sys; sys.path.append(sys.argv[1]); from tests.support import warm; warm.serve(sys.argv[2])"


def run(
    command: Sequence[str], *, stdin: str, environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with captured text. Raises TimeoutExpired."""
    program = Clinic.program
    if tuple(command[: len(program)]) != program:
        return started(command, stdin=stdin, environ=environ, timeout=timeout)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        request = {"arguments": command[len(program) :], "environ": dict(environ), "folder": os.getcwd()}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout)
            line.connect(_warm())
            numbers = array.array("i", [one.fileno() for one in (given, out, err)])
            whole = json.dumps(request).encode() + b"\n"
            sent = line.sendmsg([whole], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
            line.sendall(whole[sent:])
            with line.makefile("rb") as answer:
                child = int(answer.readline())
                try:
                    status = int(answer.readline())
                except TimeoutError:
                    os.kill(child, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, timeout) from None
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
        return subprocess.CompletedProcess(command, status, *texts)


_lock = threading.Lock()
_address: tuple[int, str] | None = None
_kept: list[subprocess.Popen[bytes]] = []


def _warm() -> str:
    """The address of this process's own one; started when first needed, ended with this process."""
    global _address
    with _lock:
        if _address is None or _address[0] != os.getpid():
            address = f"\0sealgate-tests-{os.getpid()}-{os.urandom(8).hex()}"
            process = subprocess.Popen(
                [*Clinic.program[: -len(_MODULE)], "-c", _START, str(ROOT), address[1:]],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            _kept.append(process)  # with the pipe whose end, at ours, is its end
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            _address = (os.getpid(), address)
        return _address[1]


def serve(address: str) -> None:
    """Answer until standard input ends. One thread only: what is forked from it is whole."""
    from gateway import cli

    for name in cli.command_names():
        cli.command(name)
    for module in _BEFOREHAND:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # or each child would copy what it only looks through for garbage
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind("\0" + address)
        door.listen(64)
        print("ready", flush=True)
        while True:
            if sys.stdin in select.select([door, sys.stdin], [], [])[0]:
                return
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _attend(line)
            line.close()


def _attend(line: socket.socket) -> None:
    """In a process of its own: run one command in another, and say how it ended."""
    status = 70
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        text, numbers, _, _ = socket.recv_fds(line, _REQUEST_BYTES, 3)
        while not text.endswith(b"\n"):
            text += line.recv(_REQUEST_BYTES)
        child = os.fork()
        if child == 0:
            line.close()
            _become(json.loads(text), numbers)
        line.sendall(b"%d\n" % child)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        line.sendall(b"%d\n" % status)
        os._exit(0)


def _become(request: dict[str, object], numbers: list[int]) -> None:
    """The command itself, ended as Python ends a program. Never returns."""
    status = 70
    try:
        for number, target in zip(numbers, (0, 1, 2), strict=True):
            os.dup2(number, target)
            os.close(number)
        os.chdir(str(request["folder"]))
        environ, arguments = request["environ"], request["arguments"]
        assert isinstance(environ, dict)
        assert isinstance(arguments, list)
        os.environ.clear()
        os.environ.update(environ)
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, encoding="utf-8", errors=errors)  # noqa: SIM115 - the process's own, to its end
            for number, mode, errors in ((0, "r", "strict"), (1, "w", "strict"), (2, "w", "backslashreplace"))
        )
        from gateway.cli import main

        status = main([str(one) for one in arguments])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
