"""The disk is full: at every step of a message new mail is 451, staff can still take messages back and the log says so,
readers see one calm page, nothing is lost or leaked, and all goes on by itself when there is room.

The clinic's whole data folder is a small tmpfs, which the test fills to the last byte while a process stands at a step.
"""

from __future__ import annotations

import errno
import http.client
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.demo.clinic import PHONE
from gateway.demo.visitor import Visitor
from tests.drills.test_outages import connection, leaked, once, refused_within
from tests.support.faulty import Faulty, Letter, Reader, clear_copies, eventually
from tests.support.load import PATIENCE

pytestmark = [pytest.mark.full, pytest.mark.root]

DISK_MB = 224
RESERVE_BYTES = 4 << 20
SMTP_STEPS = ("1", "2", "2-written", "2-durable")
RECALLS = ("3", "8")
STEPS = (*SMTP_STEPS, "3", "4", "5", "6", "7-sealed", "7-deposited", "7", "8", "9", "10")
DOWNLOAD_STEPS = ("d3", "d4", "d6", "d7")
"""Of a download those at which something is written, or the writing of which has just ended."""


@dataclass
class Disk:
    """A mounted tmpfs and what fills it."""

    folder: Path
    ballast: list[Path] = field(default_factory=list)

    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    @contextmanager
    def full(self) -> Iterator[None]:
        path = self.folder / "ballast"
        try:
            self._fill(path)
            yield
        finally:
            path.unlink()

    def _fill(self, path: Path) -> None:
        """To the last page, however much others write meanwhile."""
        with open(path, "ab") as file:
            for _ in range(200):
                free = self.free_bytes()
                if not free:
                    return
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, free)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    folder = tmp_path_factory.mktemp("full") / "d"
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=0700", "tmpfs", str(folder)], check=True)
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def clinic(disk: Disk) -> Iterator[Faulty]:
    environ = {
        "SEALGATE_STORE__RESERVE_BYTES": str(RESERVE_BYTES),
        "SEALGATE_KEYS__RESERVE_BYTES": str(RESERVE_BYTES),
    }
    found = Faulty(disk.folder / "c", environ=environ)
    found.trap = disk.folder.with_name("trap")  # not on the disk that is full
    found._more["SEALGATE_TEST_KILL_AT"] = f"@{found.trap}"
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def reader(clinic: Faulty) -> Reader:
    return clinic.reader()


@pytest.fixture(scope="module")
def desk(clinic: Faulty) -> Visitor:
    """Amy, signed in."""
    staff = Visitor("Mozilla/5.0 (staff)")
    form = staff.get(clinic.portal + "/staff/sign-in")
    found = staff.submit(
        form, "/sign-in", address=clinic.amy.address, password=clinic.amy.password, code=clinic.amy.code()
    )
    assert found.status == 200
    return staff


def stopped_at(
    clinic: Faulty, role: str, step: str, deed: Callable[[threading.Event], object]
) -> tuple[int, threading.Thread, list[object]]:
    """Begin the deed in a thread of its own and wait until the process stands at that step, which the deed is told."""
    answers: list[object] = []
    stands = threading.Event()
    clinic.arm(f"{step}:1:stop")
    pid = clinic.role(role)
    thread = threading.Thread(target=lambda: answers.append(deed(stands)))
    thread.start()
    try:
        eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", PATIENCE)
    finally:
        stands.set()
    return pid, thread, answers


def sending(clinic: Faulty) -> Callable[[threading.Event], int]:
    """Sends a letter, again where it is not taken yet; the code of the last answer."""

    def send(stands: threading.Event) -> int:
        while (code := clinic.send(clinic.letter("sealed"), PATIENCE)) == 451 and not stands.wait(0.25):
            pass
        return code

    return send


def all_is_well_again(clinic: Faulty) -> None:
    """There is room: mail is taken, and what was given up lies there once more."""
    eventually(lambda: clinic.send(clinic.letter()) == 250, PATIENCE)
    eventually(lambda: all(path.exists() for path in reserves(clinic)), PATIENCE)
    eventually(lambda: clinic.send(clinic.letter()) == 250, PATIENCE)


def full_for_everybody(clinic: Faulty, reader: Reader) -> None:
    """New mail is refused, what was put by is given up, and who reads is told so on one calm page."""
    refused_within(clinic, 5.0)
    # smtp looks at the disk four times a second: what just fits in between is taken, and kept.
    eventually(lambda: [clinic.send(clinic.letter()) for _ in range(3)] == [451] * 3, PATIENCE)
    eventually(lambda: not all(path.exists() for path in reserves(clinic)), PATIENCE)
    with closing(connection(clinic)) as line:
        status, body = reader.fetch(line)
    assert status == 503
    assert b"cannot open messages right now" in body.lower()
    assert b"Nothing is lost" in body
    assert PHONE.encode() in body
    assert not leaked(reader, body)


def listed(clinic: Faulty, desk: Visitor) -> list[str]:
    """Amy's messages, the latest first."""
    found = desk.get(clinic.portal + "/staff")
    assert found.status == 200, found.text[:400]
    return list(dict.fromkeys(re.findall(r"/staff/messages/(msg_\w+)", found.text)))


