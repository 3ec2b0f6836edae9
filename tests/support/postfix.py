"""Debian's real Postfix as a smarthost on loopback, with its configuration, queue and mailbox in a folder of its own.

    with Postfix() as postfix: … postfix.port … postfix.wait(1)[0].content

It takes mail for every domain and delivers into one Maildir. With `services`, further lines of master.cf, it has more
doors than that one. `550@…` and `temperror@…` are refused at RCPT. Needs root
(Postfix starts as root by design); mark such tests `postfix` and `root`. Nothing of the machine's own Postfix is used
but its programs.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.bench.postfix import check, command, configure
from gateway.demo.ports import free_port
from tests.support.load import PATIENCE
from tests.support.needs import need

_MAIN = """\
local_header_rewrite_clients =
smtputf8_enable = yes
message_size_limit = 200000000
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {folder}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/etc/recipients, permit
"""
_RECIPIENTS = "/^550@/ 550 5.1.1 no such user\n/^temperror@/ 451 4.3.0 try again\n"


@dataclass(frozen=True)
class Mail:
    """One delivered message: with the lines that Postfix put on top, and as it came in, CRLF ends restored."""

    stored: bytes
    content: bytes
    recipient: str


class Postfix:
    """See the module's words."""

    def __init__(
        self, *, certificate: Path | None = None, key: Path | None = None, more: str = "", services: str = ""
    ) -> None:
        need("postfix")
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        owner = pwd.getpwnam("nobody")
        main = _MAIN.format(folder=self.folder, uid=owner.pw_uid, gid=owner.pw_gid)
        if certificate and key:
            main += f"smtpd_tls_security_level = may\nsmtpd_tls_cert_file = {self.folder}/etc/cert.pem\n"
            main += f"smtpd_tls_key_file = {self.folder}/etc/key.pem\n"
        configure(self.folder, self.port, main + more, services)
        (self.folder / "mail").mkdir(0o755)
        os.chown(self.folder / "mail", owner.pw_uid, owner.pw_gid)
        if certificate and key:
            for source, name in ((certificate, "cert.pem"), (key, "key.pem")):
                shutil.copy(source, self.folder / "etc" / name)
        (self.folder / "etc/recipients").write_text(_RECIPIENTS)

    def __enter__(self) -> Postfix:
        try:
            check(self.folder)
            self._process = subprocess.Popen(
                command(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait_for_greeting()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, sign)  # the daemons share the session that was made for the master
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(seconds)
                    break
        shutil.rmtree(self.folder, ignore_errors=True)

    def mails(self) -> list[Mail]:
        """What was delivered so far, oldest first."""
        files = sorted((self.folder / "mail/all/new").glob("*"), key=lambda file: (file.stat().st_mtime_ns, file.name))
        return [_read(file.read_bytes()) for file in files]

    def wait(self, count: int, seconds: float = PATIENCE) -> list[Mail]:
        """The mails, once there are `count`. Raises TimeoutError with Postfix's own log."""
        deadline = time.monotonic() + seconds
        while len(found := self.mails()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {count} mails after {seconds} s\n{self.log()}")
            time.sleep(0.05)
        return found

    def flush(self) -> None:
        """Try now what waits in its queue."""
        command = [need("postqueue", "postfix"), "-c", str(self.folder / "etc"), "-f"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def log(self) -> str:
        """Postfix's log."""
        file = self.folder / "maillog"
        return file.read_text(errors="replace") if file.exists() else ""

    def _wait_for_greeting(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as peer:
                    if peer.recv(100).startswith(b"220 postfix.test"):
                        return
            except OSError:
                pass
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"Postfix did not start\n{self.log()}")
            time.sleep(0.05)


def _read(stored: bytes) -> Mail:
    """virtual(8) puts Return-Path, X-Original-To and Delivered-To on top, smtpd its Received; all else came in."""
    lines = stored.split(b"\n")
    at = 0
    recipient = ""
    seen_received = False
    while at < len(lines):
        name = lines[at].split(b":")[0].lower()
        if name == b"delivered-to":
            recipient = lines[at].split(b":", 1)[1].strip().decode()
        elif name == b"received" and not seen_received:
            seen_received = True
        elif name not in (b"return-path", b"x-original-to"):
            break
        at += 1
        while at < len(lines) and lines[at][:1] in (b" ", b"\t"):
            at += 1
    return Mail(stored, b"\r\n".join(lines[at:]), recipient)
