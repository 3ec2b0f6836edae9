"""Parser children: confined, bounded, and a crash costs one part."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.detect import extract
from gateway.detect.extract import is_text, rtf
from gateway.detect.model import Extracted, PartInput
from gateway.flow import isolate, plausible
from gateway.flow.child import Child, ChildFailed, Forker, from_wire
from gateway.flow.isolate import Isolated
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
    sound, killed = Child.parse, []

    def parse(one: Child, *given: Any) -> Extracted:
        if not killed:
            killed.append(one.number)
            os.kill(one.number, signal.SIGKILL)
        return sound(one, *given)

    monkeypatch.setattr(Child, "parse", parse)
    with Isolated(children=1) as pool:
        found = pool.assess([BODY, part(samples.pdf("hello there")), part(samples.pdf("hello there"), "3")])
        assert found.part("2").status == "unread"
        assert found.part("body").status == "phi"
        assert found.part("3").status == "clean"
        assert pool.kills == 1


def test_a_forking_process_that_dies_is_begun_again() -> None:
    with Isolated(children=1) as pool:
        pool.confinement()
        assert pool._forker is not None
        pool._forker._process.kill()
        pool._forker._process.wait()
        assert pool.assess([part(samples.pdf("hello there"))]).part("2").status == "clean"


def _gone(number: int) -> bool:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if not os.path.exists(f"/proc/{number}"):
            return True
        time.sleep(0.005)
    return False


def test_a_job_past_its_time_is_unread_and_its_child_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = _children(monkeypatch)
    with Isolated(children=1, wall_seconds=0.0001) as pool:
        found = pool.assess([part(samples.pdf(*["hello there"] * 50))])
        assert found.part("2").status == "unread"
        assert [_gone(number) for number in begun] == [True]


def _children(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the children that are begun from now on."""
    begun: list[int] = []
    sound = Forker.fork

    def fork(forker: Forker, theirs: Any) -> int:
        begun.append(sound(forker, theirs))
        return begun[-1]

    monkeypatch.setattr(Forker, "fork", fork)
    return begun


def test_every_message_has_a_child_of_its_own_for_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = _children(monkeypatch)
    with Isolated(children=1) as pool:
        two = [part(samples.pdf("hello there")), part(samples.pdf("and there"), "3")]
        assert pool.assess(two).part("3").status == "clean"
        assert len(begun) == 1
        assert pool.assess(two).part("3").status == "clean"
        assert len(set(begun)) == 2
        assert all(_gone(number) for number in begun)


def _says(monkeypatch: pytest.MonkeyPatch, **said: list[list[str]]) -> None:
    """Children that were taken over, and say this."""
    answer = json.dumps({"texts": [], "unread": [], "formats": [], "inner": []} | said).encode()
    monkeypatch.setattr(Child, "parse", lambda _, part, *__: from_wire(answer, part))


@pytest.mark.parametrize(
    "given",
    [
        PartInput("2", "attachment 2", "application/pdf", "x.pdf", None, b"%PDF-1.4 anything"),
        PartInput("2", "attachment 2", "text/plain", None, "utf-8", b"Mrs. Lopez is here. " * 20_000),
        PartInput("2", "attachment 2", "text/html", None, "utf-8", b"<p>Mrs. Lopez is here.</p> " * 20_000),
    ],
    ids=["pdf", "text", "html"],
)
@pytest.mark.parametrize("texts", [[], [["2", "attachment 2", "well"]]], ids=["nothing", "little"])
def test_silence_about_a_part_is_unread(
    pool: Isolated, monkeypatch: pytest.MonkeyPatch, given: PartInput, texts: list[list[str]]
) -> None:
    if given.filename and texts:
        texts = [["2", "attachment 2, file name", "x pdf"]]  # its name alone says nothing of what it holds
    _says(monkeypatch, texts=texts)
    assert pool.assess([given]).part("2").status == "unread"


def test_what_is_left_when_the_time_of_a_message_is_over_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    with Isolated(children=1, message_seconds=0.0001) as pool:
        monkeypatch.setattr(isolate, "extract_here", lambda part, limit: time.sleep(0.01) or Extracted())
        found = pool.assess([BODY, PartInput("3", "attachment 3", "text/plain", None, "utf-8", b"hello")])
        assert found.part("3").status == "unread"


@pytest.mark.parametrize(
    "markup",
    [b"<p>" * 301, b"<p " + b"a=1 " * 301 + b">", b"<a " + b"abc " * 5_000 + b">"],
    ids=["tags", "attributes", "long"],
)
def test_html_that_may_cost_much_is_for_a_child(markup: bytes) -> None:
    assert not is_text(PartInput("body", "the text", "text/html", None, None, markup), isolate.HERE_BYTES)
    assert is_text(PartInput("body", "the text", "text/html", None, None, b"<p>hello"), isolate.HERE_BYTES)


