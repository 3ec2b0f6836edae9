"""250 means durable; trouble is 451; an end of input, a kill or a stop loses nothing that was answered 250."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Misconfigured
from gateway.smtp import addressing, dialogue
from gateway.smtp.config import Limits, SmtpConfig
from gateway.smtp.process import Server, bind
from gateway.spool import snapshot
from tests.support.load import stretched
from tests.support.smtpd import Smtpd, smtpd
from tests.support.spool import NODE, Keyring, eventually, fresh, smtp_home, write_signs

ENVELOPE = b"EHLO c.test\r\nMAIL FROM:<a@clinic.test>\r\nRCPT TO:<b@example.test>\r\n"


def node(directory: Path, ring: Keyring) -> SmtpConfig:
    """The folders of a node whose worker is well, and their configuration."""
    smtp_home(directory / "smtp", ring)
    (directory / "signs").mkdir()
    write_signs(directory / "signs", ring)
    return SmtpConfig(
        hostname="gateway.test",
        node=NODE,
        directory=directory / "smtp",
        signs_directory=directory / "signs",
        spool=fresh(directory / "in"),
        listen=(("127.0.0.1", 0),),
        limits=Limits(drain_seconds=1.0),
    )


def send(server: Smtpd, body: bytes = b"x\r\n") -> int:
    """One message by smtplib; the code of the answer to its last command."""
    with server.client() as client:
        client.ehlo("c.test")
        code = client.mail("a@clinic.test")[0]
        if code != 250:
            return code
        client.rcpt("b@example.test")
        try:
            return client.data(body)[0]
        except smtplib.SMTPDataError as error:
            return error.smtp_code


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while chunk := connection.recv(65_536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer


# -- durable before 250


CALL = re.compile(r"^(\d+) +([\d.]+) (\w+)\((.*)$")
RESUMED = re.compile(r"^(\d+) +([\d.]+) <\.\.\. (\w+) resumed>")


@pytest.mark.full
def test_a_sync_begins_after_the_last_byte_of_data_and_ends_before_each_250(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    calls = "read,recv,recvfrom,recvmsg,write,writev,send,sendto,sendmsg,fsync,fdatasync,rename"
    wrapper = ["strace", "-f", "-ttt", "-y", "-s", "200", "-e", f"trace={calls}", "-o", str(trace)]
    with smtpd(tmp_path / "node", wrapper=wrapper) as server:
        barrier = threading.Barrier(5)

        def work() -> None:
            with server.client() as client:
                client.ehlo("c.test")
                barrier.wait()
                for _ in range(6):
                    client.mail("a@clinic.test")
                    client.rcpt("b@example.test")
                    assert client.data(b"x" * 60 + b"\r\n")[0] == 250

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert send(server, (b"y" * 70 + b"\r\n") * 12_000) == 250
        assert len(server.messages()) == 31
        os.killpg(server.process.pid, signal.SIGTERM)
        server.process.wait(30)
    checked, large = _check_order(trace.read_text().splitlines())
    assert checked == 31
    assert large == 1


def _check_order(lines: list[str]) -> tuple[int, int]:
    """How many 250s were checked, and how many of them were for an item with a file of its own."""
    last_input: dict[str, int] = {}
    syncs: list[tuple[int, int, str]] = []  # began at line, ended at line, what
    open_syncs: dict[str, tuple[int, str]] = {}
    open_reads: dict[str, str] = {}
    renames: list[int] = []
    checked = large = 0
    for number, line in enumerate(lines):
        if match := CALL.match(line):
            pid, _, call, rest = match.groups()
            socket_name = re.match(r"\d+<(TCP\w*:\[.*?\]|socket:\[\d+\])>", rest)
            if call.startswith(("fsync", "fdatasync")):
                if "unfinished" in rest:
                    open_syncs[pid] = (number, rest)
                else:
                    syncs.append((number, number, rest))
            elif call == "rename":
                renames.append(number)
            elif socket_name and call.startswith(("read", "recv")):
                if "unfinished" in rest:
                    open_reads[pid] = socket_name[1]
                elif not re.search(r"= (0|-1 )", rest):
                    last_input[socket_name[1]] = number
            elif socket_name and "250 2.0.0 OK: queued" in rest:
                begun = last_input[socket_name[1]]
                done = [sync for sync in syncs if sync[0] > begun and sync[1] < number and "/log/" in sync[2]]
                assert done, line
                checked += 1
                if any(begun < at < number for at in renames):
                    before = next(at for at in renames if begun < at < number)
                    assert [sync for sync in syncs if begun < sync[0] and sync[1] < before and ".part" in sync[2]]
                    assert [sync for sync in syncs if before < sync[0] and sync[1] < number and "/large>" in sync[2]]
                    large += 1
        elif match := RESUMED.match(line):
            pid, _, call = match.groups()
            if call.startswith(("fsync", "fdatasync")) and pid in open_syncs:
                began, what = open_syncs.pop(pid)
                syncs.append((began, number, what))
            elif pid in open_reads:
                last_input[open_reads.pop(pid)] = number
    return checked, large


@pytest.mark.full
def test_client_that_hangs_up_during_the_sync_does_not_cancel_the_commit(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    slow = ["strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=400000"]
    with smtpd(tmp_path / "node", wrapper=slow) as server:
        with server.connect() as half:
            half.sendall(ENVELOPE + b"DATA\r\nhalf closed\r\n.\r\n")
            half.shutdown(socket.SHUT_WR)
            assert b"250 2.0.0 OK: queued" in read_all(half)
        with server.connect() as gone:
            gone.sendall(ENVELOPE + b"DATA\r\nreset\r\n.\r\n")
            eventually(lambda: b"354" in gone.recv(4096))  # so it has read the rest of that packet too
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        eventually(lambda: len(server.messages()) == 2)
        assert send(server) == 250
        assert "smtp:failed" not in server.log_text()


@pytest.mark.full
@pytest.mark.parametrize("step", ["2-written:3", "2-durable:3", "2:4", "1:3"])
def test_message_answered_250_survives_a_kill_at_each_step(tmp_path: Path, step: str) -> None:
    answered = []
    with smtpd(tmp_path / "node", environment={"SEALGATE_TEST_KILL_AT": step}) as server:
        try:
            for number in range(20):
                body = b"message %d\r\n" % number
                if send(server, body) == 250:
                    answered.append(body)
        except (smtplib.SMTPException, OSError):
            pass
        assert server.process.wait(10) == -9
        ring = server.ring
    with smtpd(tmp_path / "node", ring=ring) as again:
        assert send(again, b"after\r\n") == 250
        kept = again.messages()
    assert answered
    assert set(answered) <= set(kept)
    assert len(kept) <= len(answered) + 2  # at most one whose 250 did not get out


# -- trouble is 451


def test_new_mail_is_451_when_the_worker_is_silent_and_taken_again_when_it_is_back(tmp_path: Path) -> None:
    codes: list[int] = []

    def sends(code: int) -> bool:
        codes.append(send(server))
        return codes[-1] == code

    with smtpd(tmp_path / "node") as server:
        assert sends(250)
        server.healthy = False
        server.sign()
        eventually(lambda: sends(451), stretched(5))
        server.healthy = True
        server.sign()
        eventually(lambda: sends(250), stretched(5))
        (server.signs / "snapshot.json").write_bytes(b"{}")
        assert sends(250)  # the last good snapshot stays in force
        server.stop_signs()
        (server.signs / "health.json").unlink()
        eventually(lambda: sends(451), stretched(5))
        assert set(codes) == {250, 451}
        assert len(server.messages()) == codes.count(250)


def test_message_that_ends_after_the_trouble_began_is_451_and_leaves_nothing(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node") as server, server.connect() as connection:
        connection.sendall(ENVELOPE + b"DATA\r\n" + b"x" * 400_000)
        eventually(lambda: list((server.spool / "large").glob("*.part")))
        server.stop_signs()
        (server.signs / "health.json").unlink()
        threading.Event().wait(0.3)
        connection.sendall(b"\r\n.\r\nQUIT\r\n")
        assert b"\r\n451 4.3.0 We cannot take mail safely" in read_all(connection)
        assert server.messages() == []
        eventually(lambda: not list((server.spool / "large").iterdir()))


def test_tenant_removed_from_the_snapshot_sends_no_more(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node") as server:
        assert send(server) == 250
        snapshot.write(server.signs / "snapshot.json", *server.ring.snapshot(tenants=[]))
        assert eventually(lambda: send(server) == 550, stretched(5))


async def test_exception_inside_is_answered_with_fixed_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ring = Keyring()
    config = node(tmp_path, ring)
    server = Server(config)
    ports = await server.start(bind(config))

    def broken(*_: object, **__: object) -> None:
        raise ValueError("SECRET a@clinic.test")

    async def talk(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", ports["relay"][0])
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(addressing, "admit", broken)
        answer = await talk(ENVELOPE + b"QUIT\r\n")
    assert b"\r\n451 4.3.0 Something went wrong on our side" in answer
    assert answer.endswith(b"221 2.0.0 Goodbye\r\n")
    assert b"SECRET" not in answer
    with monkeypatch.context() as patch:
        patch.setattr(dialogue.DotReader, "feed", broken)
        answer = await talk(ENVELOPE + b"DATA\r\nx\r\n.\r\nQUIT\r\n")
    assert b"354 " in answer
    assert answer.endswith(b"421 4.3.0 Something went wrong on our side; please connect again\r\n")
    assert "SECRET" not in "".join(record.getMessage() for record in caplog.records)
    await server.stop()
    reader = ring.reader(config.spool)
    assert list(reader.replay()) == []


@pytest.mark.parametrize("trouble", ["later", "broken"])
async def test_a_message_whose_first_chunk_was_refused_is_not_begun_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    ring = Keyring()
    config = node(tmp_path, ring)
    server = Server(config)
    ports = await server.start(bind(config))
    begin, asked = dialogue.Dialogue._begin, []

    def once(self: dialogue.Dialogue, *given: Any, **more: Any) -> bool:
        asked.append(trouble)
        if len(asked) == 1 and trouble == "broken":
            raise ValueError("of no concern to the client")
        return len(asked) > 1 and begin(self, *given, **more)

    monkeypatch.setattr(dialogue.Dialogue, "_begin", once)
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["relay"][0])
    writer.write(ENVELOPE + b"BDAT 12\r\nNOOP\r\nNOOP\r\nBDAT 13 LAST\r\nsecond part\r\nQUIT\r\n")
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await server.stop()
    after = answer.rpartition(b"250 2.1.5")[2].split(b"\r\n")[1:]
    if trouble == "later":
        assert [line[:3] for line in after] == [b"451", b"503", b"221", b""]
    else:  # what follows could be the rest of a chunk: the connection ends
        assert [line[:3] for line in after] == [b"421", b""]
    assert asked == [trouble]
    assert list(ring.reader(config.spool).replay()) == []


# -- limits and stopping


def test_silence_an_endless_message_and_a_crowd_are_cut_off(tmp_path: Path) -> None:
    limits = Limits(command_seconds=0.5, message_seconds=1.0, connections_per_host=3)
    with smtpd(tmp_path / "node", limits=limits) as server:
        with server.connect() as silent:
            assert read_all(silent).endswith(b"421 4.4.2 You were silent for too long; please connect again\r\n")
        with server.connect() as endless:
            endless.sendall(ENVELOPE + b"DATA\r\n")
            try:
                for _ in range(40):
                    endless.sendall(b"drop\r\n")
                    threading.Event().wait(0.1)
            except OSError:
                pass
            else:
                raise AssertionError("a message without end was not cut off")
        crowd = [server.connect() for _ in range(3)]
        for one in crowd:
            assert one.recv(100).startswith(b"220")
        with server.connect() as fourth:
            assert read_all(fourth).startswith(b"421 4.7.0 Too many connections")
        for one in crowd:
            one.close()
        eventually(lambda: _greeting(server).startswith(b"220"))
        assert server.messages() == []


def _greeting(server: Smtpd) -> bytes:
    with server.connect() as connection:
        return connection.recv(100)


def test_sigterm_lets_a_message_end_and_tells_the_idle(tmp_path: Path) -> None:
    with smtpd(tmp_path / "node") as server:
        idle, busy = server.connect(), server.connect()
        assert idle.recv(100).startswith(b"220")
        busy.sendall(ENVELOPE + b"DATA\r\nfirst half\r\n")
        eventually(lambda: b"354" in busy.recv(4096))
        server.process.terminate()
        assert read_all(idle).startswith(b"421 4.3.2 ")
        with pytest.raises(OSError):
            server.connect()
        busy.sendall(b"second half\r\n.\r\n")
        answer = read_all(busy)
        assert answer.startswith(b"250 2.0.0 OK: queued")
        assert answer.endswith(b"421 4.3.2 This server is being restarted; please connect again\r\n")
        assert server.process.wait(20) == 0
        assert server.messages() == [b"first half\r\nsecond half\r\n"]
        idle.close()
        busy.close()


@pytest.mark.parametrize("missing", ["smtp/node.key", "smtp/keyholder.pub", "in/large"])
async def test_missing_piece_stops_the_start_by_name_and_is_not_made_anew(tmp_path: Path, missing: str) -> None:
    path = tmp_path / missing
    config = node(tmp_path, Keyring())
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    with pytest.raises(Misconfigured, match=re.escape(path.name)):
        await Server(config).start([])
    assert not path.exists()


def test_steps_variable_that_cannot_be_read_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gateway.steps"],
        env={"SEALGATE_TEST_KILL_AT": "2:none"},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode != 0
    assert "SEALGATE_TEST_KILL_AT" in done.stderr
