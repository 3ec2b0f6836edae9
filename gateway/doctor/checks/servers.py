"""Smarthost and malware scanner."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import UTC, datetime

from gateway.courier.connection import Connection, ConnectionFailed
from gateway.courier.smtp import tls_context
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, per_clinic, red, yellow
from gateway.errors import Misconfigured
from gateway.scan.clamd import Clamd
from gateway.scan.probe import blind_spots
from gateway.settings import Courier, Settings

MOST_PROBED_BYTES = 200_000_000
OLD_DAYS = 3
REASONS = {
    "name": ("its name is not known", "write the right name in [courier] smarthost, or repair this machine's DNS"),
    "connect": ("nobody answers there", "start it, or open its port in the firewall between"),
    "timeout": ("it does not answer in time", "open its port in the firewall between; many networks block port 25"),
    "lost": ("it hangs up", "allow this machine's address at the smarthost"),
    "greeting": ("it refuses us at the greeting", "allow this machine's address at the smarthost"),
    "no-tls": ("it offers no STARTTLS", "switch TLS on at the smarthost"),
    "certificate": (
        "its certificate is not valid for that name",
        "write in [courier] smarthost the name that its certificate bears, or name its authority in ca_file",
    ),
    "tls": ("TLS fails", "let the smarthost speak TLS 1.2 or later"),
    "auth": ("it refuses user name and password", "write the right password into [courier] password_file"),
}


@check(
    "smarthost.takes",
    "The smarthost answers, protects the line as configured, and lets us in",
    "all outbound mail goes there; until it answers, mail waits and at last returns to its senders",
)
def smarthost(case: Case) -> Finding:
    known: dict[Courier, Future[Finding]] = {}  # clinics with one smarthost and one way in are asked about once
    turn = threading.Lock()

    def look(own: Settings) -> Finding:
        with turn:
            first = own.courier not in known
            answer = known.setdefault(own.courier, Future())
        if first:
            try:
                answer.set_result(_smarthost(case, own.courier))
            except BaseException as error:
                answer.set_exception(error)
        return answer.result()

    return per_clinic(case, look)


def _smarthost(case: Case, settings: Courier) -> Finding:
    where = f'{settings.smarthost} (tls = "{settings.tls}")'
    line = Connection(case.settings.smtp.hostname, 6, 6)
    try:
        login = (settings.username, settings.password_file.read()) if settings.password_file else None
        line.open(settings.smarthost.host, settings.smarthost.port, settings.tls, tls_context(settings), login)
    except Misconfigured as error:
        return yellow(error.public, f"run it as root: {case.command('doctor')}")
    except ConnectionFailed as failure:
        reason = failure.deferred.reason
        found, repair = REASONS.get(reason, (reason, "look at the smarthost's own log"))
        code = f", answer {failure.deferred.code}" if failure.deferred.code else ""
        return red(f"{where}: {found}{code}", f"{repair}, then: {case.command('doctor')}")
    features, secured = line.features(), type(line.sock).__name__ == "SSLSocket"
    line.close()
    if not secured and not settings.smarthost.loopback:
        return yellow(f"{where}: mail travels in clear", 'write in [courier]: tls = "verified"')
    return green(f"{where} answers, {'TLS' if secured else 'loopback'}, {len(features)} extensions")


@check(
    "clamd.answers",
    "The malware scanner answers, and its signatures are young",
    "what was not scanned counts as unread; old signatures let new malware through",
)
def clamd(case: Case) -> Finding:
    where = case.settings.scan.clamd
    if not where:
        return yellow(
            "no scanner is set: nothing looks for malware",
            'apt-get install clamav-daemon clamav-freshclam, and write in [scan]: clamd = "unix:/run/clamav/clamd.ctl"',
        )
    try:
        found = Clamd(where, max_bytes=65_536, timeout_seconds=4.0).signatures()
    except (OSError, ValueError):
        return red(f"no answer from {where}", "systemctl restart clamav-daemon")
    asked = Clamd(where, max_bytes=65_536, timeout_seconds=20.0)
    blind = blind_spots(asked)
    if blind:
        lines = " and ".join(f"{name} yes" for name in blind)
        return red(
            f"ClamAV {found.version} calls clean what it could not look into ({', '.join(blind)} off)",
            f"write in /etc/clamav/clamd.conf: {lines}; then: systemctl restart clamav-daemon",
        )
    wanted = min(case.settings.scan.max_bytes, MOST_PROBED_BYTES)
    if not _takes(asked, wanted):
        return yellow(
            f"ClamAV {found.version} takes less than [scan] max_bytes: what is larger counts as not scanned",
            f"write in /etc/clamav/clamd.conf: StreamMaxLength {wanted} and MaxFileSize {wanted}; then: "
            "systemctl restart clamav-daemon",
        )
    if found.made_at is None:
        return yellow(f"ClamAV {found.version} has no dated signatures", "freshclam && systemctl restart clamav-daemon")
    age = (datetime.now(UTC) - found.made_at).days
    words = f"ClamAV {found.version}, signatures {age} days old"
    return yellow(words, "systemctl restart clamav-freshclam") if age > OLD_DAYS else green(words)


def _takes(asked: Clamd, count: int) -> bool:
    try:
        return asked.takes(count)
    except OSError:
        return True  # too slow to say; what it cannot take counts as not scanned all the same