def recall(clinic: Faulty, desk: Visitor, delivered: list[str]) -> str:
    """Take back the latest of these that can be; its id. One that waits for room would, taken back, never arrive."""
    for message in delivered:
        asked = desk.get(f"{clinic.portal}/staff/messages/{message}/recall")
        if asked.status == 200 and "/recall" in asked.url:
            done = desk.submit(asked, "/recall")
            assert done.status == 200, done.text[:400]
            return message
    raise AssertionError("nothing to take back")


def reserves(clinic: Faulty) -> list[Path]:
    """What is put by; on one and the same disk the first that is given up may do for both."""
    return [clinic.database.parent / "reserve", clinic.data / "keys" / "reserve"]


def all_once(clinic: Faulty) -> None:
    """Everything answered 250 is there once; if not, what the gateway said and did about it."""
    try:
        once(clinic)
    except AssertionError as error:
        queues = [queue for queue, _ in clinic.missing()]
        with clinic.sql() as conn:
            marks = ",".join("?" * len(queues))
            rows = conn.execute(f"SELECT queue, id, state, rule FROM messages WHERE queue IN ({marks})", queues)
            states = rows.fetchall()
        said = [line for line in clinic.log_text().splitlines() if '"level":"info"' not in line]
        raise AssertionError(f"{error}\n{states}\n" + "\n".join(said[-60:])) from None


def entries(clinic: Faulty, action: str, message: str) -> int:
    with clinic.sql() as conn:
        statement = "SELECT count(*) FROM log_leaves WHERE action = ? AND object = ?"
        return int(conn.execute(statement, (action, message)).fetchone()[0])


@pytest.mark.parametrize("step", STEPS)
def test_full_at_every_step(clinic: Faulty, disk: Disk, reader: Reader, desk: Visitor, step: str) -> None:
    eventually(lambda: clinic.send(clinic.letter("sealed")) == 250, PATIENCE)
    clinic.settled()
    delivered = listed(clinic, desk) if step in RECALLS else []
    role = "smtp" if step in SMTP_STEPS else "gateway"
    pid, thread, codes = stopped_at(clinic, role, step, sending(clinic))
    try:
        with disk.full():
            os.kill(pid, signal.SIGCONT)
            full_for_everybody(clinic, reader)
            if step in RECALLS:
                message = recall(clinic, desk, delivered)
                assert entries(clinic, "message:recalled", message) == 1
            thread.join(PATIENCE)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert codes in ([250], [451], [0])  # taken, refused, or the sender did not wait for the answer
    all_is_well_again(clinic)
    all_once(clinic)
    with closing(connection(clinic)) as line:
        assert reader.fetch(line) == (200, reader.content)


@pytest.mark.parametrize("step", DOWNLOAD_STEPS)
def test_full_while_a_file_is_read(clinic: Faulty, disk: Disk, reader: Reader, step: str) -> None:
    """Who was reading gets the whole file, the calm page, or a cut; never a byte of which the log knows nothing."""

    def fetch(stands: threading.Event) -> tuple[int, bytes]:
        with closing(connection(clinic)) as line:
            try:
                return reader.fetch(line)
            except (http.client.HTTPException, OSError):
                return 0, b""

    file = reader.url.rpartition("/")[2]
    before = entries(clinic, "object:opened", file)
    pid, thread, answers = stopped_at(clinic, "gateway", step, fetch)
    try:
        with disk.full():
            os.kill(pid, signal.SIGCONT)
            full_for_everybody(clinic, reader)
            thread.join(PATIENCE)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert not thread.is_alive()
    ((status, body),) = answers  # type: ignore[misc]
    assert status in (200, 503, 0), status
    if status == 200:
        assert body == reader.content
        assert entries(clinic, "object:opened", file) == before + 1
    else:
        assert not leaked(reader, body)
    all_is_well_again(clinic)
    with closing(connection(clinic)) as line:
        assert reader.fetch(line) == (200, reader.content)


def test_recall_of_a_message_that_is_read_ends_it_on_a_full_disk(clinic: Faulty, disk: Disk, desk: Visitor) -> None:
    fresh = clinic.reader()
    delivered = listed(clinic, desk)
    with disk.full():
        refused_within(clinic, 5.0)
        message = recall(clinic, desk, delivered)
    all_is_well_again(clinic)
    assert entries(clinic, "message:recalled", message) == 1
    with closing(connection(clinic)) as line:
        assert fresh.fetch(line)[0] == 410


def test_afterwards_everything_is_there_once_and_the_log_holds(clinic: Faulty, tmp_path: Path) -> None:
    all_once(clinic)
    sent: list[Letter] = [*clinic.account.taken.values(), *clinic.account.unanswered]
    assert clear_copies(clinic.sink.mails, sent) == []
    clinic.command("audit", "export", str(tmp_path / "log"))
    clinic.command("audit", "verify", str(tmp_path / "log"), "--key", str(tmp_path / "log" / "vkey"))
    marks = [one.mark for one in sent if one.kind != "clean"]
    assert clinic.holds_in_clear(marks) == []
    assert clinic.send(clinic.letter()) == 250
