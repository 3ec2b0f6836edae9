"""The certificates of our doors: dates, names, keys, chain."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from gateway.doctor import neighbours
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, per_clinic, red, worst, yellow
from gateway.settings import Settings
from gateway.settingtypes import Endpoint, is_loopback

SOON = timedelta(days=21)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate file of ours, what it must be good for, and who reads it."""

    section: str
    certificate: Path
    key: Path
    name: str
    role: str
    strict: bool
    """Whether strangers' programs check it: browsers do, mail servers that hand in mail seldom."""


@check(
    "tls.smtp",
    "The certificate of the SMTP listeners is valid, fits its name and its key",
    "mail programs refuse to send their password otherwise, and mail servers may send in clear",
)
def smtp(case: Case) -> Finding:
    settings = case.settings.smtp
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        if all(one.loopback for one in settings.listen):
            return green("none, and mail is taken on loopback only")
        return yellow(
            "none: mail arrives in clear and nobody can submit with a password",
            "write tls_cert_file and tls_key_file in [smtp]",
        )
    strict = bool(settings.submission_listen or settings.submissions_listen)
    return _examine(
        case, Wanted("smtp", settings.tls_cert_file, settings.tls_key_file, settings.hostname, "smtp", strict)
    )


@check(
    "tls.portal",
    "The certificate of the portal is valid, fits its name and its key",
    "browsers refuse the page that opens a message otherwise",
)
def portal(case: Case) -> Finding:
    return per_clinic(case, lambda own: _portal(case, own))


def _portal(case: Case, own: Settings) -> Finding:
    settings, host = own.portal, own.public_host
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        if settings.public_url.startswith("http://"):
            return green("none, and the portal is on loopback only")
        return _behind_proxy(host)
    return _examine(case, Wanted("portal", settings.tls_cert_file, settings.tls_key_file, host, "gateway", True))


@check(
    "tls.served",
    "The certificates in the files are the ones that are shown",
    "a renewed certificate that was not read again runs out while everything looks right",
)
def served(case: Case) -> Finding:
    if not case.serving:
        return green("not asked: the gateway is not running")
    settings, findings = case.settings, []
    if settings.portal.tls_cert_file is not None:
        first = settings.portal.listen[0]
        findings.append(_shown(case, settings.portal.tls_cert_file, first, "gateway", starttls=False))
    listen = settings.smtp.submission_listen or settings.smtp.listen
    if settings.smtp.tls_cert_file is not None and listen:
        findings.append(_shown(case, settings.smtp.tls_cert_file, listen[0], "smtp", starttls=True))
    return worst(findings, "the same")


def _shown(case: Case, file: Path, at: Endpoint, role: str, *, starttls: bool) -> Finding:
    shown = neighbours.certificate(at.host, at.port, starttls=starttls)
    if shown is None:
        return yellow(f"port {at.port} shows none", f"see ports.ours; {case.start(role)}")
    try:
        written = x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError):
        return green("its file is another check's question")
    if written.public_bytes(Encoding.DER) != shown:
        return red(f"port {at.port} shows another certificate than {file}", case.start(role))
    return green(f"port {at.port}")


def _behind_proxy(host: str) -> Finding:
    """The certificate that a proxy shows in our place, as a browser would check it."""
    try:
        with (
            socket.create_connection((host, 443), 4) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as line,
        ):
            ends = ssl.cert_time_to_seconds(str((line.getpeercert() or {})["notAfter"]))
    except ssl.SSLCertVerificationError as error:
        return red(f"the proxy's certificate is refused: {error.verify_message}", f"give the proxy one for {host}")
    except (OSError, KeyError, ValueError):
        return yellow(
            f"a proxy is to end TLS, and {host}:443 cannot be reached from here", f"open https://{host}/ yourself"
        )
    return _dates(datetime.fromtimestamp(ends, UTC), f"renew the proxy's certificate for {host}")


