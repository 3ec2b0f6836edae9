"""Who may hand in mail besides people and networks of the clinic's own: devices, and networks shared with strangers.

Promises: a device is bound to a network, a certificate or both, and what it sends counts as PHI unless its table says
otherwise; a network that others use too never authorises by itself, it needs the clinic's proof (a secret in a header
that the clinic's own mail-flow rule sets, and for Microsoft 365 the organisation that Microsoft names); the secret
itself is kept nowhere, a hash of it is. DESIGN §3 (named owners), §7 (trust of senders); 45 CFR 164.312(d).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway import settingtypes as kinds
from gateway.errors import Misconfigured
from gateway.sections import setting
from gateway.settingtypes import Network, SecretFile

MICROSOFT, GOOGLE, OTHER = "microsoft-365", "google-workspace", "other"
ORIGINATOR: Final = "X-OriginatorOrg"
LOOP: Final = "X-Sealgate-Loop"
"""Says to the provider's rule that a mail has been here; its value is the clinic's own."""
UNATTENDED: Final = ("scanner", "fax")
LEAST_SECRET: Final = 32
_HEADER = re.compile(r"X-[A-Za-z0-9-]{1,60}")


@dataclass(frozen=True, slots=True)
class Device:
    """A scanner, fax server, program or mail server: one such table for each. Known by its network, its certificate, or
    by both together.
    """

    name: str = setting("Its name in the log.", kinds.short_name, example="front-scanner")
    clinic: str = setting(
        "Whose it is, by name; needed where there are several clinics.", kinds.optional_name, "", example="riverside"
    )
    kind: str = setting(
        '"scanner" and "fax" need senders and an owner; "application" and "server" may go without.',
        kinds.choice("scanner", "fax", "application", "server"),
        example="scanner",
    )
    networks: tuple[Network, ...] = setting(
        "Where it sends from.", kinds.listed(kinds.network), (), example=["192.0.2.14"]
    )
    certificate_sha256: tuple[str, ...] = setting(
        "SHA-256 of its client certificate (submission ports, [smtp] client_ca_file); with networks, both must hold.",
        kinds.listed(kinds.fingerprint),
        (),
        example=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    senders: tuple[str, ...] = setting(
        "The only addresses it may send from; empty: any of the clinic's domains.",
        kinds.listed(kinds.address),
        (),
        example=["scanner@clinic.example"],
    )
    owner: str = setting(
        "Who reads what we have to say about its mail; one of the clinic's own addresses.",
        kinds.address,
        "",
        example="office@clinic.example",
    )
    assume_phi: bool = setting(
        "Every attachment to outsiders is sealed, whatever is found in it; false looks as at other mail.",
        kinds.flag,
        True,
    )


@dataclass(frozen=True, slots=True)
class Shared:
    """A network that the clinic shares with strangers, such as Microsoft 365 or Google Workspace: one such table for
    each clinic there. Its mail is taken only with the clinic's proof.
    """

    name: str = setting("Its name in the log.", kinds.short_name, example="m365")
    clinic: str = setting(
        "Whose proof it is, by name; needed where there are several clinics.", kinds.optional_name, "",
        example="riverside",
    )  # fmt: skip
    provider: str = setting(
        "Whose network it is; Microsoft's mail must name the organisation as well.",
        kinds.choice(MICROSOFT, GOOGLE, OTHER),
        example=MICROSOFT,
    )
    networks: tuple[Network, ...] = setting(
        "The provider's networks as it publishes them.", kinds.listed(kinds.network), example=["40.92.0.0/15"]
    )
    secret_file: SecretFile = setting(
        "File with the secret of the clinic's mail-flow rule, 32 characters at least.",
        kinds.secret_file,
        example="/etc/sealgate/m365-secret",
    )
    header: str = setting("The field in which that rule puts it.", kinds.text, "X-Sealgate-Proof")
    originator_org: str = setting(
        f"Microsoft 365: the domain that {ORIGINATOR} names, as a mail of the clinic shows it.",
        kinds.optional_domain,
        "",
        example="clinic.example",
    )
    loop: bool = setting(
        f"Mail goes back to that provider: {LOOP} tells its rule that it was here (sealgate shared prints the value).",
        kinds.flag,
        False,
    )


TABLES: Final[dict[str, type[Any]]] = {"devices": Device, "shared": Shared}


def verifier(secret: str) -> bytes:
    """What is kept of a secret: enough to know it again. It has 128 bits at least, so that no salt is needed."""
    return hashlib.sha256(b"sealgate/shared-proof/v1\0" + secret.encode("utf-8")).digest()


def loop_value(known: bytes) -> str:
    """The value of the loop field, which follows from the secret's verifier and does not lead back."""
    return hmac.new(known, b"sealgate/loop/v1", hashlib.sha256).hexdigest()[:32]


def secret_of(shared: Shared) -> str:
    """Raises Misconfigured for a secret that is short, or that a header field would not carry as it is."""
    text = shared.secret_file.read().reveal()
    if len(text) < LEAST_SECRET or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise Misconfigured(
            f"secret file {shared.secret_file}: write {LEAST_SECRET} characters or more without blanks, such as "
            "openssl rand -hex 32 prints"
        )
    return text


def bodies(devices: Iterable[Device], shared: Iterable[Shared]) -> dict[str, object]:
    """Both for the settings that the keyholder signs; a clinic without any has no such keys. Raises Misconfigured."""
    found: dict[str, object] = {}
    if listed := [_device(one) for one in devices]:
        found["devices"] = listed
    if proofs := [_shared(one) for one in shared]:
        found["shared"] = proofs
    return found


