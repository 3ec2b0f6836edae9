"""Story 27: a download dropped at 60 % resumes by Range and counts once, with its byte count and header tag."""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.demo import mails
from gateway.demo.clinic import Clinic
from tests.support.patient import Patient

pytestmark = pytest.mark.full
PATIENCE = 60
SCAN = random.Random(27).randbytes(9_000_000)
"""No reader knows it, so the policy protects it; larger than what lies between server and client."""
ADDRESS, NUMBER = "story27@patient.test", "+15550100127"


def known(clinic: Clinic, address: str, number: str) -> None:
    """A patient of the clinic, with a phone."""
    people = clinic.data / f"{address.partition('@')[0]}.csv"
    people.write_text(f"address,name,phone,language\n{address},Story,{number},en\n")
    clinic.command("people", "import", str(people))


def until(clinic: Clinic, wanted: int, *words: str) -> list[dict[str, Any]]:
    """The entries of the log that match, once there are that many."""
    end = time.monotonic() + PATIENCE
    while len(found := clinic.search(*words)) < wanted:
        assert time.monotonic() < end, words
        time.sleep(0.1)
    return found


def test_a_download_dropped_at_60_percent_resumes_and_counts_once(shared: Clinic) -> None:
    known(shared, ADDRESS, NUMBER)
    mail = mails.lab_report(ADDRESS)
    mail.add_attachment(SCAN, maintype="application", subtype="octet-stream", filename="heart.scan")
    mails.send(shared, mail)
    link = shared.sink.wait_for(ADDRESS)[-1].link
    assert link is not None
    patient = Patient(shared, link, NUMBER)
    page = patient.open()
    (name, url) = list(patient.files(page).items())[-1]
    cookies = "; ".join(f"{one.name}={one.value}" for one in patient.browser.jar)
    place = urlsplit(url)
    head = patient.browser.get(url, method="HEAD")
    assert int(head.headers["content-length"]) == len(SCAN)
    etag = head.headers["etag"]
    assert hashlib.sha256(SCAN).hexdigest()[:16] not in etag, "it says nothing of what the bytes mean"
    line = http.client.HTTPConnection("127.0.0.1", place.port, timeout=PATIENCE)
    line.sock = socket.socket()
    line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # or the kernel would take the rest for us
    line.sock.settimeout(PATIENCE)
    line.sock.connect(("127.0.0.1", place.port))
    line.request("GET", place.path, headers={"Cookie": cookies, "Host": place.netloc})
    answer = line.getresponse()
    assert answer.status == 200
    got = answer.read(len(SCAN) * 6 // 10)
    line.close()
    answer.close()
    (failed,) = until(shared, 1, f"object:{name}", "action:object:failed")
    assert failed["reason"].startswith("cut 0-")
    assert len(got) <= failed["bytes"] < len(SCAN)
    assert shared.search(f"object:{name}", "action:object:completed") == []
    fields = {"Range": f"bytes={len(got)}-", "If-Range": etag}
    rest = patient.browser.get(url, headers=fields)
    assert rest.status == 206
    assert rest.headers["content-range"] == f"bytes {len(got)}-{len(SCAN) - 1}/{len(SCAN)}"
    assert got + rest.body == SCAN
    (done,) = until(shared, 1, f"object:{name}", "action:object:completed")
    assert done["bytes"] == len(SCAN)
    tag = re.fullmatch(r"resumed tag:([0-9a-f]{64})", done["reason"])
    assert tag is not None
    assert etag == f'"{tag[1][:32]}"'
    first, second = shared.search(f"object:{name}", "action:object:opened")
    assert first["receipt"] == second["receipt"] != ""
    patient.browser.get(url, headers=fields)
    until(shared, 2, f"object:{name}", "action:object:part")
    assert len(shared.search(f"object:{name}", "action:object:completed")) == 1
