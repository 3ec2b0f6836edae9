"""The disk under a running gateway: it fails and nothing is lost; and what is promised is synced before it is said.

The disk is full in `test_full_disk.py`; the syncs of the smtp process under load are in `unit/smtp/test_promises.py`.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.drills.test_outages import once
from tests.support.diskfaults import failing, short_writes, traced
from tests.support.faulty import Faulty, clear_copies, eventually
from tests.support.load import PATIENCE

pytestmark = [pytest.mark.full, pytest.mark.root]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    found = Faulty(tmp_path_factory.mktemp("disks") / "c")
    try:
        found.start()
        yield found
    finally:
        found.stop()


DISKS: dict[str, tuple[str, Callable[[Faulty, int, Path], AbstractContextManager[Callable[[], int]]]]] = {
    "smtp-sync": ("smtp", lambda clinic, pid, at: failing(pid, at, "fdatasync")),
    "smtp-sync-full": ("smtp", lambda clinic, pid, at: failing(pid, at, "fdatasync", "ENOSPC")),
    "smtp-append": ("smtp", lambda clinic, pid, at: failing(pid, at, "writev")),
    "smtp-short": ("smtp", lambda clinic, pid, at: short_writes(pid, newest_segment(clinic) + 200)),
    "gateway-sync": ("gateway", lambda clinic, pid, at: failing(pid, at, "fdatasync,fsync")),
    "gateway-database": ("gateway", lambda clinic, pid, at: failing(pid, at, "pwrite64")),
    "gateway-rename": ("gateway", lambda clinic, pid, at: failing(pid, at, "rename,renameat,renameat2")),
    "gateway-short": ("gateway", lambda clinic, pid, at: short_writes(pid, 4096)),
}
"""Whose disk fails, and how; a vault's blob, the outbound copy, the marks and the database are the gateway's."""
UNHEARD = ("gateway-sync", "gateway-database", "gateway-rename")
"""Where the calls themselves are counted: these faults may be over before smtp hears that the worker is not well."""


def newest_segment(clinic: Faulty) -> int:
    """Bytes of the file to which smtp appends."""
    return max((clinic.data / "spool" / "in" / "log").iterdir()).stat().st_size


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_fails_under_a_process_costs_a_451_at_most(clinic: Faulty, tmp_path: Path, disk: str) -> None:
    """What was answered 250 before or meanwhile comes once, and nothing of it comes in clear."""
    role, fault = DISKS[disk]
    for kind in ("clean", "sealed"):
        eventually(lambda kind=kind: clinic.send(clinic.letter(kind)) == 250)  # type: ignore[misc]
    codes: Counter[int] = Counter()
    with fault(clinic, clinic.role(role), tmp_path) as hits:  # type: ignore[operator]
        until = time.monotonic() + PATIENCE

        def met() -> bool:
            return hits() > 0 and (codes[451] > 0 or disk in UNHEARD) and sum(codes.values()) >= 3

        while not met():
            assert time.monotonic() < until, codes
            codes[clinic.send(clinic.letter("sealed" if sum(codes.values()) % 2 else "clean"))] += 1
    assert set(codes) <= {250, 451}
    eventually(lambda: clinic.send(clinic.letter()) == 250)
    once(clinic)
    assert clear_copies(clinic.sink.mails, list(clinic.account.taken.values())) == []
    assert json.loads(clinic.command("queue", "list", "--json")) == [], "nothing was given up, and nothing is held"


# -- what is synced before what


def test_data_is_synced_before_its_250_the_blob_before_the_record_and_the_record_before_the_copy(
    clinic: Faulty, tmp_path: Path
) -> None:
    clinic.settled()
    calls = "recvfrom,recvmsg,read,sendto,sendmsg,write,pwrite64,writev,fsync,fdatasync"
    with traced([clinic.role("smtp"), clinic.role("gateway")], tmp_path, calls) as trace:
        sent = clinic.letter("sealed")
        eventually(lambda: clinic.send(sent) == 250)
        clinic.settled()
    (queue,) = [name for name, one in clinic.account.taken.items() if one is sent]
    lines = trace()
    taken = first(lines, r"\b(sendto|sendmsg|write)\(\d+<.*250 2\.0\.0 OK: queued as " + queue)
    copy = first(lines, r"\b(sendto|sendmsg|write)\(\d+<(TCP|socket).*Sealgate-Trace: [^;]*; " + queue)
    record = first(lines, r"\bpwrite64\(\d+<[^>]*sealgate\.db-wal>.*message:secured.*" + queue)
    read = max(
        at for at in range(taken) if re.search(r"\brecv\w*\(\d+<(TCP|socket)|\bread\(\d+<(TCP|socket)", lines[at])
    )
    blob = first(lines, r"\bwrite\(\d+<[^>]*/vault/")
    assert read < blob < record < copy
    assert synced(lines, "/spool/in/log/", read, taken), "the mail, before its 250"
    assert synced(lines, "/vault/", blob, record), "the blob, before the record that it is secured"
    assert synced(lines, "/spool/out/log/", blob, record), "the copy, before that record"
    assert synced(lines, "sealgate.db-wal", record, copy), "the record, before the copy leaves"


def first(lines: list[str], pattern: str) -> int:
    """The number of the first line that fits."""
    for number, line in enumerate(lines):
        if re.search(pattern, line):
            return number
    raise AssertionError(f"no such call: {pattern}")


def synced(lines: list[str], path: str, after: int, before: int) -> list[str]:
    """The syncs of such a file that began and ended between these lines."""
    found = []
    for number in range(after + 1, before):
        match = re.match(r"(\d+) +\S+ (fsync|fdatasync)\(\d+<([^>]*)>(.*)", lines[number])
        if match is None or path not in match[3]:
            continue
        if "unfinished" not in match[4]:
            found.append(lines[number])
            continue
        ended = re.compile(rf"{match[1]} +\S+ <\.\.\. {match[2]} resumed>.*= 0")
        found += [line for line in lines[number:before] if ended.match(line)][:1]
    return found
