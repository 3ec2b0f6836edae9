"""Two nodes and two portals on one PostgreSQL, one keyholder and one vault: either may be killed at any time.

The first node starts the keyholder, so that killing it takes the keyholder from the second one as well. The sink and
the account of the 250s are this process's and outlive every kill.
"""

from __future__ import annotations

import http.client
import io
import random
import re
import shutil
import smtplib
import socket
import sqlite3
import subprocess
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path

import pytest

from gateway.demo import mails
from gateway.demo.clinic import DOMAIN, PEOPLE
from gateway.demo.visitor import Visitor
from gateway.errors import Misconfigured, TryLater
from tests.support import nodes, postgres
from tests.support.faulty import TRACE, Letter, eventually
from tests.support.load import PATIENCE, stretched
from tests.support.nodes import Node
from tests.support.postgres import Postgres

pytestmark = [pytest.mark.full, pytest.mark.postgres]
CLIENTS = 2  # a node
PAUSE_SECONDS = 0.8
WITHIN_SECONDS = 5.0
FILE_BYTES = 20 << 20


@dataclass
class Cluster:
    """Both nodes, and what is known of each letter."""

    server: Postgres
    nodes: tuple[Node, Node]
    answered: list[Letter] = field(default_factory=list)
    resent: set[str] = field(default_factory=set)
    """Marks of letters handed in again because no answer came."""
    uncertain: set[str] = field(default_factory=set)
    """Queue ids that had arrived at a kill while the outcome was not committed."""
    refused: Counter[int] = field(default_factory=Counter)

    @property
    def sink(self) -> object:
        return self.nodes[0].sink

    def arrivals(self) -> dict[str, list[str]]:
        """Recipient to the queue ids under which something reached them; of those who get one letter only."""
        found: dict[str, list[str]] = {}
        for mail in self.nodes[0].sink.mails:
            queue = TRACE.search(mail.data)
            for one in mail.recipients:
                if not one.endswith(DOMAIN):
                    found.setdefault(one, []).append(queue[1].decode() if queue else "")
        return found

    def lost(self) -> list[str]:
        """Recipients of what was answered 250 and has not arrived."""
        there = self.arrivals()
        return [
            one for sent in self.answered for one in sent.recipients if not one.endswith(DOMAIN) and one not in there
        ]

    def unexplained(self) -> list[str]:
        """Recipients who got a letter twice though its 250 was heard and its outcome committed."""
        wire = {one for sent in self.answered if sent.mark in self.resent for one in sent.recipients}
        return [
            one
            for one, queues in self.arrivals().items()
            if len(queues) > 1 and one not in wire and not set(queues) <= self.uncertain
        ]

    def doubled(self) -> int:
        return sum(len(queues) - 1 for queues in self.arrivals().values())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("n")
    with postgres.running() as server:
        store = nodes.roles(server)
        first = Node(folder / "a", "a", store)
        second = Node(folder / "b", "b", store, of=first)
        try:
            first.prepare()
            assert "tables: none -> " in first.command("migrate")
            assert "rights: " in first.command("migrate")  # may be repeated
            first.start()
            assert "node b: added" in second.join()
            yield Cluster(server, (first, second))
        finally:
            second.stop_gateway()
            first.stop()


def load(cluster: Cluster, node: Node, stop: threading.Event) -> None:
    """Hand in letters one after the other; one without a 250 again, as a mail server would, here or at the other."""
    other = next(one for one in cluster.nodes if one is not node)
    while not stop.is_set():
        sent = node.letter(random.choice(("clean", "clean", "sealed")))
        here = node
        while True:
            code = here.send(sent) if listening(here) else None
            if code == 250:
                break
            if code is not None:
                cluster.refused[code] += 1
            if code == 0:
                cluster.resent.add(sent.mark)
            time.sleep(0.1)
            here = other if here is node else node
        cluster.answered.append(sent)
        time.sleep(PAUSE_SECONDS)


def listening(node: Node) -> bool:
    """Whether a connection is taken at all: a refused one has lost nobody's answer."""
    try:
        socket.create_connection(("127.0.0.1", node.smtp_port), 5).close()
    except OSError:
        return False
    return True


