"""A portal over a real keyholder process, database, log and vault, with one clinic, made patients and their mail."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from gateway.accounts.inboxes import Inboxes
from gateway.accounts.people import People
from gateway.accounts.users import Users
from gateway.actions.seal import LinkGrant, MessageSeal
from gateway.audit.event import parse
from gateway.audit.log import AuditLog
from gateway.clock import SystemClock
from gateway.demo.ports import free_port
from gateway.flow.desk import StaffDesk
from gateway.flow.download import Downloads
from gateway.flow.inbox import InboxDesk
from gateway.flow.people import PeopleDesk
from gateway.flow.recall_report import RecallReports
from gateway.flow.resending import ResendDesk
from gateway.flow.running import Running
from gateway.flow.sent import SentMail
from gateway.flow.trail import Trail
from gateway.flow.visit import Visits
from gateway.flow.ways import Ways
from gateway.portal.app import PortalDeps, create
from gateway.portal.audit_side import AuditSide
from gateway.portal.face import Face
from gateway.portal.limits import Limits
from gateway.portal.server import Listen, PortalServer, start
from gateway.share import Directory, KeyRing
from gateway.store import schema
from gateway.store.database import Store
from gateway.store.rows import Rows
from gateway.vault import Vault
from keys.client import PortalClient
from keys.encoding import canonical
from tests.support.keyholder import PASSWORD, PHONE, TENANT, Keyholder, Staff, add_staff, running, set_up
from tests.support.load import PATIENCE

CLINIC = "Elm Street Clinic"
CLINIC_PHONE = "+1 555 010 0199"
PDF = b"%PDF-1.7 made up " + bytes(range(256)) * 3000
PDF_NAME = "Maria's röntgen 2026.pdf"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36"


@dataclass
class Mail:
    """One protected message as it was sent."""

    message: str
    reference: str
    links: dict[str, LinkGrant]
    objects: list[dict[str, Any]]

    def token(self, address: str = "maria@mail.example") -> str:
        """The last part of that recipient's link."""
        return self.links[address].token

    def grant(self, address: str = "maria@mail.example") -> str:
        """That recipient's grant id."""
        return self.links[address].id

    def object(self, position: int) -> str:
        """An object's id by position."""
        return str(self.objects[position]["id"])


@dataclass
class Browser:
    """One browser: cookies, no script. Every answer's page can be asked for its form token."""

    base: str
    agent: str = BROWSER
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx2.Client(base_url=self.base, headers={"user-agent": self.agent}, timeout=60)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """GET without following redirects."""
        return self.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, page: str, headers: dict[str, str] | None = None, **form: str) -> httpx2.Response:
        """Submit a form that stood on `page` (its HTML)."""
        token = re.search(r'name="csrf" value="([^"]*)"', page)
        data = {"csrf": token[1] if token else ""} | form
        sent = {"origin": "null", "sec-fetch-site": "same-origin"} if headers is None else headers
        return self.client.post(path, data=data, headers=sent)


