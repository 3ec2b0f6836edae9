"""Two clinics in one running installation, each with its own host, smarthost and policy, and a member in every role."""

from __future__ import annotations

import json
import re
import smtplib
import sqlite3
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import make_msgid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from gateway.audit.event import parse
from gateway.clock import SystemClock
from gateway.control import ask
from gateway.demo.certificate import make as make_certificate
from gateway.demo.clinic import Clinic, Member
from gateway.demo.documents import photographed_form
from gateway.demo.sink import Sink
from gateway.portal.roles import table
from gateway.settings import load
from keys.client import OperatorClient
from tests.support.archives import locked_zip

ROLES = table().roles
POLICY = """about = "Seals what the sender asks for, holds what nobody could read."
[[rules]]
name = "sender-asked"
when = ["secure_word"]
then = "secure"
[[rules]]
name = "unread"
when = ["unread"]
then = "hold"
[[rules]]
name = "rest"
then = "as-is"
"""
PATIENT, PATIENT_PHONE = "maria@patient.test", "+15550100143"


@dataclass
class House:
    """One of the two: who works there, where its pages are, where its mail goes."""

    name: str
    domain: str
    host: str
    policy: str
    networks: tuple[str, ...]
    sink: Sink = field(default_factory=Sink)
    id: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    app_password: str = ""


