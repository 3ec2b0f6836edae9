"""`sealgate keys rotate` on a running installation: downloads go on, no blob is touched, and the way back is closed.

`keys.keyholder` has the tests of every provider; here the whole product goes from a file to a fresh one, to a token of
SoftHSM2, to AWS KMS (moto), each of which goes away meanwhile, and back to a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from keys.providers import open_provider
from keys.providers.file import FileProvider
from tests.support import rootkeys
from tests.support.faulty import Faulty, eventually
from tests.support.patient import Patient
from tests.support.rootkeys import Rig

pytestmark = pytest.mark.full
PATIENCE = 60
DOWNLOADS = int(os.environ.get("ROTATION_DOWNLOADS", "8"))
"""Under way at once. By hand fifty: ROTATION_DOWNLOADS=50."""
ELSEWHERE = ("pkcs11", "aws-kms")
SCAN = random.Random(34).randbytes(3_000_000)
ADDRESS, NUMBER = "rotated@patient.test", "+15550100134"


class Readers:
    """Downloads of one file under way at once: each reads a little now and then, and the rest at the end."""

    def __init__(self, url: str, cookies: str) -> None:
        self._place, self._cookies = urlsplit(url), cookies
        self._finish = threading.Event()
        self._begun = threading.Semaphore(0)
        self.whole, self.failed = 0, list[str]()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._read, args=(n,)) for n in range(DOWNLOADS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            assert self._begun.acquire(timeout=PATIENCE)
        return self

    def __exit__(self, *exception: object) -> None:
        self._finish.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def one_more(self) -> None:
        """A download that begins now, to its end."""
        answer, line = self._asked(DOWNLOADS)
        assert (answer.status, answer.read()) == (200, SCAN)
        line.close()

    def _asked(self, number: int) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        """Each from a network of its own: one that asks too often is slowed."""
        line = http.client.HTTPConnection(
            "127.0.0.1", self._place.port, timeout=PATIENCE, source_address=(f"127.0.{number + 1}.1", 0)
        )
        line.request("GET", self._place.path, headers={"Cookie": self._cookies, "Host": self._place.netloc})
        return line.getresponse(), line

    def _read(self, number: int) -> None:
        said, got = "", b""
        try:
            answer, line = self._asked(number)
            got = answer.read(65_536)
            self._begun.release()
            while not self._finish.wait(0.5):
                if len(got) < len(SCAN) // 2:
                    got += answer.read(65_536)
            got += answer.read()
            line.close()
            if (answer.status, got) != (200, SCAN):
                said = f"{answer.status}, {len(got)} bytes"
        except OSError as error:
            said = f"{type(error).__name__} after {len(got)} bytes"
        with self._lock:
            self.whole += not said
            self.failed += [said] if said else []


def blobs(clinic: Clinic) -> dict[str, tuple[int, int, bytes]]:
    """Every blob with its inode, its time and what it holds."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).digest())
        for path in sorted((clinic.data / "vault").rglob("*")) if path.is_file()
    }  # fmt: skip


