"""Ceph's RADOS Gateway on loopback: a true S3 server, its data in memory, its processes ours.

Promises: every process that was started here is ended here; nothing is written outside the folder. One monitor, one
OSD without replication, one gateway: enough for the protocol, and for nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Self

from gateway.demo.ports import free_port
from tests.support.needs import need

KEY, SECRET = "made-access-key", "made-secret-key-of-the-tests"
PATIENCE_SECONDS = 90.0
_CONF = """\
[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{mon}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
osd objectstore = memstore
memstore device bytes = 1073741824
osd data = {folder}/osd
mon data = {folder}/mon
run dir = {folder}/run
admin socket = {folder}/run/$cluster-$name.$pid.asok
pid file = {folder}/run/$name.pid
log file = {folder}/run/$name.log
mon cluster log file = {folder}/run/cluster.log
public network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw dns name = localhost
"""


class Radosgw:
    """See the module's words. `endpoint` is its URL; `bucket` makes an empty bucket."""

    def __init__(self) -> None:
        for program, package in (
            ("radosgw", "radosgw"), ("ceph-mon", "ceph-mon"), ("ceph-osd", "ceph-osd"), ("ceph", "ceph-common"),
        ):  # fmt: skip
            need(program, package)
        self.folder = Path(tempfile.mkdtemp(prefix="rgw-"))
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._commands: dict[int, tuple[str, ...]] = {}

    def __enter__(self) -> Self:
        for name in ("mon", "osd", "run", "rgw"):
            (self.folder / name).mkdir()
        conf = self.folder / "ceph.conf"
        fsid, mon = str(uuid.uuid4()), free_port()
        conf.write_text(_CONF.format(fsid=fsid, folder=self.folder, mon=mon, port=self.port))
        try:
            self._do(
                "monmaptool", "--create", "--clobber", "--addv", "a", f"[v1:127.0.0.1:{mon}]", "--fsid", fsid,
                f"{self.folder}/monmap",
            )  # fmt: skip
            self._do("ceph-mon", "--mkfs", "-i", "a", "--monmap", f"{self.folder}/monmap")
            self._start("ceph-mon", "-i", "a")
            osd = str(uuid.uuid4())
            self._do("ceph", "--connect-timeout", "60", "osd", "new", osd, "0")
            self._do("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
            self._start("ceph-osd", "-i", "0")
            self._start("radosgw", "-n", "client.rgw")
            self._wait()
            self._do(
                "radosgw-admin", "-n", "client.rgw", "user", "create", "--uid=t", "--display-name=t",
                f"--access-key={KEY}", f"--secret-key={SECRET}",
            )  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in reversed(self._processes):
            for sign, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
                    break
        shutil.rmtree(self.folder, ignore_errors=True)

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self.folder / "ceph.conf")}

    def _do(self, *command: str) -> str:
        program, *rest = command
        conf = [] if program == "monmaptool" else ["-c", str(self.folder / "ceph.conf")]
        done = subprocess.run(
            [need(program), *conf, *rest], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
            env=self._environ(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stderr[-500:]}")
        return done.stdout

    def _start(self, *command: str) -> None:
        with open(self.folder / "run" / f"{command[0]}.out", "wb") as out:
            process = subprocess.Popen(
                [need(command[0]), "-c", str(self.folder / "ceph.conf"), "-f", *command[1:]],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._environ(),
            )  # fmt: skip
        self._processes.append(process)
        self._commands[process.pid] = command

    def _wait(self) -> None:
        until, tries = time.monotonic() + PATIENCE_SECONDS, 10
        while True:
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as connection,
            ):
                connection.request("GET", "/")
                if connection.getresponse().status == 200:
                    return
            # An OSD that asks before its monitor has told it the cluster's id gives up ("wrong fsid"): once more, then.
            ended = [one for one in self._processes if one.poll() is not None]
            if ended and tries:
                tries -= 1
                for one in ended:
                    self._processes.remove(one)
                    self._start(*self._commands.pop(one.pid))
                continue
            if ended or time.monotonic() > until:
                said = [file.read_text(errors="replace")[-600:] for file in (self.folder / "run").glob("*.out")]
                raise TimeoutError(f"the RADOS gateway does not answer; ended: {len(ended)}\n{chr(10).join(said)}")
            time.sleep(0.1)


def client(endpoint: str) -> Any:
    """An administrator's client, for what Sealgate itself never does: making buckets, listing uploads."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )  # fmt: skip