def kill(cluster: Cluster, node: Node) -> None:
    """The whole tree, and what was then under way."""
    node.kill()
    node.sink_quiet()
    known, unsettled = node.known_queues(), node.open_queues()
    arrived = {queue for queues in cluster.arrivals().values() for queue in queues}
    cluster.uncertain |= {queue for queue in arrived if queue in unsettled or queue not in known}


def rounds(cluster: Cluster, victims: list[Node], folder: Path, seconds: float) -> None:
    """Load on both nodes while the victims are killed in turn; then what came of it all."""
    stop = threading.Event()
    with ThreadPoolExecutor(CLIENTS * 2) as pool:
        clients = [pool.submit(load, cluster, node, stop) for node in cluster.nodes for _ in range(CLIENTS)]
        try:
            for victim in victims:
                time.sleep(random.uniform(0.3, 1.0) * seconds)
                kill(cluster, victim)
                victim.serve()
                count = len(cluster.answered)
                eventually(lambda count=count: len(cluster.answered) > count + 10)  # type: ignore[misc]
        finally:
            stop.set()
        for client in clients:
            client.result(2 * PATIENCE)
    eventually(lambda: not cluster.lost() and not cluster.nodes[0].waiting())
    print(
        f"{len(cluster.answered)} answered 250, {len(cluster.lost())} lost, {cluster.doubled()} doubled "
        f"({len(cluster.resent)} without an answer, {len(cluster.uncertain)} of unknown outcome), "
        f"other answers {dict(cluster.refused)}"
    )
    assert cluster.unexplained() == []
    verified(cluster, folder)


def verified(cluster: Cluster, folder: Path) -> None:
    """One log of all, which holds against the keyholder's; and each writer's numbers in it are gapless."""
    shutil.rmtree(folder, ignore_errors=True)
    node = cluster.nodes[1]
    node.command("audit", "export", str(folder))
    node.command("audit", "verify", str(folder), "--key", str(folder / "vkey"))
    with node.rows() as conn:
        found = conn.execute(
            "SELECT log, e->>'node', count(*), min((e->>'nseq')::int), max((e->>'nseq')::int) "
            "FROM (SELECT log, convert_from(entry, 'UTF8')::json AS e FROM log_leaves) AS x GROUP BY 1, 2"
        ).fetchall()
    assert {str(name) for _, name, *_ in found} >= {"a", "b", "a.portal", "b.portal"}
    assert [(log, name) for log, name, count, least, most in found if (least, most) != (1, count)] == []


def test_either_node_may_be_killed_under_load_and_nothing_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    rounds(cluster, random.sample(cluster.nodes, 2), tmp_path / "log", 1.5)


@pytest.mark.nightly
def test_kills_for_a_while(cluster: Cluster, tmp_path: Path) -> None:
    rounds(cluster, [random.choice(cluster.nodes) for _ in range(12)], tmp_path / "log", 4.0)


def test_without_the_database_both_nodes_defer_and_each_letter_arrives_once_afterwards(cluster: Cluster) -> None:
    before = [(node, node.letter("clean")) for node in cluster.nodes for _ in range(3)]
    for node, sent in before:
        eventually(lambda node=node, sent=sent: node.send(sent) == 250)  # type: ignore[misc]
    cluster.server.pause()
    try:
        until = time.monotonic() + stretched(WITHIN_SECONDS)
        for node in cluster.nodes:
            while (code := node.send(node.letter("clean"))) == 250:
                assert time.monotonic() < until, "mail is still taken"
                time.sleep(0.1)
            assert code == 451
    finally:
        cluster.server.resume()
    after = [(node, node.letter("clean")) for node in cluster.nodes]
    for node, sent in after:
        eventually(lambda node=node, sent=sent: node.send(sent) == 250)  # type: ignore[misc]
    eventually(lambda: all(sent.recipients[0] in cluster.arrivals() for _, sent in before + after))
    assert [len(cluster.arrivals()[sent.recipients[0]]) for _, sent in before + after] == [1] * len(before + after)


