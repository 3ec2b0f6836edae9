"""`sealgate demo` for a person: brings everything up, sends the five messages, prints what to click, waits for Ctrl-C.

Promises: loopback only, one private folder, removed at the end unless it was to be kept; a machine with a real
installation is refused; every process started here has ended before this returns.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from gateway.demo.outside import Outside
from gateway.demo.ports import choose
from gateway.demo.visitor import Visitor
from gateway.errors import Misconfigured

SMTP_PORT, WEB_PORT, PAGES_PORT = 2525, 8080, 8090
PRODUCTION = Path("/etc/sealgate")
PATH_CHARACTERS = 72  # the keyholder's sockets lie below it, and a socket's path has at most 107 (unix(7))
ROOM_BYTES = 256 * 1024 * 1024
SCANNER = "Mozilla/5.0 (compatible; MailScanner/1.0; link check)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asked for; None and empty mean the usual."""

    data: Path | None = None
    keep: bool = False
    smtp_port: int | None = None
    web_port: int | None = None


def refuse_production(environ: Mapping[str, str], folder: Path = PRODUCTION) -> None:
    """Raises Misconfigured where a real installation is configured: a demo beside it invites mistakes."""
    if environ.get("SEALGATE_CONFIG"):
        raise Misconfigured(
            "SEALGATE_CONFIG is set, so this machine has a real gateway; the demo does not run beside it"
        )
    try:
        found = sorted(folder.glob("*.toml"))
    except OSError:
        found = []
    if found:
        raise Misconfigured(f"{found[0]} exists, so this machine has a real gateway; the demo does not run beside it")


@contextmanager
def folder(wanted: Wanted) -> Iterator[Path]:
    """A private folder for everything; removed afterwards unless it was named or is to be kept."""
    if wanted.data is None:
        path = Path(tempfile.mkdtemp(prefix="sealgate-demo-", dir=_base(os.environ.get("XDG_RUNTIME_DIR", ""))))
    else:
        path = wanted.data.absolute()
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise Misconfigured(f"--data {path}: must be absent or an empty folder; the demo makes everything anew")
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    try:
        if len(str(path)) > PATH_CHARACTERS:
            raise Misconfigured(
                f"{path}: too long for the sockets in it; use --data with at most {PATH_CHARACTERS} letters"
            )
        yield path
    finally:
        if wanted.data is None and not wanted.keep:
            shutil.rmtree(path, ignore_errors=True)


def demo(wanted: Wanted, environ: Mapping[str, str]) -> int:
    """Run until Ctrl-C or SIGTERM; the exit status."""
    refuse_production(environ)
    smtp_port, smtp_note = choose(wanted.smtp_port, SMTP_PORT, "mail goes in", "--smtp-port")
    web_port, web_note = choose(wanted.web_port, WEB_PORT, "the portal is", "--web-port")
    pages_port, pages_note = choose(None, PAGES_PORT, "mail and phone are", "")
    ended = threading.Event()
    with folder(wanted) as data, ending(ended):
        print("Starting the demo clinic. This takes some seconds.", file=sys.stderr, flush=True)
        clinic = Clinic(data, smtp_port, web_port)
        outside = Outside(clinic, pages_port)
        try:
            clinic.start()
            outside.start()
            _seed(clinic)
            for line in told(clinic, outside, [note for note in (smtp_note, web_note, pages_note) if note],
                             data if wanted.keep or wanted.data else None):  # fmt: skip
                print(line)
            sys.stdout.flush()
            while not ended.wait(1.0):
                if clinic.ended() is not None:
                    print("The gateway ended by itself; gateway.log in its folder says why.", file=sys.stderr)
                    return 70
        except KeyboardInterrupt:
            pass
        finally:
            print("\nStopping.", file=sys.stderr, flush=True)
            outside.stop()
            clinic.stop()
    return 0


def told(clinic: Clinic, outside: Outside, notes: list[str], data: Path | None) -> list[str]:
    """What is printed once it runs: under 20 lines, each with something to click or to type."""
    return [
        "Demo clinic is running. Nothing leaves this computer.        Stop: Ctrl-C",
        *notes,
        "",
        f"  1  See what left the building     {outside.url}/mail",
        f"  2  Open a message as the patient  {outside.url}/mail/1   code: {outside.url}/phone",
        f"  3  Staff: sent, recall, help      {clinic.portal}/staff   sign-in: {outside.url}/sign-in",
        "",
        "Five messages went out: a lab report, an image, a result in a ZIP, a photographed form, a newsletter.",
        "A mail scanner followed the first link. Nothing was opened by that: see the log.",
        f"  {_command()} audit search --config {clinic.config}",
        "",
        "Send your own:",
        f"  swaks -s localhost:{clinic.smtp_port} -f {clinic.amy.address} -t you@example.org --attach @any.pdf",
        "",
        f"Everything lies in {clinic.data} ({'kept' if data else 'removed at the end'}).",
    ]


def _command() -> str:
    """How this command is typed here: by its name where the shell finds it, else by its path."""
    if shutil.which("sealgate"):
        return "sealgate"
    return os.path.relpath(Path(sys.executable).parent / "sealgate")


def _seed(clinic: Clinic) -> None:
    """The five messages, in the order in which they are shown, and a scanner's visit to the first link."""
    for mail in (mails.lab_report(), mails.image(), mails.result_in_zip(), mails.form(), mails.newsletter()):
        mails.send(clinic, mail)
        recipient = str(mail["To"])
        count = 2 if recipient == mails.PARTNER and len(clinic.sink.mails) > 1 else 1
        clinic.sink.wait_for(recipient, count, seconds=60)
    link = clinic.sink.mails[0].link
    if link is not None:
        scanner = Visitor(SCANNER)
        scanner.get(link, method="HEAD")
        scanner.get(link)


def _base(runtime: str) -> str | None:
    """The user's own runtime folder, which is memory, where there is one with room; else the usual temporary one."""
    if runtime and len(runtime) < 40 and os.path.isdir(runtime) and os.access(runtime, os.W_OK):
        stat = os.statvfs(runtime)
        if stat.f_bavail * stat.f_frsize > ROOM_BYTES:
            return runtime
    return None


@contextmanager
def ending(ended: threading.Event | None = None) -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl-C does; a second Ctrl-C does not interrupt the clearing up."""

    told = ended or threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if not told.is_set():
            told.set()
            raise KeyboardInterrupt

    kept = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