class TwoClinics(Clinic):
    """`riverside` may send from loopback without a password, `lakeside` signs in."""

    def __init__(self, data: Path, **more: Any) -> None:
        super().__init__(data, **more)
        self.a = House(
            "riverside", "riverside.test", f"localhost:{self.web_port}", str(data / "house.toml"), ("127.0.0.0/8",)
        )
        self.b = House("lakeside", "lakeside.test", f"lakeside.localhost:{self.web_port}", "clinic", ())
        self.houses = [self.a, self.b]

    def start(self) -> None:
        """Both clinics up, with members."""
        self.data.mkdir(mode=0o700, parents=True)
        make_certificate(self.certificate, self.key)
        (self.data / "house.toml").write_text(POLICY)
        for house in self.houses:
            house.sink.start()
        self.write()
        self.serve()
        for house in self.houses:
            self.join(house)

    def stop(self) -> None:
        """End what was started."""
        super().stop_gateway()
        for house in self.houses:
            house.sink.stop()

    def write(self) -> None:
        """The configuration, with the houses as they are now."""
        self.config.write_text(self._toml(0))

    def join(self, house: House) -> None:
        """A member for each role and an app password, at the sockets that the commands use."""
        settings = load(self.config, {})
        operator = OperatorClient(settings.sockets_directory / "operator.sock")
        try:
            ids = {one["name"]: id for id, one in operator.status()["tenants"].items()}
            house.id = ids[house.name]
            for role in ROLES:
                member = Member(f"{role}@{house.domain}", role, f"{role} of {house.name}")
                user = SystemClock().new_id("usr")
                made = operator.add_user(house.id, user, role, member.password, name=member.address)
                member.secret = parse_qs(urlsplit(made["totp_uri"]).query)["secret"][0]
                given = {"id": user, "address": member.address, "role": role, "name": member.name}
                self.control("user.record", tenant=house.name, **given)
                house.members[role], house.users[role] = member, user
            staff = house.members["staff"].address
            house.app_password = operator.app_password(house.id, house.users["staff"], staff)["password"]
            self.control("user.changed", tenant=house.name, id=house.users["staff"], what="app-password")
            person = self.control("person.record", tenant=house.name, address=PATIENT, name="Maria")
            operator.register_person(person["tenant"], person["id"], PATIENT_PHONE)
        finally:
            operator.close()

    def control(self, command: str, **arguments: Any) -> Any:
        """One command at the control socket."""
        return ask(load(self.config, {}).worker_directory / "control.sock", command, arguments)

    def send(self, house: House, role: str, *, unreadable: bool = False, recipient: str = PATIENT) -> None:
        """A message that is sealed on the sender's word, or, under the first clinic's policy, held because nobody can
        read its attachment.
        """
        mail = EmailMessage()
        sender = house.members[role].address
        mail["From"], mail["To"], mail["Subject"] = sender, recipient, f"From {role}{'' if unreadable else ' [secure]'}"
        mail["Message-ID"] = make_msgid(domain=house.domain)
        mail.set_content("Hello,\n\nplease find it attached.\n")
        if unreadable:
            mail.add_attachment(locked_zip(), maintype="application", subtype="zip", filename="locked.zip")
        else:
            mail.add_attachment(photographed_form(), maintype="image", subtype="png", filename="form.png")
        data = mail.as_bytes(policy=mail.policy.clone(linesep="\r\n"))
        with self.door(house) as server:
            server.sendmail(sender, [recipient], data)

    def door(self, house: House) -> smtplib.SMTP:
        """A connection that may send for that clinic."""
        if house.networks:
            return smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60)
        server = smtplib.SMTP("localhost", self.submission_port, timeout=60)
        server.starttls(context=ssl.create_default_context(cafile=str(self.certificate)))
        server.login(house.members["staff"].address, house.app_password)
        return server

    def browser(self, house: House, network: int) -> Browser:
        """A browser at that clinic's host, from a network of its own."""
        return Browser(self.web_port, house.host, f"198.51.{network}.7")

    def entries(self, house: House, action: str = "", **fields: str) -> list[dict[str, Any]]:
        """Entries of that clinic's log, read from the database beside its writer."""
        with closing(sqlite3.connect(f"file:{self.data}/db/sealgate.db?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT entry FROM log_leaves WHERE log = ? ORDER BY idx", (house.id,)).fetchall()
        wanted = fields | ({"action": action} if action else {})
        found = [parse(bytes(entry)) for (entry,) in rows]
        return [one for one in found if all(one[name] == value for name, value in wanted.items())]

    def _toml(self, sink_port: int) -> str:
        text = super()._toml(sink_port)
        start = text.index("[smtp]")
        tables = "".join(
            f"""[[tenants]]
name = "{one.name}"
domains = ["{one.domain}"]
display_name = "{one.name.title()} Clinic"
phone = "+1 555 010 0100"
public_url = "http://{one.host}"
trusted_networks = {json.dumps(list(one.networks))}
smarthost = "127.0.0.1:{one.sink.port}"
smarthost_tls = "none"
policy = "{one.policy}"
"""
            for one in self.houses
        )
        rest = re.sub(r"^(trusted_networks|public_url) = .*\n", "", text[start:], flags=re.MULTILINE)
        rest = re.sub(r"\[courier\]\n.*\n.*\n\[policy\]\n.*\n", "", rest)
        return tables + rest.replace("[portal]\n", '[portal]\ntrusted_proxies = ["127.0.0.1"]\n')


class Browser:
    """Cookies and a Host of its own; follows nothing by itself."""

    def __init__(self, port: int, host: str, network: str) -> None:
        self.client = httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"host": host, "x-forwarded-for": network, "user-agent": "Mozilla/5.0 (X11; Linux x86_64)"},
            timeout=60,
        )
        self._tokens: dict[str, str] = {}

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> httpx2.Response:
        """One request; a form with the token of the last page of its kind, for a token is bound to a session."""
        if method == "GET":
            answer = self.client.get(path)
            if found := re.search(r'name="csrf" value="([^"]+)"', answer.text):
                self._tokens[_kind(path)] = found[1]
            return answer
        headers = {"origin": "null", "sec-fetch-site": "same-origin"}
        return self.client.post(path, data={"csrf": self._tokens.get(_kind(path), ""), **(form or {})}, headers=headers)

    def sign_in(self, member: Member) -> None:
        """As a workforce member."""
        self.ask("GET", "/staff/sign-in")
        given = {"address": member.address, "password": member.password, "code": member.code()}
        answer = self.ask("POST", "/staff/sign-in", given)
        assert answer.status_code == 303, answer.status_code
        self.ask("GET", "/staff")

    def adopt(self, other: Browser) -> None:
        """Show another browser's cookies as well."""
        for cookie in other.client.cookies.jar:
            self.client.cookies.set(cookie.name, cookie.value or "", domain=cookie.domain, path=cookie.path)


def _kind(path: str) -> str:
    """Whose session a page's form is bound to: nobody's, a link's or a workforce member's."""
    if path.startswith("/m/"):
        return "link"
    return "staff" if path.startswith(("/staff", "/audit")) and path != "/staff/sign-in" else "anyone"
