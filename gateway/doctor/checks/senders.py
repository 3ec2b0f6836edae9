"""Devices and shared networks: does the policy heed them, and is what they lean on there?"""

from __future__ import annotations

from gateway import policy as policies
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, red, worst, yellow
from gateway.errors import Misconfigured
from gateway.policy import Policy
from gateway.senders import MICROSOFT, secret_of
from gateway.settings import Settings


def unheeded_devices(own: Settings, policy: Policy) -> str:
    """A sentence when devices' mail is to count as PHI and the policy has no rule about that; empty when all is well.

    The policy `observe` changes nothing by intent.
    """
    assuming = [one.name for one in own.devices if one.assume_phi]
    heeds = any(word.removeprefix("not ") == "assumed" for rule in policy.rules for word in rule.when)
    if not assuming or heeds or policy.name == "observe":
        return ""
    return (
        f"policy '{policy.name}' has no rule about \"assumed\", so mail of {', '.join(assuming)} is judged like any "
        'other; copy the rule "device" of the policy clinic'
    )


@check(
    "senders.devices",
    "Mail of scanners and fax servers counts as health information",
    "nobody looks at a scan before it is sent",
)
def devices(case: Case) -> Finding:
    findings = [_devices(own) for own in case.settings.tenants]
    count = sum(len(own.devices) for own in case.settings.tenants)
    return worst(findings, f"{count} of them, each with its rule" if count else "there are none in the settings")


def _devices(own: Settings) -> Finding:
    sentence = unheeded_devices(own, policies.load(own.policy.file))
    return yellow(sentence, 'add the rule "device" of the policy clinic to your policy') if sentence else green("")


@check(
    "senders.shared",
    "Mail from networks that others use too is taken with proof alone",
    "any customer of the same provider could send in the clinic's name",
)
def shared(case: Case) -> Finding:
    findings = [_shared(own) for own in case.settings.tenants]
    count = sum(len(own.shared) for own in case.settings.tenants)
    return worst(findings, f"{count} of them, each with a secret" if count else "there are none in the settings")


def _shared(own: Settings) -> Finding:
    found = []
    for one in own.shared:
        try:
            secret_of(one)
        except Misconfigured as error:
            found.append(red(f"'{one.name}': its secret cannot be used", error.public))
        if own.courier.smarthost.host.endswith(".mail.protection.outlook.com") and one.provider == MICROSOFT:
            if not one.loop:
                line = "loop = true in that table, and the exception in its rule (deploy/mail/microsoft-365.md)"
                found.append(yellow(f"'{one.name}': mail goes back there, and nothing tells that it was here", line))
            if own.courier.client_cert_file is None:
                line = "[courier] client_cert_file, client_key_file; Exchange Online knows our mail by its certificate"
                found.append(yellow(f"'{one.name}': mail goes back there without a client certificate", line))
    return worst(found, "")
