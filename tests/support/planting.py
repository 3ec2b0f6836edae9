"""One clinic in which texts are planted wherever they could leak from, and everything is done that could leak them."""

from __future__ import annotations

import base64
import email
import email.policy
import http.client
import json
import re
import smtplib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from gateway.demo.clinic import DOMAIN
from gateway.demo.sink import LINK
from gateway.demo.visitor import Visitor
from tests.support.faulty import Faulty, eventually
from tests.support.sabotage.sitecustomize import WORD
from tests.support.smarthost import Received, Smarthost
from tests.support.traces import traces

SABOTAGE = Path(__file__).resolve().with_name("sabotage")
HEALTH = "Patient: Marguerite Oyelaran, DOB 03/14/1948, MRN 4471920, type 2 diabetes mellitus, start metformin 500 mg."
MARK_PHONE = "+15550100166"
SENDER = f"absendermarke.quibsender@{DOMAIN}"
OWNER = "empfaengermarke.quibsealed@patient.test"
EVERYBODY = {  # one marked address for each fate; the smarthost misbehaves by its local part
    "sealed": OWNER,
    "clean": "empfaengermarke.quibclean@patient.test",
    "held": "empfaengermarke.quibheld@patient.test",
    "bounced": "550+empfaengermarke.quibbounced@patient.test",
    "returned": "550+empfaengermarke.quibreturned@patient.test",
    "deferred": "temperror+empfaengermarke.quibdeferred@patient.test",
    "malformed": "empfaengermarke.quibmalformed@patient.test",
    "exploding": "empfaengermarke.quibexploding@patient.test",
    "broken": "empfaengermarke.quibbroken@patient.test",
}


@dataclass(slots=True)
class Planted:
    """Every planted text by where it was planted, and every answer that strangers were given."""

    texts: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """What only turned up on the way: tokens, codes, passwords. Short ones are looked for as whole words."""

    answers: list[bytes] = field(default_factory=list)

    def plant(self, where: str, text: str) -> str:
        self.texts[where] = text
        return text

    def found(self, data: bytes) -> list[str]:
        """What of it stands in these bytes, in any encoding."""
        return traces(data, *self.texts.values()) + [
            where
            for where, secret in self.secrets.items()
            if re.search(rb"(?<![0-9A-Za-z])" + re.escape(secret.encode()) + rb"(?![0-9A-Za-z])", data)
            or (len(secret) > 8 and traces(data, secret))
        ]


def texts_of(fate: str) -> dict[str, str]:
    """Subject, body, file name and contents that are planted in one mail."""
    return {
        "subject": f"Betreffmarke={fate}-Brücke",
        "body": f"Körpermarke={fate}-Zwiebelturm",
        "file name": f"Dateimarke={fate}-Grünspecht.txt",
        "contents": f"Inhaltsmarke={fate}-Käuzchen",
    }


def mail(planted: Planted, fate: str, *, phi: bool = True, attached: tuple[str, bytes] | None = None) -> EmailMessage:
    """A mail of that fate with a text planted in each of its places."""
    texts = {where: planted.plant(f"{fate}: {where}", text) for where, text in texts_of(fate).items()}
    made = EmailMessage()
    made["From"] = SENDER
    made["To"] = EVERYBODY[fate]
    made["Subject"] = f"Oyelaran MRN 4471920 diabetes {texts['subject']}" if phi else texts["subject"]
    made["Date"] = "Mon, 16 Nov 2026 09:00:00 -0600"
    made["Message-ID"] = f"<{fate}.1@{DOMAIN}>"
    made.set_content(f"Hello,\n\n{HEALTH if phi else 'lunch at noon'}\n{texts['body']}\n\nAmy\n")
    if phi:
        media, content = attached or ("text/plain", f"{HEALTH}\n{texts['contents']}\n".encode())
        kind, _, subtype = media.partition("/")
        made.add_attachment(content, maintype=kind, subtype=subtype, filename=texts["file name"])
    planted.plant(f"{fate}: address", EVERYBODY[fate].partition("+")[2] or EVERYBODY[fate])
    return made


class Marked(Faulty):
    """The clinic under `strict` and DEBUG, its smarthost one that misbehaves, its parts spoilt on a word."""

    options = ("--single-user", "--log-level", "DEBUG")

    def give(self, made: EmailMessage | bytes, to: str) -> None:
        data = made if isinstance(made, bytes) else made.as_bytes(policy=made.policy.clone(linesep="\r\n"))
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=60) as client:
            client.sendmail(SENDER, [to], data)