def _examine(case: Case, wanted: Wanted) -> Finding:
    renew = (
        f"certbot certonly -d {wanted.name}, point [{wanted.section}] at the new files, then: {case.start(wanted.role)}"
    )
    try:
        chain = x509.load_pem_x509_certificates(wanted.certificate.read_bytes())
    except PermissionError:
        return yellow(f"{wanted.certificate} cannot be read by this user", f"run it as root: {case.command('doctor')}")
    except (OSError, ValueError):
        return red(f"{wanted.certificate} holds no certificate in PEM", renew)
    leaf = chain[0]
    problem = _key_problem(case, wanted, leaf)
    if problem is not None:
        return problem
    dates = _dates(leaf.not_valid_after_utc, renew)
    if dates.level == "red":
        return dates
    if leaf.not_valid_before_utc > datetime.now(UTC):
        return red(f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d}", f"{renew}; or the clock is wrong")
    names = _names(leaf)
    if not _fits(wanted.name, names):
        return red(f"made for {', '.join(names) or 'no name'}, and not for {wanted.name}", renew)
    if not is_loopback(wanted.name) and (why := _distrusted(chain, wanted.name)):
        return (red if wanted.strict else yellow)(why, renew)
    return dates


def _key_problem(case: Case, wanted: Wanted, leaf: x509.Certificate) -> Finding | None:
    try:
        key = load_pem_private_key(wanted.key.read_bytes(), None)
    except PermissionError:
        return yellow(f"{wanted.key} cannot be read by this user", f"run it as root: {case.command('doctor')}")
    except (OSError, ValueError, TypeError):
        return red(
            f"{wanted.key} holds no private key in PEM without a password",
            f"write the key of {wanted.certificate} there",
        )
    if wanted.key.stat().st_mode & 0o007:
        return red(f"{wanted.key} is open to everybody", f"chmod 0640 {wanted.key}")
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return red(
            f"{wanted.key} is not the key of {wanted.certificate}",
            f"write into [{wanted.section}] the certificate and the key of one pair",
        )
    return None


def _dates(until: datetime, renew: str) -> Finding:
    left = until - datetime.now(UTC)
    if left <= timedelta(0):
        return red(f"expired on {until:%Y-%m-%d}", renew)
    words = f"{left.days} days left" if left.days > 1 else f"{left.total_seconds() / 3600:.0f} hours left"
    return yellow(words, renew) if left < SOON else green(words)


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        value = leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return []
    assert isinstance(value, x509.SubjectAlternativeName)
    return [*value.get_values_for_type(x509.DNSName), *map(str, value.get_values_for_type(x509.IPAddress))]


def _fits(name: str, names: list[str]) -> bool:
    """RFC 6125 6.4.3: a star stands for the whole leftmost label."""
    lower = name.lower().rstrip(".")
    rest = lower.partition(".")[2]
    return any(one.lower() == lower or (one.startswith("*.") and one[2:].lower() == rest and rest) for one in names)


def _distrusted(chain: list[x509.Certificate], name: str) -> str:
    """Why a stranger's program would refuse it; empty when it would not, or when this machine has no list to ask."""
    leaf = chain[0]
    if leaf.issuer == leaf.subject:
        try:
            leaf.verify_directly_issued_by(leaf)
            return "signed by itself: no browser and no mail program trusts it"
        except (InvalidSignature, ValueError, TypeError):
            pass
    where = ssl.get_default_verify_paths().cafile
    if where is None or not Path(where).exists():
        return ""
    try:
        roots = x509.load_pem_x509_certificates(Path(where).read_bytes())
        PolicyBuilder().store(Store(roots)).build_server_verifier(x509.DNSName(name)).verify(leaf, chain[1:])
    except VerificationError:
        return "its chain leads to no authority that this machine trusts (is the intermediate certificate in the file?)"
    except ValueError:
        return ""
    return ""