class Minutes:
    """The clock of what a network may ask: it goes on, and a test starts with its own full minute."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        """Seconds, as `Limits` reads them."""
        return time.monotonic() + self._skipped

    def skip(self) -> None:
        """A minute passes at once."""
        self._skipped += 60.0


@dataclass
class World:
    """Everything, wired as bootstrap does it."""

    keyholder: Keyholder
    store: Store
    rows: Rows
    vault: Vault
    vault_dir: Path
    directory: Directory
    people: People
    users: Users
    clock: SystemClock
    running: Running
    deps: PortalDeps
    minutes: Minutes
    server: PortalServer | None = None
    staff: dict[str, Staff] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The portal's origin."""
        assert self.server is not None
        return f"http://localhost:{self.server.ports[0]}"

    def browser(self, agent: str = BROWSER) -> Browser:
        """A fresh browser."""
        return Browser(self.base, agent)

    def person(self, address: str, phone: str | None = PHONE) -> str:
        """A patient, known to gateway and keyholder."""
        person = self.store.run(lambda tx: self.people.add(tx, TENANT, address, name="Maria"))
        self.keyholder.operator.register_person(TENANT, person, phone)
        return person

    def member(self, address: str, role: str) -> Staff:
        """A workforce member."""
        user = self.clock.new_id("usr")
        self.staff[address] = add_staff(self.keyholder, user, role)
        self.store.run(lambda tx: self.users.add(tx, TENANT, address, role, user=user, name="Dr. Amy Reyes"))
        return self.staff[address]

    def send(
        self, *addresses: str, body: dict[str, Any] | None = None, files: list[tuple[str, str, bytes]] | None = None,
        subject: str = "Your results", secret_subject: str = "", sender: str = "amy@clinic.test", days: float = 90,
        settled_seconds_ago: float = 3600, phone: str | None = PHONE, public_name: str | None = None,
        original: bytes | None = None, inboxes: Inboxes | None = None,
    ) -> Mail:  # fmt: skip
        """A protected message, sealed, deposited, recorded and handed to the mail server."""
        now = self.clock.now_us()
        expires = now + int(days * 86_400_000_000)
        seal = MessageSeal(self.vault, self.clock, TENANT, expires)
        body = {"text": "Dear Maria,\nyour results.", "html": None} if body is None else body
        if body:
            seal.add("body", "", "application/json", [canonical(body)])
        if secret_subject:
            seal.add("subject", "", "text/plain", [secret_subject.encode()])
        for name, media, data in [(PDF_NAME, "application/pdf", PDF)] if files is None else files:
            seal.add("file", name, media, [data], public_name=public_name)
        if original is not None:
            seal.add("original", "message.eml", "message/rfc822", [original])
        wanted = addresses or ("maria@mail.example",)
        links = {address: seal.link(self.person(address, phone)) for address in wanted}
        for link in links.values() if inboxes is not None else ():
            with self.store.reading() as conn:
                kept = inboxes.of(conn, TENANT, link.person) if inboxes is not None else None
            if kept is not None:
                seal.inbox(link.person, kept.id, kept.public)
        user = self.staff[sender].user if sender in self.staff else None
        self.keyholder.worker.deposit([seal.deposit(user)])
        settled = now - int(settled_seconds_ago * 1_000_000)

        def work(tx: Any) -> None:
            self.rows.insert(
                tx, schema.messages, id=seal.message, tenant=TENANT, node="node-1", queue=self.clock.new_id("spl"),
                user=user, sender=self.directory.seal(TENANT, "messages", seal.message, sender),
                sender_index=self.directory.index(TENANT, sender), identity="app-password", retry_key=b"r",
                state="secured", reference=seal.reference, rule="phi-body", policy="clinic@00000000", findings="{}",
                meta=seal.message_meta(subject, sender, "Dr. Amy Reyes"), urgent=0, size_bytes=1, received_at=now,
                created_at=now, expires_at=expires,
            )  # fmt: skip
            for row in seal.objects:
                self.rows.insert(tx, schema.objects, **row)
            for row in seal.grants:
                self.rows.insert(tx, schema.grants, **row)
            for address, link in links.items():
                name = self.clock.new_id("dlv")
                self.rows.insert(
                    tx, schema.deliveries, id=name, tenant=TENANT, message=seal.message, node="node-1",
                    person=link.person, grant=link.id, recipient=self.directory.seal(TENANT, "deliveries", name, "{}"),
                    recipient_index=self.directory.index(TENANT, address), treatment="secure", state="delivered",
                    attempts=1, next_at=now, created_at=now, settled_at=settled,
                )  # fmt: skip

        self.store.run(work)
        return Mail(seal.message, seal.reference, links, seal.objects)

    def text_code(self) -> str:
        """The code on the pretend phone."""
        (text,) = self.keyholder.worker.take_texts(10)
        self.keyholder.worker.text_done(text["id"], True)
        return str(text["code"])

    def events(self, action: str = "", about: str = "") -> list[dict[str, Any]]:
        """Entries of the tenant's log, oldest first."""
        with self.store.reading() as conn:
            columns = schema.log_leaves.c
            statement = select(columns.entry).where(columns.log == TENANT).order_by(columns.idx)
            found = [parse(entry) for entry in conn.execute(statement).scalars()]
        return [
            one for one in found if (not action or one["action"] == action) and (not about or one["object"] == about)
        ]

    def sign_in(self, mail: Mail, address: str = "maria@mail.example", browser: Browser | None = None) -> Browser:
        """A browser that went from the link to reading."""
        browser = browser or self.browser()
        page = browser.get(f"/m/{mail.token(address)}").text
        answer = browser.post(f"/m/{mail.token(address)}/code", page, last4=PHONE[-4:])
        page = browser.get(answer.headers["location"]).text
        answer = browser.post(f"{plain(mail, address)}/verify", page, code=self.text_code())
        assert answer.status_code == 303
        assert answer.headers["location"] == plain(mail, address)
        return browser

    def staff_browser(self, address: str = "amy@clinic.test", browser: Browser | None = None) -> Browser:
        """A browser signed in as that workforce member."""
        browser = browser or self.browser()
        page = browser.get("/staff/sign-in").text
        answer = browser.post(
            "/staff/sign-in", page, address=address, password=PASSWORD, code=self.staff[address].code()
        )
        assert answer.status_code == 303, answer.text
        return browser