@dataclass(slots=True)
class Scene:
    clinic: Marked
    smarthost: Smarthost
    planted: Planted
    outputs: list[str] = field(default_factory=list)

    def mails_to(self, fate_or_address: str) -> list[Received]:
        wanted = EVERYBODY.get(fate_or_address, fate_or_address)
        return [one for one in self.smarthost.messages if wanted in one.recipients]

    def wait(self, fate_or_address: str, count: int = 1) -> Received:
        eventually(lambda: len(self.mails_to(fate_or_address)) >= count, 60)
        return self.mails_to(fate_or_address)[count - 1]

    def told(self, fate: str) -> list[Received]:
        """What the sender was told of that mail: our mails to the sender that answer its Message-ID."""
        wanted = f"<{fate}.1@{DOMAIN}>".encode()
        return [one for one in self.mails_to(SENDER) if b"In-Reply-To: " + wanted in one.content]


def _introduce(scene: Scene) -> None:
    clinic, planted = scene.clinic, scene.planted
    path = clinic.data.parent / "people.csv"
    name = planted.plant("person's name", "Namensmarke Quibname-Löffler")
    path.write_text(f"address,name,phone,language\n{OWNER},{name},{MARK_PHONE},en\n", encoding="utf-8")
    scene.outputs.append(clinic.command("people", "import", str(path)))
    for member in (clinic.amy, clinic.olga):
        planted.secrets[f"password of {member.role}"] = member.password
        planted.secrets[f"TOTP secret of {member.role}"] = member.secret
    planted.secrets["app password"] = clinic.amy.app_password


def _send_everything(scene: Scene) -> None:
    clinic, planted = scene.clinic, scene.planted
    clinic.give(mail(planted, "sealed"), OWNER)
    clinic.give(mail(planted, "clean", phi=False), EVERYBODY["clean"])
    # An encrypted archive is held under `strict`: local header with the encryption bit, and nothing that opens.
    archive = b"PK\x03\x04\x14\x00\x01\x00\x00\x00" + bytes(16) + b"\x08\x00\x00\x00quib.txt" + b"\x5a" * 64
    clinic.give(mail(planted, "held", attached=("application/zip", archive)), EVERYBODY["held"])
    clinic.give(mail(planted, "bounced", phi=False), EVERYBODY["bounced"])
    clinic.give(mail(planted, "returned"), EVERYBODY["returned"])
    clinic.give(mail(planted, "deferred"), EVERYBODY["deferred"])
    inside = texts_of("broken")["contents"].encode()
    pdf = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages " + inside + b" endobj stream\n" + b"\xff" * 300
    clinic.give(mail(planted, "broken", attached=("application/pdf", pdf)), EVERYBODY["broken"])
    made = mail(planted, "exploding")
    made.replace_header("Subject", f"{WORD} {texts_of('exploding')['subject']}")
    clinic.give(made, EVERYBODY["exploding"])
    texts = {where: planted.plant(f"malformed: {where}", text) for where, text in texts_of("malformed").items()}
    planted.plant("malformed: address", EVERYBODY["malformed"])
    clinic.give(
        (
            f"From: {SENDER}\r\nTo: {EVERYBODY['malformed']}\r\nSubject: {texts['subject']}\r\n"
            f"Content-Type: multipart/mixed; boundary=one\r\nContent-Type: multipart/mixed; boundary=two\r\n"
            f"Message-ID: <malformed.1@{DOMAIN}>\r\n{texts['body']}: no field\r\n\r\n"
            f"--one\r\nContent-Type: text/plain; charset={quote(texts['contents'])}\r\n\r\n{HEALTH} {texts['body']}\r\n"
            f"--two\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; "
            f"filename*=utf-8''{quote(texts['file name'])}\r\n\r\n{texts['contents']}=====\r\n--one\r\n"
        ).encode(),
        EVERYBODY["malformed"],
    )
    for fate in ("sealed", "clean"):
        scene.wait(fate)
    for fate in ("held", "bounced", "returned", "broken", "malformed", "exploding"):
        eventually(lambda fate=fate: scene.told(fate), 90)  # the last one is held after three tries
    eventually(lambda: "message:deferred" in {one["action"] for one in clinic.search("action:message:deferred")}, 60)