def keys(clinic: Clinic, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(clinic.command("keys", *arguments, "--json"))
    return found


def with_keys(clinic: Clinic, file: Path, lines: str) -> Path:
    """The configuration with other lines for the root key."""
    text = clinic.config.read_text().replace(f'kek_file = "{clinic.data}/kek"', lines)
    assert lines in text
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def rigs(folder: Path) -> Iterator[dict[str, Rig]]:
    """A token of SoftHSM with its key, and a KMS of moto; there before the clinic, whose keyholder inherits them."""
    with contextlib.ExitStack() as stack:
        made = {}
        for name in ELSEWHERE:
            if why := rootkeys.missing(name):
                pytest.skip(why)
            (folder / name).mkdir()
            made[name] = stack.enter_context(rootkeys.rig(name, folder / name))
        open_provider(made["pkcs11"].choice, create=True)
        yield made


@pytest.fixture(scope="module")
def clinic(folder: Path, rigs: dict[str, Rig]) -> Iterator[Faulty]:
    made = Faulty(folder / "c", limits={"pulse_seconds": 1, "pulse_silence_seconds": 1})
    try:
        made.start()
        people = made.data / "people.csv"
        people.write_text(f"address,name,phone,language\n{ADDRESS},Story,{NUMBER},en\n")
        made.command("people", "import", str(people))
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def patient(clinic: Faulty) -> Patient:
    """A reader in front of a scan of three megabytes."""
    mail = mails.lab_report(ADDRESS)
    mail.add_attachment(SCAN, maintype="application", subtype="octet-stream", filename="heart.scan")
    mails.send(clinic, mail)
    link = clinic.sink.wait_for(ADDRESS)[-1].link
    assert link is not None
    return Patient(clinic, link, NUMBER)


@pytest.fixture(scope="module")
def readers(patient: Patient) -> Callable[[], Readers]:
    url = list(patient.files(patient.open()).values())[-1]
    cookies = "; ".join(f"{one.name}={one.value}" for one in patient.browser.jar)
    return lambda: Readers(url, cookies)


def lines_of(rig: Rig, kek: str) -> str:
    values = "\n".join(f'{name} = "{value}"' for name, value in rig.choice.values.items())
    return f'provider = "{rig.choice.provider}"\n{values}\nkek_file = "{kek}"'


def test_downloads_go_on_while_the_root_key_goes_through_a_token_and_a_kms(
    clinic: Faulty, rigs: dict[str, Rig], readers: Callable[[], Readers], folder: Path
) -> None:
    sealed, kek = blobs(clinic), clinic.data / "kek"
    first = keys(clinic, "status")
    assert first["check"] == FileProvider.open(kek).check_value
    assert sealed
    turned = []
    with readers() as running:
        turned.append(keys(clinic, "rotate"))  # a fresh key in the same place
        running.one_more()
        for name in ELSEWHERE:
            to = with_keys(clinic, folder / f"{name}.toml", lines_of(rigs[name], str(kek)))
            turned.append(keys(clinic, "rotate", "--to", str(to)))
            running.one_more()
            unreachable(clinic, rigs[name])
            running.one_more()
        back = with_keys(clinic, folder / "back.toml", f'kek_file = "{clinic.data}/kek-4"')
        turned.append(keys(clinic, "rotate", "--to", str(back)))
        running.one_more()
        assert running.whole == 0, "all of them are under way still"
    assert running.failed == []
    assert running.whole == DOWNLOADS
    assert {path: blobs(clinic)[path] for path in sealed} == sealed
    assert [one["broken"] for one in turned] == [0, 0, 0, 0]
    assert turned[0]["done"] == turned[0]["keys"] > 5
    assert [one["provider"] for one in turned] == ["file", *ELSEWHERE, "file"]
    assert len({one["check"] for one in (first, *turned)}) == 5
    # What was replaced lies beside, under its check value; the twin: with it the store does not open again.
    before = clinic.data / f"kek.before-{first['check']}"
    assert FileProvider.open(before).check_value == first["check"]
    assert FileProvider.open(kek).check_value == turned[0]["check"]
    clinic.stop_gateway()
    clinic.config.write_text(back.read_text())
    kek.unlink()
    clinic.serve()
    assert keys(clinic, "status")["check"] == turned[-1]["check"]
    running.one_more()


def refused(clinic: Faulty) -> None:
    """Whoever comes now with a link and a phone reads a plain page that names nothing of ours."""
    link = clinic.sink.wait_for(ADDRESS)[-1].link
    assert link is not None
    asked = Patient(clinic, link, NUMBER)
    page = asked.browser.submit(asked.knock(), "/code", last4=NUMBER[-4:])
    assert page.status == 503
    assert not re.search("keyholder|pkcs11|kms|token", page.text.lower())


def unreachable(clinic: Faulty, rig: Rig) -> None:
    """The token is pulled, the KMS is away: new mail waits, nobody is told why, and it goes on by itself."""
    assert clinic.send(clinic.letter()) == 250
    assert rig.stop is not None
    assert rig.resume is not None
    rig.stop()
    try:
        eventually(lambda: clinic.send(clinic.letter()) == 451)
        assert keys(clinic, "status")["answers"] in ("silent", "refused")
        refused(clinic)
    finally:
        rig.resume()
    eventually(lambda: clinic.send(clinic.letter()) == 250)
    clinic.settled()
    assert keys(clinic, "status")["answers"] == "yes"
