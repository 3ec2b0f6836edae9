"""Parser children: confined, bounded, and a crash costs one part."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from gateway.detect.model import Extracted, PartInput
from gateway.flow import isolate
from gateway.flow.isolate import ChildFailed, Isolated
from tests.unit.detect import samples

BODY = PartInput(
    "body",
    "the message text",
    "text/plain",
    None,
    "utf-8",
    b"Mrs. Okonkwo (DOB 3/4/1961) has diabetes, takes metformin.",
)


def part(data: bytes, name: str = "2") -> PartInput:
    return PartInput(name, f"attachment {name}", "application/octet-stream", None, None, data)


@pytest.fixture(scope="module")
def pool():
    with Isolated(children=1) as made:
        yield made


def attempt(code: str) -> str:
    """What a confined process gets when it tries this."""
    program = f"""
import ctypes, json, os, resource, signal, socket, sys
from gateway.flow.confine import confine
libc = ctypes.CDLL(None, use_errno=True)
queued = bytes(8) + bytes([255] * 4) + bytes(116)  # a siginfo whose code is SI_QUEUE (rt_sigqueueinfo(2))
def system(*given):
    if libc.syscall(*given) == -1:
        raise OSError(ctypes.get_errno(), "refused")
held = confine(memory_bytes=512 * 1024 * 1024)
try:
{textwrap.indent(textwrap.dedent(code), "    ")}
    said = "did it"
except BaseException as error:
    said = type(error).__name__
os.write(1, json.dumps([held, said]).encode())
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert done.stdout, done.stderr.decode()
    held, said = json.loads(done.stdout)
    if not held["files"]:
        pytest.skip("no seccomp filter on this machine")
    return said


@pytest.mark.parametrize(
    "code",
    [
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "open('/tmp/sealgate-confined', 'w')",
        "open('/dev/null', 'ab')",
        "os.mkdir('/tmp/sealgate-confined')",
        "os.unlink('/tmp/sealgate-confined')",
        "os.kill(os.getppid(), 0)",
        "os.setuid(65534)",
        "resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)); bytearray(2**31)",
        "bytearray(1024 * 1024 * 1024)",
        "system(129, os.getppid(), 0, queued)",  # rt_sigqueueinfo
        "system(297, os.getppid(), os.getppid(), 0, queued)",  # rt_tgsigqueueinfo
        "resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))",
        "os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, os.getppid()))",
        "os.sched_setaffinity(os.getppid(), os.sched_getaffinity(os.getppid()))",
        "system(452, -100, b'/tmp', 0o1777, 0)",  # fchmodat2
        "system(9999)",
    ],
)
def test_a_confined_process_is_refused(code: str) -> None:
    assert attempt(code) in ("PermissionError", "OSError", "MemoryError", "ValueError")


def test_a_confined_process_may_still_read_and_import() -> None:
    assert attempt("open('/etc/hostname').read(); import colorsys") == "did it"


def test_children_report_what_holds(pool: Isolated) -> None:
    assert pool.confinement()["limits"]


def test_text_and_files_are_assessed_together(pool: Isolated) -> None:
    found = pool.assess([BODY, part(samples.pdf("Menu: soup and bread")), part(samples.dicom("Jones^Mary"), "3")])
    assert [(one.part, one.status) for one in found.parts] == [("body", "phi"), ("2", "clean"), ("3", "phi")]


def test_an_empty_attachment_gets_its_verdict_too(pool: Isolated) -> None:
    assert pool.assess([part(b"")]).part("2").status == "clean"


def test_a_child_that_dies_leaves_its_part_unread_and_the_next_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with Isolated(children=1) as pool:
        pool.confinement()
        child = pool._seats.get()
        child._process.kill()
        child._process.wait()
        pool._seats.put(child)
        found = pool.assess([BODY, part(samples.pdf("hello there"))])
        assert found.part("2").status == "unread"
        assert found.part("body").status == "phi"
        assert pool.kills == 1
        assert pool.assess([part(samples.pdf("hello there"))]).part("2").status == "clean"


def test_a_job_past_its_time_is_unread_and_its_child_is_ended() -> None:
    with Isolated(children=1, wall_seconds=0.0001) as pool:
        pool.confinement()
        child = pool._seats.queue[0]
        found = pool.assess([part(samples.pdf(*["hello there"] * 50))])
        assert found.part("2").status == "unread"
        assert child._process.poll() is not None


def test_a_child_without_memory_leaves_the_part_unread() -> None:
    with Isolated(children=1, memory_bytes=200 * 1024 * 1024) as pool:
        found = pool.assess([part(samples.zipped({"a.txt": b"0" * 999_000, "b.bin": bytes(range(256)) * 400_000}))])
        assert found.part("2").status == "unread"


def test_an_answer_that_speaks_of_another_part_is_refused() -> None:
    lie = json.dumps({"texts": [["body", "the message text", "all is well"]], "unread": [], "formats": []}).encode()
    with pytest.raises(ChildFailed):
        isolate._from_wire(lie, part(b"x"))
    with pytest.raises(ChildFailed):
        isolate._from_wire(b'{"texts": [[1]]}', part(b"x"))
    with pytest.raises(ChildFailed):
        isolate._from_wire(b"nonsense", part(b"x"))


def test_a_closed_pool_reads_no_file_and_says_so(pool: Isolated) -> None:
    closed = Isolated(children=1)
    closed.close()
    assert closed.assess([part(samples.pdf("x"))]).part("2").status == "unread"
    assert isinstance(pool.extract(BODY), Extracted)


def test_a_child_is_renewed_after_its_share_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolate, "JOBS_PER_CHILD", 1)
    with Isolated(children=1) as pool:
        pool.confinement()
        first = pool._seats.queue[0]
        pool.extract(part(samples.pdf("x")))
        assert pool._seats.queue[0] is None
        assert first._process.poll() is not None