def _be_rude_to_smtp(scene: Scene) -> None:
    plant = scene.planted.plant
    lines = [
        f"EHLO {plant('HELO', 'quibhelo-marke.test')}",
        f"MAIL FROM:<{plant('grammar: MAIL', 'quibmailmarke')} {SENDER}>",
        f"MAIL FROM:<quib@{plant('sender of another domain', 'quibfremdmarke.test')}>",
        f"MAIL FROM:<{SENDER}> QUIB={plant('unknown parameter', 'quibparametermarke')}",
        f"MAIL FROM:<{WORD}.{plant('address of an exception', 'quibausnahmemarke')}@{DOMAIN}>",
    ]
    more = [
        f"EHLO quib.test\r\nMAIL FROM:<{SENDER}>",
        f"RCPT TO:<<{plant('grammar: RCPT', 'quibrcptmarke')}@@patient.test>",
        f"{plant('unknown command', 'QUIBBEFEHLMARKE')} {plant('its argument', 'quibargumentmarke')}",
        f"VRFY {plant('VRFY', 'quibvrfymarke')}",
        f"AUTH PLAIN {base64.b64encode(b'x' + plant('AUTH', 'quibauthmarke').encode()).decode()}",
        plant("overlong line", "quiblangmarke") * 1000,
        f"RCPT TO:<{OWNER}>\r\nDATA",
        f"Subject: {plant('bare newline: subject', 'quibbarebetreff')}\n\n{plant('bare newline', 'quibbaretext')}\r\n.",
        "QUIT",
    ]
    for said in (lines, more):
        with socket.create_connection(("127.0.0.1", scene.clinic.smtp_port), timeout=60) as line:
            for one in said:
                try:
                    line.sendall(one.encode() + b"\r\n")
                    scene.planted.answers.append(line.recv(65_536))
                except ConnectionError:
                    break
    with smtplib.SMTP("localhost", scene.clinic.submission_port, timeout=60) as client:
        client.starttls()
        client.ehlo()
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(
                plant("login name", f"quibloginmarke@{DOMAIN}"), plant("wrong app password", "quibpasswortmarke")
            )
        scene.planted.answers.append(refused.value.smtp_error if isinstance(refused.value.smtp_error, bytes) else b"")
    with socket.create_connection(("127.0.0.1", scene.clinic.smtp_port), timeout=60) as line:  # cut inside a message
        line.sendall(f"EHLO q.test\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<{OWNER}>\r\nDATA\r\n".encode())
        line.sendall(plant("cut off", "quibabbruchmarke").encode())


def _read_as_recipient(scene: Scene) -> None:
    """The owner of the sealed mail, who asks, mistypes, types, reads and downloads."""
    clinic, planted = scene.clinic, scene.planted
    found = LINK.search(shown(scene.wait("sealed")))
    assert found is not None
    token = found[0].rpartition("/m/")[2]
    planted.secrets["link token"] = token
    planted.secrets["link secret"] = token[12:]
    owner = Visitor(planted.plant("owner's browser", "Quibbrowsermarke/1.0"))
    planted.answers.append(owner.submit(owner.get(found[0]), "/code", last4="9999").body)
    asked = owner.submit(owner.get(found[0]), "/code", last4=MARK_PHONE[-4:])
    code = re.search(r"\b\d{6}\b", clinic.wait_for_text(MARK_PHONE))
    assert code is not None
    planted.secrets["text code"] = code[0]
    wrong = planted.plant("wrong code", "quibfalschmarke")
    planted.answers.append(owner.submit(asked, "/verify", code=wrong).body)
    opened = owner.submit(owner.get(found[0] + "/code"), "/verify", code=code[0])
    for path in sorted(set(re.findall(r'href="(/m/\w+/files/obj_\w+)"', opened.text))):
        page = owner.get(clinic.portal + path)
        assert page.status == 200
        assert texts_of("sealed")["contents"].encode() in page.body  # the twin: who may read it does
    assert texts_of("sealed")["body"] in opened.text


def _knock_as_stranger(scene: Scene) -> None:
    """Somebody without a link, who tries what comes to mind."""
    clinic, planted = scene.clinic, scene.planted
    plant = planted.plant
    token = planted.secrets["link token"]
    host = urlsplit(clinic.portal)
    paths = [
        "/", "/m", "/limits", "/healthz", "/readyz", "/api/openapi.json", "/metrics", "/static/nothing",
        f"/m/{token[:12]}", f"/m/{token[:12]}{'0' * 22}",
        f"/m/{plant('made-up token', 'QuibTokenMarke0123456789abcdefghij')}",
        f"/m/{WORD}{plant('token of an exception', 'QuibAusnahmeTokenMarke0123')}",
        f"/m?word={plant('query', 'quibabfragemarke')}", f"/{plant('path', 'quibpfadmarke')}",
        f"/m/{token[:12]}/files/obj_{plant('object', 'quibobjektmarke0')}", "/staff", "/staff/help",
    ]  # fmt: skip
    headers = {
        "User-Agent": plant("User-Agent", "quibagentmarke"),
        "Referer": plant("Referer", "http://quibreferermarke.test/"),
        "Cookie": f"visitor={plant('cookie', 'quibkeksmarke')}",
        "X-Forwarded-For": plant("X-Forwarded-For", "198.51.100.77"),
        "Accept-Language": plant("language", "quibsprachmarke"),
    }  # fmt: skip
    for path in paths:
        for method in ("GET", "POST", "PROPFIND"):
            line = http.client.HTTPConnection(host.hostname or "", host.port or 0, timeout=60)
            body = f"code={plant('form field', 'quibformularmarke')}&last4=0143" if method == "POST" else None
            line.request(
                method, path, body, headers | ({"Content-Type": "application/x-www-form-urlencoded"} if body else {})
            )
            answer = line.getresponse()
            planted.answers.append(str(answer.getheaders()).encode() + answer.read())
            line.close()
    for raw in (b"GET /quibrohmarke HTTP/9.9\r\n\r\n", b"\x16\x03\x01quibrohmarke\r\n\r\n"):
        with socket.create_connection((host.hostname or "", host.port or 0), timeout=60) as line_:
            plant("no HTTP", "quibrohmarke")
            line_.sendall(raw)
            line_.settimeout(5)
            try:
                planted.answers.append(line_.recv(65_536))
            except (TimeoutError, ConnectionError):
                pass


