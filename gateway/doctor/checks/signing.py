"""Who signs the clinic's mail (DKIM): we, the smarthost or nobody; and is what we sign with published?"""

from __future__ import annotations

from typing import Any

from gateway.doctor import records
from gateway.doctor.case import ANSWER_SECONDS, Case
from gateway.doctor.finding import Finding, check, green, per_clinic, red, unseen, worst, yellow
from gateway.doctor.records import NoAnswer
from gateway.keyholders import reach
from gateway.mail import dkim
from gateway.settings import Settings
from keys.client import OperatorClient
from keys.errors import KeysError


@check(
    "dns.dkim",
    "Mail of the clinic's domains is signed on its way out",
    "without a signature, forwarded mail fails DMARC",
)
def signed(case: Case) -> Finding:
    return per_clinic(case, lambda own: _of(case, own), " and ")


def _of(case: Case, own: Settings) -> Finding:
    selectors = own.dkim.selectors
    if not selectors and records.local_only(own):
        return green("the portal is on loopback: nobody looks anything up")
    try:
        if not selectors:
            return records.dkim(own, case.names)
        held = _held(case, own)
        if held is None:
            return unseen(case)
        findings = [_selector(case, own, selector, held) for selector in selectors]
    except NoAnswer:
        return yellow("no name server answers", "repair /etc/resolv.conf, or ask another with --resolver HOST:PORT")
    return worst(findings, f"we sign what we rewrite and write with {', '.join(selectors)}; the keys are published")


def _selector(case: Case, own: Settings, selector: str, held: dict[str, dict[str, Any]]) -> Finding:
    """One key: is it there, and does every name under which we sign publish it?"""
    key = held.get(selector)
    if key is None:
        return red(
            f"there is no key '{selector}', so nothing is signed with it",
            f"{case.command(f'dkim make {selector}')} && {case.start()}",
        )
    if records.local_only(own):
        return green(f"'{selector}' signs; the portal is on loopback: nobody looks anything up")
    missing, wrong = [], []
    for domain in signing_names(own):
        said = case.names.of(f"{selector}._domainkey.{domain}", "TXT") or []
        found = [dkim.published(text) for text in said]
        if not any(found):
            missing.append(domain)
        elif found != [(key["algorithm"], key["public"])]:
            wrong.append(domain)
    record = dkim.record(key["algorithm"], key["public"])
    lines = " and ".join(f'{selector}._domainkey.{domain}. IN TXT "{record}"' for domain in wrong + missing)
    if wrong:
        return red(f"{', '.join(wrong)} publishes another key as '{selector}': signatures fail", lines)
    if missing:
        return red(f"{', '.join(missing)} does not publish '{selector}': signatures count as none", lines)
    return green("published")


def signing_names(own: Settings) -> list[str]:
    """The domains whose DNS holds our keys: the clinic's, and the portal's host where it is below none of them."""
    domains = list(own.tenant.domains)
    host = own.public_host
    below = any(host == domain or host.endswith("." + domain) for domain in domains)
    return domains if below or records.local_only(own) else [*domains, host]


def _held(case: Case, own: Settings) -> dict[str, dict[str, Any]] | None:
    """The keyholder's keys of that clinic by selector; None while it cannot be asked."""
    tenants = (case.keyholder or {}).get("tenants", {})
    tenant = next((id for id, one in tenants.items() if one["name"] == own.tenant.name), None)
    if tenant is None:
        return None
    client = OperatorClient(reach(case.settings, "operator", timeout_seconds=ANSWER_SECONDS, size=1))
    try:
        return {one["selector"]: one for one in client.dkim_list(tenant)}
    except KeysError:
        return None
    finally:
        client.close()
