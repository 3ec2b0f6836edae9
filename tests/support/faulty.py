"""A whole clinic that tests kill, starve and stop: the real `sealgate serve`, a sink that outlives it, an account of
every message that was answered 250.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import smtplib
import sqlite3
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.demo import documents, mails
from gateway.demo.clinic import DOMAIN, PEOPLE, Clinic
from gateway.demo.sink import Received, Sink
from gateway.demo.visitor import Visitor
from tests.support.load import PATIENCE

QUEUED = re.compile(rb"queued as (spl_[0-9A-Za-z]+)")
TRACE = re.compile(rb"^Sealgate-Trace: [^;]+; (spl_[0-9A-Za-z]+)", re.MULTILINE)
KINDS = ("clean", "sealed", "several")
WAITING = ("ready", "deferred")


def word(number: int) -> str:
    """A made-up word that stands in one letter and nowhere else."""
    letters = ""
    number += 26**5
    while number:
        number, rest = divmod(number, 26)
        letters += "abcdefghijklmnopqrstuvwxyz"[rest]
    return "quib" + letters


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail and what must become of it. `mark` stands in its text; `inside` are those who get it as it is."""

    kind: str
    recipients: tuple[str, ...]
    inside: tuple[str, ...]
    data: bytes
    mark: str


def letter(kind: str, number: int) -> Letter:
    """The letter of that kind and number."""
    mark = word(number)
    to = {
        "clean": (f"friend{number}@friend.test",),
        "sealed": (f"patient{number}@patient.test",),
        "several": (f"patient{number}@patient.test", f"carer{number}@patient.test", f"olga@{DOMAIN}"),
    }[kind]
    text = (
        f"Shall we have lunch on the {mark} terrace at noon?"
        if kind == "clean"
        else f"Patient {mark.title()} Oyelaran, MRN 00482915, DOB 03/04/1961. Diagnosis: hypertension. "
        "Start lisinopril 10 mg daily, HbA1c 8.1 %."
    )
    head = f"From: amy@{DOMAIN}\r\nTo: {', '.join(to)}\r\nSubject: a word\r\nMessage-ID: <{kind}.{number}@{DOMAIN}>\r\n"
    inside = tuple(one for one in to if kind == "clean" or one.endswith(DOMAIN))
    return Letter(kind, to, inside, f"{head}\r\n{text}\r\n".encode(), mark)


@dataclass(slots=True)
class Account:
    """What was answered 250, by queue id; and what was sent without an answer."""

    taken: dict[str, Letter] = field(default_factory=dict)
    unanswered: list[Letter] = field(default_factory=list)


class HookedSink(Sink):
    """A sink that calls `hook` with each mail before it says that it has taken it."""

    hook: Callable[[Received], object] | None = None

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = await super().handle_DATA(server, session, envelope)
        if self.hook is not None:
            self.hook(self.mails[-1])
        return answer


@dataclass(slots=True)
class Reader:
    """A recipient's browser in front of an opened message: the address of its file, and what is in it."""

    visitor: Visitor
    url: str
    content: bytes

    @property
    def headers(self) -> dict[str, str]:
        """What the browser sends with each request for the file."""
        request = urllib.request.Request(self.url)
        self.visitor.jar.add_cookie_header(request)
        return {"Cookie": request.get_header("Cookie", ""), "User-Agent": self.visitor.agent}

    def fetch(self, connection: http.client.HTTPConnection, **headers: str) -> tuple[int, bytes]:
        """One GET of the file on a connection that stays open."""
        connection.request("GET", urlsplit(self.url).path, headers=self.headers | headers)
        with connection.getresponse() as answer:
            return answer.status, answer.read()