def _sign_in(scene: Scene) -> None:
    """Amy signs in, first wrongly, and makes a code for the owner; a stranger guesses."""
    clinic, planted = scene.clinic, scene.planted
    amy, staff = clinic.amy, Visitor()
    form = staff.get(clinic.portal + "/staff/sign-in")
    wrong = planted.plant("wrong staff password", "quibstaffpasswortmarke")
    stranger = planted.plant("unknown staff address", f"quibniemandmarke@{DOMAIN}")
    for address, password in ((amy.address, wrong), (stranger, wrong)):
        answer = staff.submit(form, "/sign-in", address=address, password=password, code="000000")
        planted.answers.append(answer.body)
    code = amy.code()
    planted.secrets["staff's TOTP code"] = code
    assert staff.submit(form, "/sign-in", address=amy.address, password=amy.password, code=code).status == 200
    (grant,) = {"lnk_" + planted.secrets["link token"][:12]}
    person = staff.get(f"{clinic.portal}/staff/help/{grant}")
    made = staff.submit(person, grant, sure="called")
    shown = re.search(r'data-part="staff-code">(\d{4}) (\d{4})<', made.text)
    assert shown is not None
    planted.secrets["staff code"] = shown[1] + shown[2]


def _decide(scene: Scene) -> None:
    """The officer releases one held mail and drops the other; the queue, the log and the doctor are asked."""
    clinic, planted, olga = scene.clinic, scene.planted, scene.clinic.olga
    held = [one["id"] for one in json.loads(clinic.command("queue", "list", "--json")) if one["state"] == "held"]
    assert len(held) >= 2
    for act, message in (("release", held[0]), ("drop", held[1])):
        code = olga.code()
        planted.secrets[f"officer's code to {act}"] = code
        scene.outputs.append(
            clinic.command("queue", act, message, "--as", olga.address, "--json", stdin=f"{olga.password}\n{code}\n")
        )
    wrong = planted.plant("officer's wrong password", "quibolgamarke")
    clinic.command("queue", "drop", held[-1], "--as", olga.address, stdin=f"{wrong}\n123456\n", status=65)
    for words in (
        ("queue", "list"),
        ("queue", "show", held[0]),
        ("queue", "retry"),
        ("audit", "search", "created:2020-01-01..2099-01-01"),
    ):
        scene.outputs.append(clinic.command(*words))
        scene.outputs.append(clinic.command(*words, "--json"))
    eventually(lambda: clinic.search("action:message:dropped"))


def shown(received: Received) -> str:
    """Every text that a mail program could show."""
    parsed = email.message_from_bytes(received.content, policy=email.policy.default)
    return "\n".join(part.get_content() for part in parsed.walk() if part.get_content_maintype() == "text")


def everything_happened(folder: Path) -> Iterator[Scene]:
    """The running clinic after all of it; stopped when the tests have looked."""
    with Smarthost() as smarthost:
        clinic = Marked(
            folder / "c",
            policy="strict",
            smarthost=f"127.0.0.1:{smarthost.port}",
            environ={"PYTHONPATH": str(SABOTAGE)},
        )
        planted = Planted()
        planted.plant("sender's address", SENDER)
        planted.plant("known person's phone", MARK_PHONE.removeprefix("+1"))
        try:
            clinic.start()
            scene = Scene(clinic, smarthost, planted)
            _introduce(scene)
            _send_everything(scene)
            _be_rude_to_smtp(scene)
            _read_as_recipient(scene)
            _knock_as_stranger(scene)
            _sign_in(scene)
            _decide(scene)
            yield scene
        finally:
            clinic.stop()
