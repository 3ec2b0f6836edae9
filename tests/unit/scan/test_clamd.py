"""The scanner room against a real clamd: what it says, and that silence, trouble and limits are never "clean"."""

from __future__ import annotations

import io
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import Tampered
from gateway.scan import Clamd as Scanner
from gateway.scan import Clean, Infected, Unscanned, Verdict, probe, scanner
from gateway.scan.probe import blind_spots, watch
from tests.support.clamd import MARK, NAME, Clamd

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    with Clamd(tmp_path_factory.mktemp("av")) as found:
        yield found


def look(clamd: Clamd, *chunks: bytes, max_bytes: int = 1_000_000) -> Verdict:
    asked = Scanner(clamd.address, max_bytes=max_bytes, timeout_seconds=20)
    return asked.scan(chunks, time.monotonic() + 20)


def zipped(data: bytes, *, encrypted: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("inner.txt", (2026, 1, 2, 3, 4, 6)), data)
    made = bytearray(out.getvalue())
    if encrypted:
        made[6] |= 1
        made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def test_clean_and_infected_streams(clamd: Clamd) -> None:
    assert look(clamd, b"a letter about lunch") == Clean()
    assert look(clamd) == Clean()
    assert look(clamd, b"before " + MARK + b" after") == Infected(NAME)
    assert look(clamd, MARK[:7], MARK[7:]) == Infected(NAME)
    assert look(clamd, b"x" * 600_000, MARK) == Infected(NAME)
    assert look(clamd, zipped(MARK * 3)) == Infected(NAME)


def test_limits_are_unscanned(clamd: Clamd, tmp_path: Path) -> None:
    assert look(clamd, b"x" * 100, max_bytes=99) == Unscanned("too large")
    assert look(clamd, zipped(b"y" * 100, encrypted=True)) == Unscanned("encrypted")
    with Clamd(tmp_path / "small", limit="1M") as small:
        letters = [bytes([65 + n]) * 262_144 for n in range(12)]
        assert look(small, *letters, max_bytes=9_000_000) == Unscanned("too large")


def test_silence_and_nonsense_are_unscanned(tmp_path: Path) -> None:
    path = tmp_path / "s"
    asked = Scanner(f"unix:{path}", max_bytes=1000, timeout_seconds=0.3)
    assert asked.scan([b"x"], time.monotonic() + 9) == Unscanned("scanner down")
    answers = [None, b"", b"stream: OK and more\0", b"stream: FOUND\0", b"\0", b"stream: a b FOUND\0"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                peer, _ = listener.accept()
                with peer:
                    while peer.recv(4096)[-4:] != b"\0\0\0\0":
                        pass
                    if answer is None:
                        peer.recv(1)  # says nothing until the client gives up
                    else:
                        peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        said = [asked.scan([b"x"], time.monotonic() + 9) for _ in answers]
        thread.join(10)
    assert said[0] == Unscanned("took too long")
    assert said[1:] == [Unscanned("scanner failed")] * 5


def test_trouble_of_the_source_passes_through(clamd: Clamd) -> None:
    def damaged() -> Iterator[bytes]:
        yield b"x"
        raise Tampered("a segment")

    with pytest.raises(Tampered):
        Scanner(clamd.address, max_bytes=1000, timeout_seconds=5).scan(damaged(), time.monotonic() + 5)


def test_age_of_the_signatures(clamd: Clamd, tmp_path: Path) -> None:
    found = Scanner(clamd.address, max_bytes=1000, timeout_seconds=5).signatures()
    assert found.version.startswith("1.")
    assert (found.number, found.made_at) == (0, None)  # made by hand: they have no date of ClamAV's
    path = tmp_path / "v"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(64)
                peer.sendall(b"ClamAV 1.4.6/27701/Wed Nov  4 09:12:33 2026\0")

        thread = threading.Thread(target=serve)
        thread.start()
        found = Scanner(f"unix:{path}", max_bytes=1000, timeout_seconds=5).signatures()
        thread.join(10)
    assert found.made_at == datetime(2026, 11, 4, 9, 12, 33, tzinfo=UTC)
    assert found.number == 27701


def test_a_clamd_that_calls_clean_what_it_could_not_read_is_found_out(clamd: Clamd, tmp_path: Path) -> None:
    seeing = Scanner(clamd.address, max_bytes=1_000_000, timeout_seconds=20)
    assert blind_spots(seeing) == ()
    with Clamd(tmp_path / "b", alerts=False, limit="1M") as other:
        blind = Scanner(other.address, max_bytes=1_000_000, timeout_seconds=20)
        assert blind_spots(blind) == ("AlertEncrypted", "AlertExceedsMax")
        assert blind.takes(1_000_000)
        assert not blind.takes(1_200_000)
        said: list[str] = []
        duty = watch(blind)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(probe.log, "error", lambda event, **values: said.append(f"{event} {values['setting']}"))
            duty()
            duty()
        assert said == ["scan:blind AlertEncrypted", "scan:blind AlertExceedsMax"]
    assert blind_spots(blind) == ()  # it does not answer: then nothing counts as scanned, which is said elsewhere


def test_without_an_address_there_is_no_scanner_and_tcp_works(tmp_path: Path) -> None:
    assert scanner("", max_bytes=1, timeout_seconds=1) is None
    with Clamd(tmp_path / "t", tcp=True) as clamd:
        assert look(clamd, MARK) == Infected(NAME)
