"""The real process over its real sockets: main path, restarts, kill -9, wrong KEK, and what strangers get."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyotp
import pytest

from keys import merkle
from keys.client import OperatorClient, unb64
from keys.derive import object_share
from keys.encoding import canonical
from keys.errors import Denied, Unavailable
from keys.keyholder import roles, server
from keys.providers.file import FileProvider
from tests.support.keyholder import (
    NODE,
    PASSWORD,
    PHONE,
    TENANT,
    Keyholder,
    add_staff,
    config_in,
    deposit_for,
    running,
    set_up,
    sign_in,
    text_code,
)
from tests.unit.keyholder.conftest import PERSON, refusal


def test_the_whole_way_over_sockets_survives_kill_and_restart(process: Keyholder) -> None:
    deposit = deposit_for(PERSON)
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    receipts = process.worker.deposit([deposit])
    staff = add_staff(process, "usr_amy", "office")
    desk = sign_in(process, staff)
    session = process.portal.verify(grant, text_code(process, grant), "vis_1", "net_1")["handle"]
    released = process.portal.release(session, grant, thing, "download", "req_1")
    epochs = process.worker.epochs(NODE)
    keys = process.portal.keys()
    vkeys = process.worker.vkeys(TENANT)
    code = process.portal.staff_code(desk, grant, "called")["code"]
    public_key = process.public_key
    for end in (process.kill, process.stop):
        end()
        with pytest.raises(Unavailable):
            process.portal.keys()
        process.start()
        assert process.public_key == public_key
        assert process.portal.keys() == keys
        assert process.worker.vkeys(TENANT) == vkeys
        assert process.worker.epochs(NODE)[: len(epochs)] == epochs
        assert process.worker.deposit([deposit]) == receipts
        assert process.portal.session(desk)["user"] == "usr_amy"
        again = process.portal.release(session, grant, thing, "download", f"req_{end.__name__}")
        assert again["share"] == released["share"]
        assert again["receipt"] == released["receipt"] | {"resumed": True}
    share = object_share(deposit.share, tenant=TENANT, message=deposit.message, object_id=thing)
    assert unb64(released["share"]) == share
    assert process.portal.verify(grant, code, "vis_2", "net_1")["method"] == "staff"
    process.portal.narrow(desk, deposit.message, grant, {"revoke": True}, "req_recall")
    process.kill()
    process.start()
    with refusal("no-session"):
        process.portal.release(session, grant, thing, "download", "req_after")


def test_what_was_answered_under_load_is_there_after_kill_9(process: Keyholder) -> None:
    answered: list[tuple[int, str]] = []
    guard = threading.Lock()

    def work() -> None:
        while True:
            deposit = deposit_for(PERSON)
            try:
                receipt = process.worker.deposit([deposit])[deposit.message]
            except Unavailable:
                return
            with guard:
                answered.append((receipt["index"], receipt["leaf_hash"]))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(answered) < 60 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    for thread in threads:
        thread.join()
    process.start()
    leaves = []
    page = process.worker.release_log(TENANT)
    while True:
        leaves += [merkle.leaf_hash(unb64(entry)) for entry in page["entries"]]
        if len(leaves) == page["size"]:
            break
        page = process.worker.release_log(TENANT, len(leaves))
    assert len(answered) >= 60
    assert len({index for index, _ in answered}) == len(answered)
    for index, leaf_hash in answered:
        assert leaves[index] == unb64(leaf_hash)


def test_one_role_that_takes_all_its_connections_takes_none_of_anothers(process: Keyholder) -> None:
    held: list[socket.socket] = []
    try:
        while len(held) < server._MOST_CONNECTIONS + 20:
            one = socket.socket(socket.AF_UNIX)  # blocking: it waits while the listener's queue is full
            one.connect(str(server.socket_path(process.config, "portal")))
            held.append(one)
        held[-1].settimeout(30)
        assert held[-1].recv(1) == b""  # one too many is closed at once
        assert process.worker.keys(NODE)
    finally:
        for one in held:
            one.close()


def test_a_wrong_kek_is_refused_by_name_with_exit_78_and_the_right_one_opens_again(tmp_path: Path) -> None:
    with running(tmp_path) as keyholder:
        set_up(keyholder)
        right = keyholder.operator.status()["kek"]
    config = keyholder.config
    shutil.move(config.kek_file, tmp_path / "kek.right")
    wrong = FileProvider.open(config.kek_file, create=True)
    ended = started(config.to_json(), tmp_path)
    assert ended.returncode == 78
    assert right in ended.stderr
    assert wrong.check_value in ended.stderr
    assert str(config.kek_file) in ended.stderr
    assert ended.stderr.count("\n") == 1
    config.kek_file.unlink()
    ended = started(config.to_json(), tmp_path)  # missing in an existing installation: never made anew
    assert ended.returncode == 78
    assert not config.kek_file.exists()
    shutil.move(tmp_path / "kek.right", config.kek_file)
    keyholder.start()
    try:
        assert keyholder.operator.status()["kek"] == right
    finally:
        keyholder.close()


def started(settings: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Start a keyholder that is expected to end by itself."""
    path = directory / "try.json"
    path.write_text(settings)
    return subprocess.run(
        [sys.executable, "-m", "keys.keyholder", "--config", str(path)], capture_output=True, text=True, timeout=60,
        check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip


def test_a_missing_store_is_never_started_empty(tmp_path: Path) -> None:
    config = dataclasses.replace(config_in(tmp_path), create=False)
    ended = started(config.to_json(), tmp_path)
    assert (ended.returncode, "missing" in ended.stderr) == (78, True)
    assert not config.database.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"limits": {"trys": 1}}, "trys"), ({"colour": 1}, "colour"), ({"uids": {"smtp": [1]}}, "smtp"),
     ({"limits": {"tries": -1}}, "tries"), ({"directory": 5}, "directory")],
)  # fmt: skip
def test_an_unknown_setting_is_refused_by_name(tmp_path: Path, change: dict[str, object], named: str) -> None:
    ended = started(json.dumps(json.loads(config_in(tmp_path).to_json()) | change), tmp_path)
    assert ended.returncode == 78
    assert named in ended.stderr