def plain(mail: Mail, address: str = "maria@mail.example") -> str:
    """`/m/<id>`."""
    return "/m/" + mail.grant(address).removeprefix("lnk_")


@contextmanager
def portal(directory: Path, **limits: int) -> Iterator[World]:
    """The whole, started and stopped."""
    with running(directory, **limits) as keyholder:
        set_up(keyholder, display_name=CLINIC)
        store = Store.open(f"sqlite:///{directory / 'sealgate.db'}", create=True)
        clock = SystemClock()
        audit = AuditLog(store, "node-1", clock)
        audit.attach()
        vkeys = keyholder.operator.vkeys(TENANT)
        store.run(
            lambda tx: audit.open_log(
                tx, TENANT, origin=vkeys["origin"], release_vkey=vkeys["release_vkey"], system_vkey=vkeys["system_vkey"]
            )
        )
        client = PortalClient(keyholder.config.sockets_dir / "portal.sock")
        ring = KeyRing(client.keys)
        rows = Rows(ring.row_mac)
        people_directory = Directory(ring)
        vault = Vault.create(f"file://{directory / 'vault'}")
        trail = Trail(store, audit, ring, clock)
        runs, minutes = Running(), Minutes()
        users = Users(rows, people_directory, clock)
        mail = SentMail(store, rows, client, trail, people_directory, clock)
        visits = Visits(store, rows, client, trail, people_directory, clock)
        deps = PortalDeps(
            faces=[Face(TENANT, CLINIC, CLINIC_PHONE, "http://localhost:0", "America/Chicago")],
            visits=visits,
            downloads=Downloads(store, rows, vault, client, trail, clock, runs),
            mail=mail,
            people=PeopleDesk(
                store, rows, client, trail, People(rows, people_directory, clock), people_directory, clock
            ),
            recalls=RecallReports(store, rows, client, trail, people_directory, mail),
            desk=StaffDesk(store, rows, client, trail, users, mail, clock, runs),
            ways=Ways(client, trail, visits),
            resends=ResendDesk(
                store, rows, client, trail, people_directory, People(rows, people_directory, clock), mail, clock
            ),
            inboxes=InboxDesk(store, rows, client, trail, People(rows, people_directory, clock), clock),
            audit=AuditSide.of(
                store=store,
                rows=rows,
                keys=client,
                trail=trail,
                directory=people_directory,
                users=users,
                audit=audit,
                clock=clock,
                second_person=lambda tenant: False,
            ),
            clock=clock,
            ready=lambda: store.health,
            limits=Limits(minutes.now),
        )
        world = World(
            keyholder, store, rows, vault, directory / "vault", people_directory, People(rows, people_directory, clock),
            users, clock, runs, deps, minutes,
        )  # fmt: skip
        try:
            world.server = serve(deps)
            keyholder.operator.put_settings(
                TENANT, {"domains": ["clinic.test"], "display_name": CLINIC, "public_url": world.base}
            )
            yield world
        finally:
            if world.server is not None:
                world.server.stop()
            store.close()
            client.close()


def serve(deps: PortalDeps) -> PortalServer:
    """The portal on a port the system chooses; its Host is that of the tenant."""
    probe = free_port()
    face = deps.faces[0]
    faces = [Face(face.tenant, face.display_name, face.phone, f"http://localhost:{probe}", face.timezone)]
    return start(create(replace(deps, faces=faces)), [Listen("127.0.0.1", probe)])


def wait_for(what: Any, seconds: float = PATIENCE) -> Any:
    """Poll until `what()` is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen")