def test_a_child_without_memory_leaves_the_part_unread() -> None:
    with Isolated(children=1, memory_bytes=200 * 1024 * 1024) as pool:
        found = pool.assess([part(samples.zipped({"a.txt": b"0" * 999_000, "b.bin": bytes(range(256)) * 400_000}))])
        assert found.part("2").status == "unread"


def said(**given: list[list[object]]) -> bytes:
    """An answer of the right shape."""
    return json.dumps({"texts": [], "unread": [], "formats": [], "inner": []} | given).encode()


@pytest.mark.parametrize(
    "place",
    [
        "attachment 2, page 3", "attachment 2, file 12 (PDF), page 1", "attachment 2, file 1, file 2 (DOCX), comments",
        "attachment 2, embedded file 1, file name", "attachment 2, document properties",
    ],
)  # fmt: skip
def test_places_in_a_part_are_taken_as_readers_say_them(place: str) -> None:
    assert from_wire(said(texts=[["2/1", place, "x"]]), part(b"x")).texts[0].place == place


@pytest.mark.parametrize(
    "place",
    [
        "Mary Jones", "attachment 1, page 1", "attachment 2, Mary Jones", "attachment 2, page 1\nFrom: x",
        "attachment 2, file 1 (MARY)", "attachment 2, page 12345678", "attachment 2 page 1", "",
    ],
)  # fmt: skip
def test_a_parser_that_was_taken_over_finds_no_room_for_words_in_a_place(place: str) -> None:
    for kind in ("texts", "unread", "formats"):
        with pytest.raises(ChildFailed):
            from_wire(said(**{kind: [["2/1", place, "a picture"]]}), part(b"x"))


def test_nor_in_a_reason() -> None:
    assert from_wire(said(unread=[["2", "attachment 2", "a scanned page"]]), part(b"x")).unread
    with pytest.raises(ChildFailed):
        from_wire(said(unread=[["2", "attachment 2", "Mary Jones"]]), part(b"x"))


def test_every_reason_that_a_reader_gives_is_on_the_list() -> None:
    given = set()
    for module in Path(extract.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Unreadable", "Unread") and node.args:
                given |= {one.value for one in ast.walk(node.args[-1]) if isinstance(one, ast.Constant)}
    given |= {*extract._NOBODY_READS.values(), *rtf._OBJECTS.values()} - {"password"}
    assert given - {"password"} == plausible.REASONS


def test_an_answer_that_speaks_of_another_part_is_refused() -> None:
    with pytest.raises(ChildFailed):
        from_wire(said(texts=[["body", "attachment 2", "all is well"]]), part(b"x"))
    assert from_wire(said(texts=[["2", "attachment 2", "all is well"]]), part(b"x")).texts
    with pytest.raises(ChildFailed):
        from_wire(b'{"texts": [[1]]}', part(b"x"))
    with pytest.raises(ChildFailed):
        from_wire(b"nonsense", part(b"x"))


def test_a_closed_pool_reads_no_file_and_says_so(pool: Isolated) -> None:
    closed = Isolated(children=1)
    closed.close()
    assert closed.assess([part(samples.pdf("x"))]).part("2").status == "unread"
    assert isinstance(pool.extract(BODY), Extracted)


@pytest.fixture(scope="module")
def ready():
    with Isolated(children=1, spare=True) as made:
        made.prepare()
        yield made


def _spare(pool: Isolated) -> Child:
    until = time.monotonic() + 60
    while pool._spare is None:
        assert time.monotonic() < until
        time.sleep(0.005)
    return pool._spare


def test_a_child_stands_ready_serves_one_message_and_is_followed_by_another(ready: Isolated) -> None:
    first = _spare(ready)
    assert ready.assess([part(samples.pdf("hello there"))]).part("2").status == "clean"
    assert _gone(first.number)
    assert _spare(ready).number != first.number


def test_a_child_that_died_while_it_stood_ready_costs_no_message(ready: Isolated) -> None:
    first = _spare(ready)
    os.kill(first.number, signal.SIGKILL)
    until = time.monotonic() + 60
    while first.fresh():
        assert time.monotonic() < until
        time.sleep(0.005)
    assert ready.assess([part(samples.pdf("hello there"))]).part("2").status == "clean"


def test_nothing_stands_ready_after_the_end() -> None:
    with Isolated(children=1, spare=True) as pool:
        pool.prepare()
        number = _spare(pool).number
    assert _gone(number)
    pool.prepare()
    assert pool._spare is None