def test_a_damaged_store_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as keyholder:
        set_up(keyholder)
    keyholder.config.database.write_bytes(b"no database" * 1000)
    ended = started(keyholder.config.to_json(), tmp_path)
    assert ended.returncode == 78


def test_a_second_keyholder_on_the_same_store_is_refused(process: Keyholder, tmp_path: Path) -> None:
    ended = started(process.config.to_json(), tmp_path)
    assert ended.returncode == 75
    assert process.operator.status()["nodes"] == {NODE: ["worker"]}


def test_every_role_has_only_its_own_methods(process: Keyholder) -> None:
    clients = {"operator": process.operator, "worker": process.worker, "portal": process.portal}
    everything = {name for table in roles.METHODS.values() for name in table}
    for role, client in clients.items():
        for method in sorted(everything - set(roles.METHODS[role])):
            with refusal("not-allowed"):
                client.connection.call(method, {})
        with refusal("not-allowed"):
            client.connection.call("__class__", {})
    log = process.worker.release_log("system")
    actions = [json.loads(unb64(entry))["action"] for entry in log["entries"]]
    assert actions.count("call:refused") == sum(len(everything - set(t)) + 1 for t in roles.METHODS.values())


def test_what_opens_or_signs_belongs_to_one_role_alone() -> None:
    table = {role: set(methods) for role, methods in roles.METHODS.items()}
    assert set(table) == {"worker", "portal", "operator"}
    assert not table["portal"] & {"deposit", "epochs", "snapshot", "sign_checkpoint", "release_held", "take_texts"}
    assert not table["worker"] & {"release", "verify", "staff_login", "session", "officer_act", "add_user"}
    assert not table["operator"] & {"release", "release_meta", "release_held", "deposit", "keys", "epochs", "verify"}


