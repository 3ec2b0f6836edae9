"""The roles as processes of their own: what `sealgate serve --role` runs.

Promises: each hardens itself before it opens anything; the first line on standard output says that it is ready; SIGHUP
reads certificates again; SIGTERM ends it in order, and what was promised is on disk.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import resource
import signal
import threading
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway import roles
from gateway.settings import Settings
from gateway.supervise import WORD

if TYPE_CHECKING:
    from gateway.smtp.config import SmtpConfig

YOUNG_OBJECTS = 20_000
"""So many new objects between two looks for cycles. Python's 700 come ten times with each message, and each tenth look
walks whatever lives: a third of a message's processor time. What has no cycle, message bytes above all, goes at once.
"""


DESCRIPTORS = 65_536


def raise_descriptors() -> None:
    """Let this process, and what it starts, open as many files as the machine allows, `DESCRIPTORS` at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def settle_memory() -> None:
    """To be called once a role stands: what it is made of is not looked through for garbage again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)


def told() -> bool:
    """Wait for the parent's word on standard input, which is empty from then on. False when the parent is gone."""
    word = os.read(0, len(WORD))
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    return word == WORD


def run_part(role: str, settings: Settings, descriptors: Sequence[int] = (), *, waits: bool = False) -> int:
    """The role gateway, worker or portal in this process, until SIGTERM.

    `descriptors` are the portal's bound sockets, if handed over; with `waits` nothing is opened before `told`.
    """
    roles.harden_self()
    from gateway.bootstrap import PARTS  # the smtp role runs this module too, and has no business with a database

    if waits and not told():
        return 0
    stopping = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    part = PARTS[role](settings)
    ports = part.start(descriptors)
    settle_memory()
    print(json.dumps({"ready": True, "portal": ports}), flush=True)
    signal.signal(signal.SIGHUP, lambda number, frame: part.reload())
    stopping.wait()
    part.stop()
    return 0


def run_smtp(settings: Settings, descriptors: Sequence[int] = (), *, waits: bool = False) -> int:
    """The smtp role in this process, until SIGTERM. `descriptors` and `waits` as in `run_part`."""
    roles.harden_self()
    from gateway.smtp import process  # each role starts without what only another one needs

    if waits and not told():
        return 0
    config = smtp_config(settings)

    def ready(ports: dict[str, list[int]]) -> None:
        settle_memory()
        print(json.dumps({"ready": True, "ports": ports}), flush=True)

    return process.run(config, listeners=process.adopt(config, descriptors) if descriptors else None, ready=ready)


def smtp_config(settings: Settings) -> SmtpConfig:
    """What the smtp role needs of the settings."""
    from gateway.smtp.config import Limits, SmtpConfig

    smtp = settings.smtp
    return SmtpConfig(
        hostname=smtp.hostname,
        node=settings.node.name,
        directory=settings.smtp_directory,
        signs_directory=settings.snapshot_directory,
        spool=settings.spool.directory / "in",
        listen=tuple((one.host, one.port) for one in smtp.listen),
        submission_listen=tuple((one.host, one.port) for one in smtp.submission_listen),
        submissions_listen=tuple((one.host, one.port) for one in smtp.submissions_listen),
        tls_cert_file=smtp.tls_cert_file,
        tls_key_file=smtp.tls_key_file,
        client_ca_file=smtp.client_ca_file,
        normalize_newlines=smtp.bare_newlines == "normalize",
        max_message_bytes=smtp.max_message_bytes,
        max_recipients=smtp.max_recipients,
        return_hosts={
            urlsplit(one.portal.public_url).hostname or "": one.tenant.domains[0]
            for one in settings.tenants
            if one.portal.return_path
        },
        postmasters={
            urlsplit(one.portal.public_url).hostname or "": one.portal.postmaster
            for one in settings.tenants
            if one.portal.return_path
        },
        limits=Limits(
            connections=smtp.max_connections,
            connections_per_host=smtp.max_connections_per_host,
            command_seconds=float(smtp.command_timeout_seconds),
            message_seconds=float(smtp.message_timeout_seconds),
            stranger_seconds=float(smtp.stranger_timeout_seconds),
            handshake_seconds=float(smtp.handshake_timeout_seconds),
            drain_seconds=float(smtp.drain_timeout_seconds),
            errors_per_connection=smtp.max_errors_per_connection,
            failed_logins_per_connection=smtp.max_failed_logins_per_connection,
            failed_logins_per_host=smtp.max_failed_logins_per_host,
            failed_logins_window_seconds=float(smtp.failed_logins_window_seconds),
            received_fields=smtp.max_received_per_message,
            own_passes=smtp.max_passes_per_message,
            report_bytes=smtp.max_report_bytes,
            free_disk_bytes=settings.spool.min_free_bytes,
        ),
        log_level=logging.getLevelName(logging.getLogger().level),  # as `serve --log-level` has set it
    )
