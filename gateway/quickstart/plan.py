"""What a set-up will be, worked out before anything is changed: names, addresses, places."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from gateway import settingtypes as kinds
from gateway.doctor.neighbours import first_line
from gateway.doctor.records import Names, NoAnswer
from gateway.errors import Misconfigured
from gateway.settingtypes import Endpoint
from keys.providers.systemd_creds import has_tpm

LOCAL_MTA = Endpoint("127.0.0.1", 25)
CONFIG_NAME = "sealgate.toml"
TRIAL_PHONE = "+1 555 010 0100"  # of the range kept for fiction


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line said; empty and zero mean: find out."""

    domain: str
    host: str = ""
    smarthost: str = ""
    networks: tuple[str, ...] = ()
    display_name: str = ""
    phone: str = ""
    smtp_port: int = 0
    submission_port: int = 0
    web_port: int = 0
    trial: bool = False
    root: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Every answer. `root` is put before all paths: "/" for the real thing."""

    domain: str
    name: str
    display_name: str
    phone: str
    host: str
    public_url: str
    timezone: str
    smarthost: Endpoint
    smarthost_tls: str
    networks: tuple[str, ...]
    smtp: Endpoint
    submission: Endpoint
    portal: Endpoint
    trial: bool
    root: Path
    sealed: bool = False
    """Whether the root key is sealed to this machine's TPM2 chip; otherwise it is a file."""

    @property
    def etc(self) -> Path:
        """Folder of configuration, root key and certificates."""
        return self.root / "etc/sealgate"

    @property
    def data(self) -> Path:
        """Folder of everything else."""
        return self.root / "var/lib/sealgate"

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.etc / CONFIG_NAME

    @property
    def credential(self) -> Path:
        """The sealed root key."""
        return self.etc / "kek.cred"

    def certificate(self, role: str) -> tuple[Path, Path]:
        """Certificate and key that a role reads; the key has a copy for each, so that no group joins the roles."""
        return self.etc / "tls" / "cert.pem", self.etc / "tls" / f"{role}-key.pem"


def work_out(wishes: Wishes, names: Names) -> Plan:
    """Raises Misconfigured for what is wrong, or cannot be found out and was not said."""
    try:
        domain = kinds.domain(wishes.domain)
        networks = tuple(str(kinds.network(one)) for one in wishes.networks)
        host = kinds.domain(wishes.host) if wishes.host else f"mail.{domain}"
        phone = kinds.phone(wishes.phone or (TRIAL_PHONE if wishes.trial else ""))
    except ValueError as error:
        raise Misconfigured(f"quickstart: {error}") from error
    if not phone:
        raise Misconfigured('quickstart: say whom people call when something is wrong: --phone "+1 555 010 0199"')
    everywhere = "127.0.0.1" if wishes.trial else "0.0.0.0"  # noqa: S104 - the doors of a mail gateway
    smarthost, tls = _smarthost(wishes, domain, names)
    web = wishes.web_port or (8080 if wishes.trial else 443)
    smtp = wishes.smtp_port or (2525 if wishes.trial or smarthost == LOCAL_MTA else 25)
    return Plan(
        domain=domain,
        name=(re.sub(r"[^a-z0-9-]+", "-", domain.partition(".")[0]).strip("-") or "clinic")[:40],
        display_name=wishes.display_name,
        phone=phone,
        host="localhost" if wishes.trial else host,
        public_url=f"http://localhost:{web}" if wishes.trial else f"https://{host}" + (f":{web}" if web != 443 else ""),
        timezone=_timezone(),
        smarthost=smarthost,
        smarthost_tls=tls,
        networks=networks or (("127.0.0.0/8",) if wishes.trial or smarthost == LOCAL_MTA else ()),
        smtp=Endpoint(everywhere, smtp),
        submission=Endpoint(everywhere, wishes.submission_port or (2587 if wishes.trial else 587)),
        portal=Endpoint(everywhere, web),
        trial=wishes.trial,
        root=(wishes.root or Path("/")).absolute(),
        sealed=not wishes.trial and wishes.root is None and has_tpm(),
    )


def _smarthost(wishes: Wishes, domain: str, names: Names) -> tuple[Endpoint, str]:
    """Said, or a mail server on this machine, or the provider that the domain's MX names."""
    if wishes.smarthost:
        try:
            said = kinds.smarthost(wishes.smarthost)
        except ValueError as error:
            raise Misconfigured(f"--smarthost {error}") from error
        return said, "none" if said.loopback else "verified"
    try:
        exchangers = [one.split()[-1].rstrip(".").lower() for one in names.of(domain, "MX") or []]
    except NoAnswer:
        exchangers = []
    for one in exchangers:
        if one.endswith(".mail.protection.outlook.com"):
            return Endpoint(one, 25), "verified"
        if one.endswith((".google.com", ".googlemail.com")):
            return Endpoint("smtp-relay.gmail.com", 587), "verified"
    if first_line(LOCAL_MTA.host, LOCAL_MTA.port).startswith("220"):
        return LOCAL_MTA, "none"
    raise Misconfigured(
        "no mail server on this machine and none that the domain's MX record tells: say where outbound mail goes, "
        "such as --smarthost smtp.provider.example:587"
    )


def _timezone() -> str:
    """The machine's own, as a name of the IANA database; UTC where it has none."""
    found = ""
    try:
        found = Path("/etc/timezone").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        target = os.path.realpath("/etc/localtime")
        found = target.partition("/zoneinfo/")[2]
    try:
        return str(kinds.timezone(found)) if found and found != "Etc/UTC" else "UTC"
    except ValueError:
        return "UTC"
