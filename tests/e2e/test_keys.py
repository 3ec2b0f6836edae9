"""`sealgate keys rotate` on a running installation: downloads go on, no blob is touched, and the way back is closed.

`keys.keyholder` has the tests of every provider; here the whole product goes from a file to a fresh one, to Vault (a
double of it) and back.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import random
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from keys.providers.file import FileProvider
from tests.e2e.conftest import running
from tests.support import rootkeys
from tests.support.patient import Patient

pytestmark = pytest.mark.full
PATIENCE = 60
DOWNLOADS = 50
SCAN = random.Random(34).randbytes(3_000_000)
ADDRESS, NUMBER = "rotated@patient.test", "+15550100134"


class Readers:
    """Fifty downloads of one file under way at once: each reads a little now and then, and the rest at the end."""

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
            while not self._finish.wait(0.25):
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


def test_fifty_downloads_go_on_while_the_root_key_is_rotated(tmp_path: Path) -> None:
    with contextlib.contextmanager(running)(tmp_path / "c") as clinic, rootkeys.rig("vault-transit", tmp_path) as rig:
        people = clinic.data / "people.csv"
        people.write_text(f"address,name,phone,language\n{ADDRESS},Story,{NUMBER},en\n")
        clinic.command("people", "import", str(people))
        mail = mails.lab_report(ADDRESS)
        mail.add_attachment(SCAN, maintype="application", subtype="octet-stream", filename="heart.scan")
        mails.send(clinic, mail)
        link = clinic.sink.wait_for(ADDRESS)[-1].link
        assert link is not None
        patient = Patient(clinic, link, NUMBER)
        url = list(patient.files(patient.open()).values())[-1]
        cookies = "; ".join(f"{one.name}={one.value}" for one in patient.browser.jar)
        sealed, kek = blobs(clinic), clinic.data / "kek"
        first = keys(clinic, "status")
        assert first["check"] == FileProvider.open(kek).check_value
        assert sealed
        vault = with_keys(
            clinic, tmp_path / "vault.toml",
            'provider = "vault-transit"\n' + "\n".join(f'{k} = "{v}"' for k, v in rig.choice.values.items())
            + f'\nkek_file = "{clinic.data}/kek"',
        )  # fmt: skip
        back = with_keys(clinic, tmp_path / "back.toml", f'kek_file = "{clinic.data}/kek-4"')
        with Readers(url, cookies) as readers:
            second = keys(clinic, "rotate")  # a fresh key in the same place
            readers.one_more()
            third = keys(clinic, "rotate", "--to", str(vault))
            readers.one_more()
            fourth = keys(clinic, "rotate", "--to", str(back))
            readers.one_more()
            assert readers.whole == 0, "all of them are under way still"
        assert readers.failed == []
        assert readers.whole == DOWNLOADS
        assert blobs(clinic) == sealed
        assert [one["broken"] for one in (second, third, fourth)] == [0, 0, 0]
        assert second["done"] == second["keys"] > 5
        assert len({one["check"] for one in (first, second, third, fourth)}) == 4
        assert third["provider"] == "vault-transit"
        # What was replaced lies beside, under its check value; the twin: with it the store does not open again.
        before = clinic.data / f"kek.before-{first['check']}"
        assert FileProvider.open(before).check_value == first["check"]
        assert FileProvider.open(kek).check_value == second["check"]
        clinic.stop_gateway()
        clinic.config.write_text(back.read_text())
        kek.unlink()
        clinic.serve()
        assert keys(clinic, "status")["check"] == fourth["check"]
        readers.one_more()