def raw(process: Keyholder, data: bytes) -> bytes:
    """What the portal's socket answers to these bytes."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(process.config.sockets_dir / "portal.sock"))
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # closed with our bytes unread
            while chunk := peer.recv(65536):
                answer += chunk
        return answer


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def test_what_is_no_request_gets_no_answer_and_harms_nobody(process: Keyholder) -> None:
    for data in (
        b"", b"GET / HTTP/1.1\r\n\r\n", struct.pack(">I", 2**32 - 1), struct.pack(">I", 2**20 + 1) + b"x" * 100,
        frame(b"{}")[:5], frame(b'{"id": 1}'), frame(b"[]"), frame(b'{"a":1,"a":2}'), frame(b"\xff\xfe"),
    ):  # fmt: skip
        assert raw(process, data) == b"", data
    assert process.portal.keys()["public_key"] == process.public_key


def test_a_malformed_request_is_told_so(process: Keyholder) -> None:
    good: dict[str, object] = {"id": 1, "method": "session", "params": {"handle": "x"}}
    assert raw(process, frame(canonical(good))) == frame(canonical({"denied": {"reason": "no-session"}, "id": 1}))
    for change in (
        {"role": "operator"}, {"params": []}, {"method": ["session"]}, {"params": {"handle": 5}},
        {"params": {"handle": "a b"}}, {"params": {}}, {"params": {"handle": "x", "proof": 3}},
    ):  # fmt: skip
        answer = raw(process, frame(canonical(good | change)))
        assert answer == frame(canonical({"error": "bad-call", "id": 1})), change


def test_sockets_store_and_kek_are_for_the_owner_alone_and_no_core_is_dumped(process: Keyholder) -> None:
    config = process.config
    assert config.sockets_dir.stat().st_mode & 0o777 == 0o700
    for role in ("worker", "portal", "operator"):
        assert (config.sockets_dir / f"{role}.sock").stat().st_mode & 0o777 == 0o600
    assert config.directory.stat().st_mode & 0o777 == 0o700
    for path in config.directory.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert config.kek_file.stat().st_mode & 0o777 == 0o400
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    limits = Path(f"/proc/{process.process.pid}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]


def test_sigterm_ends_it_with_0_and_takes_the_sockets_away(process: Keyholder) -> None:
    assert process.stop() == 0
    assert list(process.config.sockets_dir.iterdir()) == []


def test_no_secret_reaches_its_log_even_when_things_go_wrong(process: Keyholder) -> None:
    deposit = deposit_for(PERSON)
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    process.worker.deposit([deposit])
    staff = add_staff(process, "usr_amy", "staff")
    code = text_code(process, grant)
    session = process.portal.verify(grant, code, "vis_1", "net_1")["handle"]
    secret = process.portal.totp_begin(session)["secret"]
    process.portal.totp_confirm(session, pyotp.TOTP(secret).now())
    released = process.portal.release(session, grant, thing, "download", "req_1")
    for call in (
        lambda: process.portal.connection.call("release", {"session": session, "grant": grant}),
        lambda: process.portal.connection.call(session, {}),
        lambda: process.portal.verify(grant, code, "vis_1", "net_1"),
        lambda: process.portal.staff_login(TENANT, "usr_amy", PASSWORD + "x", staff.code(), "net_1"),
        lambda: process.operator.register_person(TENANT, PERSON, PHONE + "x"),
    ):
        with pytest.raises(Denied):
            call()
    process.stop()
    written = process.errors.read_text()
    entries = b"".join(path.read_bytes() for path in process.config.directory.iterdir())
    assert "not-allowed" in written
    for value in (code, session, secret, released["share"], PASSWORD, PHONE, PHONE[1:], grant, staff.secret):
        assert value not in written
    for value in (session, secret, released["share"], PASSWORD, PHONE[1:], staff.secret):
        assert value.encode() not in entries


def test_many_callers_at_once_get_one_receipt_each(process: Keyholder) -> None:
    deposits = [deposit_for(PERSON) for _ in range(8)]
    process.worker.deposit(deposits)
    indices: list[int] = []
    guard = threading.Lock()

    def destroy(message: str) -> None:
        index = process.operator.destroy_message(TENANT, message)["receipt"]["index"]
        with guard:
            indices.append(index)

    threads = [threading.Thread(target=destroy, args=(deposit.message,)) for deposit in deposits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(indices)) == 8
    assert process.operator.status()["counts"]["messages"] == 0


def test_a_stranger_on_a_socket_is_recorded_and_gets_nothing(tmp_path: Path) -> None:
    config = dataclasses.replace(
        config_in(tmp_path), uids={"worker": (os.geteuid(),), "operator": (os.geteuid(),), "portal": (54_321,)}
    )
    keyholder = Keyholder(config)
    keyholder.start()
    try:
        set_up(keyholder)
        with pytest.raises(Unavailable):
            keyholder.portal.keys()
        assert keyholder.worker.keys(NODE)["public_key"] == keyholder.public_key
        entries = keyholder.operator.release_log("system")["entries"]
        last = json.loads(unb64(entries[-1]))
        assert (last["action"], last["object"], last["actor"]["id"]) == (
            "call:refused", f"uid-{os.geteuid()}", "portal",
        )  # fmt: skip
    finally:
        keyholder.close()


def test_a_client_without_a_keyholder_says_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        OperatorClient(tmp_path / "nobody.sock").status()


def test_a_hardened_process_is_not_dumpable() -> None:
    ask = (
        "import ctypes, os, resource; from keys.keyholder.harden import harden; harden(); "
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert said.stdout.split("\n")[0] == "0 (0, 0) 0o77"


def test_the_keyholder_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = (
        "import sys, time; from pathlib import Path; from tests.support.keyholder import Keyholder, config_in\n"
        "keyholder = Keyholder(config_in(Path(sys.argv[1]))); keyholder.start()\n"
        "print(keyholder.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists() or "Z" in state_of(pid)


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"