def _device(one: Device) -> dict[str, object]:
    return {
        "name": one.name, "kind": one.kind, "networks": [str(network) for network in one.networks],
        "certificates": list(one.certificate_sha256), "senders": [address.lower() for address in one.senders],
        "owner": one.owner, "assume_phi": one.assume_phi,
    }  # fmt: skip


def _shared(one: Shared) -> dict[str, object]:
    return {
        "name": one.name, "provider": one.provider, "networks": [str(network) for network in one.networks],
        "header": one.header, "originator_org": one.originator_org, "loop": one.loop,
        "verifier": verifier(secret_of(one)).hex(),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clinic:
    """What of a clinic the tables must fit to."""

    name: str
    domains: tuple[str, ...]
    trusted: tuple[Network, ...]


Row = tuple[Any, str]
"""A table's values, and where it stands."""


def of_clinics(
    clinics: Sequence[Clinic], devices: Sequence[Row], shared: Sequence[Row], *, certificates: bool
) -> dict[str, tuple[tuple[Device, ...], tuple[Shared, ...]]]:
    """Each clinic's tables by its name. `certificates`: clients may show some. Raises Misconfigured with the place."""
    by_name = {one.name: one for one in clinics}
    for one, where in (*devices, *shared):
        _clinic(by_name, one, where)
    for one, where in devices:
        _fits(one, where, by_name[one.clinic or clinics[0].name], certificates)
    for one, where in shared:
        _proves(one, where, clinics)
    _apart(devices, shared, clinics[0].name)
    return {
        name: (
            tuple(one for one, _ in devices if (one.clinic or clinics[0].name) == name),
            tuple(one for one, _ in shared if (one.clinic or clinics[0].name) == name),
        )
        for name in by_name
    }


def _clinic(by_name: dict[str, Clinic], one: Any, where: str) -> None:
    if one.clinic and one.clinic not in by_name:
        raise Misconfigured(f"{where}: clinic '{one.clinic}' is none of {', '.join(by_name)}")
    if not one.clinic and len(by_name) > 1:
        raise Misconfigured(f"{where}: clinic is missing; write one of {', '.join(by_name)}")


def _fits(one: Device, where: str, clinic: Clinic, certificates: bool) -> None:
    if not one.networks and not one.certificate_sha256:
        raise Misconfigured(f"{where}: [[devices]] needs networks or certificate_sha256, else anybody were that device")
    if one.certificate_sha256 and not certificates:
        raise Misconfigured(
            f"{where}: [[devices]] certificate_sha256 needs [smtp] client_ca_file and a submission port"
        )
    if one.kind in UNATTENDED and not (one.senders and one.owner):
        raise Misconfigured(f"{where}: [[devices]] a {one.kind} needs senders and an owner, for nobody reads its mail")
    for address in (*one.senders, *([one.owner] if one.owner else ())):
        if address.rpartition("@")[2].lower() not in clinic.domains:
            raise Misconfigured(f"{where}: [[devices]] '{address}' is no address of {', '.join(clinic.domains)}")


def _proves(one: Shared, where: str, clinics: Sequence[Clinic]) -> None:
    if not one.networks:
        raise Misconfigured(f"{where}: [[shared]] networks is empty; write the provider's networks")
    if one.provider == MICROSOFT and not one.originator_org:
        raise Misconfigured(f"{where}: [[shared]] originator_org is missing; Microsoft names it in {ORIGINATOR}")
    if not _HEADER.fullmatch(one.header) or one.header.lower() in (ORIGINATOR.lower(), LOOP.lower()):
        raise Misconfigured(f'{where}: [[shared]] header must be a name of its own, such as "X-Sealgate-Proof"')
    for clinic in clinics:
        for network in clinic.trusted:
            if _overlap(one.networks, (network,)):
                raise Misconfigured(
                    f"{where}: [[shared]] networks overlap with trusted_networks {network} of '{clinic.name}', where "
                    "no proof is asked for"
                )


def _apart(devices: Sequence[Row], shared: Sequence[Row], first: str) -> None:
    """No two devices that the same connection could be, and none within a shared network without a certificate."""
    for index, (one, where) in enumerate(devices):
        for other, _ in devices[:index]:
            if set(one.certificate_sha256) & set(other.certificate_sha256):
                raise Misconfigured(f"{where}: [[devices]] '{one.name}' has the certificate of '{other.name}'")
            if (one.clinic or first) != (other.clinic or first):
                continue
            if one.name == other.name:
                raise Misconfigured(f"{where}: [[devices]] name '{one.name}' is taken")
            same = not one.senders or not other.senders or set(one.senders) & set(other.senders)
            bare = not one.certificate_sha256 and not other.certificate_sha256
            if same and bare and _overlap(one.networks, other.networks):
                raise Misconfigured(
                    f"{where}: [[devices]] '{one.name}' and '{other.name}' share a network and a sender; which it is "
                    "could not be told"
                )
        for proof, _ in shared:
            if not one.certificate_sha256 and _overlap(one.networks, proof.networks):
                raise Misconfigured(
                    f"{where}: [[devices]] '{one.name}' is in the shared network '{proof.name}', where strangers are"
                )


def _overlap(mine: Iterable[Network], theirs: Sequence[Network]) -> bool:
    return any(one.version == other.version and one.overlaps(other) for one in mine for other in theirs)