def test_both_portals_serve_a_link_and_a_recall_on_one_ends_the_download_on_the_other(cluster: Cluster) -> None:
    first, second = cluster.nodes
    link = protected_file(first, FILE_BYTES)
    visitor, phone = Visitor(), PEOPLE[0][2]
    count = len(first.texts())
    asked = visitor.submit(visitor.get(link), "/code", last4=phone[-4:])
    code = re.search(r"\b\d{6}\b", first.wait_for_text(phone, count + 1))
    assert code is not None
    opened = visitor.submit(asked, "/verify", code=code[0])
    (path,) = set(re.findall(r'href="(/m/\w+/files/obj_\w+)"', opened.text))
    headers = {"Cookie": cookies(visitor, first.portal + path), "User-Agent": visitor.agent}
    download = http.client.HTTPConnection("127.0.0.1", second.web_port, timeout=60)
    download.request("GET", path, headers=headers | {"Host": f"localhost:{first.web_port}"})
    answer = download.getresponse()
    assert answer.status == 200
    assert int(answer.headers["content-length"]) == FILE_BYTES
    got = len(answer.read(100_000))
    recall(first, visitor_message(first))
    time.sleep(2.1)  # a portal asks the keyholder every two seconds of a download
    with suppress(http.client.IncompleteRead, ConnectionError):
        while piece := answer.read1(1 << 20):
            got += len(piece)
    download.close()
    assert got < FILE_BYTES
    for node in cluster.nodes:
        again = http.client.HTTPConnection("127.0.0.1", node.web_port, timeout=60)
        again.request("GET", path, headers=headers | {"Host": f"localhost:{first.web_port}"})
        assert again.getresponse().status == 410
        again.close()
    eventually(lambda: first.search("action:object:failed"))


def test_every_page_of_a_desk_works_with_the_portals_own_database_role(cluster: Cluster) -> None:
    """What an officer decides at a portal, a worker carries out; what a page forgot to scope would be an error."""
    node = cluster.nodes[0]
    held = held_message(node)
    protected_file(node, size_bytes=5_000)
    message = visitor_message(node)  # there by now: its copy has arrived
    officer = Visitor("Mozilla/5.0 (Olga)")
    form = officer.get(node.portal + "/staff/sign-in")
    officer.submit(form, "/sign-in", address=node.olga.address, password=node.olga.password, code=node.olga.code())
    with node.rows() as conn:
        person = conn.execute("SELECT id FROM people LIMIT 1").fetchone()
    assert person is not None
    for path in (
        "/staff", "/staff/help", "/staff/people", f"/staff/people/{person[0]}", f"/staff/messages/{message}",
        "/audit", "/audit/held", f"/audit/held/{held}", f"/audit/messages/{message}", f"/audit/people/{person[0]}",
        "/audit/entries/3", "/audit/verify",
    ):  # fmt: skip
        assert officer.get(node.portal + path).status == 200, path
    export = officer.submit(officer.get(node.portal + "/audit/verify"), "/audit/export")
    assert zipfile.is_zipfile(io.BytesIO(export.body))
    page = officer.get(f"{node.portal}/audit/held/{held}")
    officer.submit(page, held, act="drop", reason="sent by mistake", code=node.olga.code())
    eventually(lambda: node.search("action:message:dropped"))


def test_a_nodes_name_is_taken_once_and_served_once(cluster: Cluster, tmp_path: Path) -> None:
    first, second = cluster.nodes
    with pytest.raises(Misconfigured, match="is a node of this installation already"):
        second.command("node", "add", "b", *second.options)
    with pytest.raises(Misconfigured, match=r"names this node 'b'"):
        second.command("node", "add", "c", *second.options)
    twin = Node(tmp_path / "twin", "a", first.store, of=first)
    twin.prepare()
    with pytest.raises(Misconfigured, match="is a node of this installation already"):
        twin.command("node", "add", "a", *twin.options)
    third = Node(tmp_path / "third", "c", first.store, of=first)
    third.prepare()
    with pytest.raises(Misconfigured, match="sealgate node add"):
        third.command("serve", "--single-user")
    role = subprocess.run(
        [*first.program, "serve", "--role", "portal", "--config", str(first.config)], capture_output=True, text=True,
        env=first._environ(), timeout=60, check=False,
    )  # fmt: skip
    assert role.returncode == 75
    assert "Another process serves under this node's name" in role.stderr