class Faulty(Clinic):
    """See the module's words. Letters of one clinic have different numbers."""

    account: Account

    def __init__(self, data: Path, **more: Any) -> None:
        self.trap = data.with_name(data.name + ".trap")
        environ = {
            "SEALGATE_TEST_KILL_AT": f"@{self.trap}",
            "SEALGATE_WORKER__THREADS": "3",
            "SEALGATE_WORKER__DELIVERY_THREADS": "6",
        }
        super().__init__(data, environ=environ | more.pop("environ", {}), **more)
        self.sink: HookedSink = HookedSink()
        self.account = Account()
        self._numbers = count(1)

    def letter(self, kind: str = "") -> Letter:
        """A letter that this clinic has not had; of the kinds in turn where none is named."""
        number = next(self._numbers)
        return letter(kind or KINDS[number % 3], number)

    # killing

    def arm(self, step: str) -> None:
        """Let the running gateway be killed at that step (`gateway/steps.py`)."""
        fresh = self.trap.with_suffix(".new")
        fresh.write_text(step)
        fresh.rename(self.trap)

    def kill(self) -> None:
        """The whole tree at once, as a power cut would: process group, and parsers, which have their own."""
        assert self._process is not None
        family = self.family()
        os.killpg(self._process.pid, signal.SIGKILL)
        self.buried(family)

    def buried(self, family: list[int] | None = None, seconds: float = PATIENCE) -> None:
        """Wait until nothing of it runs any more. AssertionError when something does."""
        assert self._process is not None
        family = family or []
        until = time.monotonic() + seconds
        self._process.wait(seconds)
        while any(_runs(pid) for pid in family) or self.left_behind():
            assert time.monotonic() < until, "processes outlived the kill"
            time.sleep(0.02)
        self.trap.unlink(missing_ok=True)
        self._process.stdout.close()  # type: ignore[union-attr]

    def family(self) -> list[int]:
        """Every process below the gateway's parent."""
        assert self._process is not None
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                parents[int(entry.name)] = int(fields[1])
        found = {self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def role(self, name: str) -> int:
        """Process id of one role."""
        wanted = [b"-m", b"keys.keyholder"] if name == "keyholder" else [b"--role", name.encode()]
        for pid in self.family():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(words[at : at + 2] == wanted for at in range(len(words))):
                return pid
        raise LookupError(name)

    # mail

    def send(self, sent: Letter, seconds: float = PATIENCE) -> int:
        """Hand a letter in; the code of the last answer, 0 when the line broke. What is answered 250 is accounted."""
        try:
            with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=seconds) as client:
                client.ehlo("ward.test")
                code, _ = client.mail(f"amy@{DOMAIN}")
                for one in sent.recipients:
                    if code == 250:
                        code, _ = client.rcpt(one)
                if code != 250:
                    return code
                code, answer = client.data(sent.data)
                if code == 250:
                    self.account.taken[QUEUED.search(answer)[1].decode()] = sent  # type: ignore[index]
                return code
        except smtplib.SMTPResponseException as error:
            return error.smtp_code
        except (smtplib.SMTPException, OSError):
            self.account.unanswered.append(sent)
            return 0

    def arrivals(self, start: int = 0) -> Counter[tuple[str, str]]:
        """How often each (queue id, recipient) reached the sink, from its `start`-th mail on."""
        found: Counter[tuple[str, str]] = Counter()
        for mail in self.sink.mails[start:]:
            queue = TRACE.search(mail.data)
            found.update((queue[1].decode() if queue else "", one) for one in mail.recipients)
        return found

    def missing(self) -> list[tuple[str, str]]:
        """(queue id, recipient) of what was answered 250 and has not arrived."""
        there = self.arrivals()
        return [
            (queue, one)
            for queue, sent in self.account.taken.items()
            for one in sent.recipients
            if not there[queue, one]
        ]

    def settled(self, seconds: float = 2 * PATIENCE) -> None:
        """Wait until everything answered 250 has arrived and no delivery waits. AssertionError after that time."""
        until = time.monotonic() + seconds
        while (lost := self.missing()) or self.waiting():
            assert time.monotonic() < until, f"{len(lost)} of {len(self.account.taken)} did not arrive: {lost[:3]}"
            time.sleep(0.05)

    def sink_quiet(self) -> int:
        """How many mails the sink has, once none is under way any more."""
        count, since = len(self.sink.mails), time.monotonic()
        while time.monotonic() - since < 0.25:
            time.sleep(0.02)
            if len(self.sink.mails) != count:
                count, since = len(self.sink.mails), time.monotonic()
        return count

    def reader(self) -> Reader:
        """Send a lab report, open it as its recipient with a code by text."""
        before = len([one for one in self.sink.mails if mails.MARGUERITE in one.recipients])
        texts = len(self.texts())
        mail = mails.lab_report()

        def taken() -> bool:
            try:
                return bool(mails.send(self, mail))
            except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
                if error.smtp_code != 451:  # a mail server tries such a mail again, and so does this
                    raise
                return False

        eventually(taken)
        link = self.sink.wait_for(mails.MARGUERITE, before + 1, PATIENCE)[-1].link
        assert link is not None
        visitor, phone = Visitor(), PEOPLE[0][2]
        asked = visitor.submit(visitor.get(link), "/code", last4=phone[-4:])
        code = re.search(r"\b\d{6}\b", self.wait_for_text(phone, texts + 1, PATIENCE))
        assert code is not None
        opened = visitor.submit(asked, "/verify", code=code[0])
        (path,) = set(re.findall(r'href="(/m/\w+/files/obj_\w+)"', opened.text))
        return Reader(visitor, self.portal + path, documents.lab_report())

    # the database

    @property
    def database(self) -> Path:
        return self.data / "db" / "sealgate.db"

    @contextmanager
    def sql(self, *, writing: bool = False) -> Iterator[sqlite3.Connection]:
        """The live database, as another process of the same user may open it."""
        mode = "rw" if writing else "ro"
        with closing(
            sqlite3.connect(f"file:{self.database}?mode={mode}", uri=True, timeout=10, isolation_level=None)
        ) as conn:
            yield conn

    def waiting(self) -> int:
        """Deliveries that are still to be made."""
        with self.sql() as conn:
            return int(
                conn.execute("SELECT count(*) FROM deliveries WHERE state IN ('ready', 'deferred')").fetchone()[0]
            )

    def autopsy(self, folder: Path) -> dict[str, Counter[str]]:
        """Of a killed gateway: how many deliveries of each queue id were in which state. Reads a copy."""
        folder.mkdir()
        for name in ("sealgate.db", "sealgate.db-wal"):
            if (self.database.parent / name).exists():
                shutil.copy(self.database.parent / name, folder / name)
        found: dict[str, Counter[str]] = {}
        with closing(sqlite3.connect(folder / "sealgate.db")) as conn:
            for queue, state, count in conn.execute(
                "SELECT m.queue, d.state, count(*) FROM deliveries d JOIN messages m ON m.id = d.message GROUP BY 1, 2"
            ):
                found.setdefault(queue, Counter())[state] = count
        return found

    def holds_in_clear(self, marks: list[str]) -> list[str]:
        """Files under the data folder, the log among them, in which one of the words can be read."""
        found = []
        for path in self.data.rglob("*"):
            if path.is_file():
                data = path.read_bytes().lower()
                found += [path.name for mark in marks if mark.encode() in data]
        return found

    def log_text(self) -> str:
        return (self.data / "gateway.log").read_text(errors="replace")


def clear_copies(mails: list[Received], letters: list[Letter]) -> list[str]:
    """Marks of protected letters that reached somebody outside in clear."""
    protected = {one.mark: one for one in letters if one.kind != "clean"}
    found = []
    for mail in mails:
        outside = [one for one in mail.recipients if not one.endswith(DOMAIN)]
        text = mail.everything().lower()
        found += [mark for mark in protected if outside and mark.encode() in text]
    return found


def eventually(check: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until it holds. AssertionError after that time."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