def test_a_node_taken_out_of_use_has_its_report_and_never_comes_back(cluster: Cluster) -> None:
    """The last test of this file: node b is gone afterwards."""
    first, second = cluster.nodes
    eventually(lambda: not second.open_queues())
    second.stop_gateway()
    with pytest.raises(Misconfigured, match="asked for keys within this hour"):
        first.command("node", "retire", "b")
    keys = first.data / "keys" / "keyholder.db"
    with closing(sqlite3.connect(keys, timeout=60)) as store, store:  # as if the hour in which it stopped were over
        store.execute("DELETE FROM epochs WHERE node = 'b' AND epoch > ?", (int(time.time()) // 3600,))
    report = first.command("node", "retire", "b")
    assert report.startswith("Sealgate disposal report v1\nnode: b\n")
    assert "node keys that count no more: smtp, worker\n" in report
    with closing(sqlite3.connect(f"file:{keys}?mode=ro", uri=True, timeout=60)) as store:
        assert store.execute("SELECT COUNT(*) FROM epochs WHERE node = 'b' AND private IS NOT NULL").fetchone() == (0,)
    with pytest.raises(Misconfigured, match="there is no such node"):
        first.command("node", "retire", "b")
    with pytest.raises(TryLater, match="taken out of use for good"):
        second.serve()  # the words of the refusal are the gateway's last ones
    for folder in ("spool", "node"):
        shutil.rmtree(second.data / folder, ignore_errors=True)
    with pytest.raises(Misconfigured, match="taken out of use for good"):
        second.command("node", "add", "b", *second.options)
    assert first.send(first.letter("clean")) == 250, "the other node goes on"


def held_message(node: Node) -> str:
    """A message that the policy holds: health data from the null sender."""
    with smtplib.SMTP("127.0.0.1", node.smtp_port, timeout=60) as client:
        client.ehlo("ward.test")
        client.mail("")
        client.rcpt(mails.MARGUERITE)
        assert client.data(node.letter("sealed").data)[0] == 250

    def found() -> list[str]:
        with node.rows() as conn:
            return [str(id) for (id,) in conn.execute("SELECT id FROM messages WHERE state = 'held'")]

    eventually(found)
    return found()[0]


def protected_file(node: Node, size_bytes: int) -> str:
    """The link to a protected file; one of `FILE_BYTES` takes a while to read."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = f"amy@{DOMAIN}", mails.MARGUERITE, "Your scan"
    mail["Message-ID"] = make_msgid(domain=DOMAIN)
    mail.set_content("Hello,\n\nthe scan is attached.\n")
    mail.add_attachment(bytes(size_bytes), maintype="application", subtype="octet-stream", filename="scan.raw")
    mails.send(node, mail)

    def links() -> list[str]:
        return [one.link or "" for one in node.sink.mails if str(one.parsed["Message-ID"]) == mail["Message-ID"]]

    eventually(links)
    return links()[0]


def cookies(visitor: Visitor, url: str) -> str:
    import urllib.request

    request = urllib.request.Request(url)
    visitor.jar.add_cookie_header(request)
    return str(request.get_header("Cookie", ""))


def visitor_message(node: Node) -> str:
    """The newest protected message."""
    with node.rows() as conn:
        found = conn.execute(
            "SELECT id FROM messages WHERE state = 'secured' ORDER BY size_bytes DESC LIMIT 1"
        ).fetchone()
    assert found is not None
    return str(found[0])


def recall(node: Node, message: str) -> None:
    """Amy takes a message back at this node's portal."""
    staff = Visitor("Mozilla/5.0 (Amy)")
    form = staff.get(node.portal + "/staff/sign-in")
    staff.submit(form, "/sign-in", address=node.amy.address, password=node.amy.password, code=node.amy.code())
    asked = staff.get(f"{node.portal}/staff/messages/{message}/recall")
    assert staff.submit(asked, "/recall").status == 200
