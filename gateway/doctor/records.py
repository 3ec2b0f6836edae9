"""DNS: what a clinic's domain and its portal host need, what is there, and the right record beside what is wrong.

Promises: names and records are public, so they may be printed; a name server that does not answer is said once and
waited for once; a mailbox address never stands in a suggested record.
Clauses: RFC 7208 (SPF), RFC 7489 (DMARC), RFC 6376 (DKIM), RFC 7505 (null MX), RFC 8020 (NXDOMAIN cut).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.resolver

from gateway.doctor.finding import Finding, green, red, yellow
from gateway.settings import Endpoint, Settings
from gateway.settingtypes import is_loopback

SECONDS = 3.0
LOOKUPS = 10  # RFC 7208 4.6.4
PROVIDERS = (  # smarthost's domain, what its users put into SPF, selectors of its DKIM keys
    (
        re.compile(r"\.mail\.protection\.outlook\.com$"),
        "include:spf.protection.outlook.com",
        ("selector1", "selector2"),
    ),
    (re.compile(r"^smtp-relay\.gmail\.com$|^smtp\.gmail\.com$"), "include:_spf.google.com", ("google",)),
)


class NoAnswer(Exception):
    """No name server answered."""


@dataclass(slots=True)
class Names:
    """One resolver: the machine's, or one named by host and port."""

    server: Endpoint | None = None
    silent: bool = False

    def of(self, name: str, kind: str) -> list[str] | None:
        """The values of these records; an empty list where the name has none, None where there is no such name.

        Raises NoAnswer.
        """
        if self.silent:
            raise NoAnswer
        try:
            resolver = dns.resolver.Resolver(configure=self.server is None)
            resolver.lifetime = resolver.timeout = SECONDS
            if self.server is not None:
                resolver.nameservers = [self.server.host]
                resolver.port = self.server.port
            answer = resolver.resolve(name + ".", kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError) as error:
            self.silent = True
            raise NoAnswer from error
        if answer.rrset is None:
            return []
        if kind == "TXT":
            return [b"".join(one.strings).decode("utf-8", "replace") for one in answer.rrset]
        return [one.to_text() for one in answer.rrset]

    def addresses(self, host: str) -> list[str]:
        """Addresses of a host, or the address that it is. Raises NoAnswer."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            return [*(self.of(host, "A") or []), *(self.of(host, "AAAA") or [])]


def local_only(settings: Settings) -> bool:
    """Whether the portal is for this machine alone, so that nobody looks anything up."""
    return is_loopback(settings.public_host)


def portal(settings: Settings, names: Names) -> Finding:
    """The host in links."""
    host = settings.public_host
    found = names.addresses(host)
    if found:
        return green(f"{host} is {', '.join(found)}")
    first = settings.portal.listen[0].host
    everywhere = first in ("0.0.0.0", "::") or is_loopback(first)  # noqa: S104 - compared, not bound
    address = "the public address of this machine" if everywhere else first
    return red(f"{host} has no address", f"{host}. IN A {address}")


def mx(settings: Settings, names: Names) -> Finding:
    """Where answers and bounces to the clinic's people go."""
    findings = {domain: names.of(domain, "MX") for domain in settings.tenant.domains}
    bad = [domain for domain, found in findings.items() if not found or found == ["0 ."]]
    if not bad:
        return green(", ".join(f"{domain}: {len(found or [])}" for domain, found in findings.items()))
    return yellow(
        f"{', '.join(bad)} takes no mail: answers and notices to senders are lost",
        " and ".join(f"{domain}. IN MX 10 <the server that keeps your mailboxes>" for domain in bad),
    )


def returning(settings: Settings, names: Names) -> Finding:
    """Where mail for the portal's host goes, which is where bounces to our return paths go, and whether the smarthost
    may send for it.
    """
    host = settings.public_host
    found = names.of(host, "MX") or []
    here = {host, settings.smtp.hostname}
    if found == ["0 ."] or not (found or names.addresses(host)):
        return red(f"{host} takes no mail: bounces of notices are lost", f"{host}. IN MX 10 {host}.")
    servers = [one.split()[-1].rstrip(".").lower() for one in found] or [host]
    ours = {address for one in here for address in names.addresses(one)}
    if any(names.addresses(one) == [] for one in servers):
        return red(f"an MX of {host} has no address: bounces of notices are lost", f"{host}. IN MX 10 {host}.")
    away = [one for one in servers if not ours & set(names.addresses(one))]
    allowed = spf(settings, names, (host,))
    if allowed.level != "green":
        return allowed
    if away:
        return green(f"{host}: {', '.join(away)} must hand its mail on to this gateway; SPF names the smarthost")
    return green(f"{host}: mail comes here, and SPF names the smarthost")


def spf(settings: Settings, names: Names, domains: Sequence[str] = ()) -> Finding:
    """Whether the smarthost may send for the clinic's domains, or for these."""
    bad: list[Finding] = []
    term, sure, senders = _sender(settings, names)
    for domain in domains or settings.tenant.domains:
        said = [text for text in names.of(domain, "TXT") or [] if text.lower().split(" ")[0] == "v=spf1"]
        if not said:
            bad.append(yellow(f"{domain} says nothing", f'{domain}. IN TXT "v=spf1 {term} -all"'))
        elif len(said) > 1:
            bad.append(
                red(f"{domain} has {len(said)} SPF records, so none counts", f"leave one: {_with(said[0], term)}")
            )
        elif not _covers(names, domain, said[0], term, senders):
            make = red if sure else yellow
            bad.append(make(f"{domain} does not name the smarthost", f'{domain}. IN TXT "{_with(said[0], term)}"'))
    if not bad:
        return green("every domain names the smarthost")
    level = red if any(one.level == "red" for one in bad) else yellow
    return level("; ".join(one.found for one in bad), " and ".join(one.repair for one in bad))


def dmarc(settings: Settings, names: Names) -> Finding:
    """What others do with mail that only pretends to be the clinic's."""
    missing, weak = [], []
    for domain in settings.tenant.domains:
        said = [text for text in names.of(f"_dmarc.{domain}", "TXT") or [] if text.lower().startswith("v=dmarc1")]
        if len(said) != 1:
            missing.append(domain)
        elif re.search(r";\s*p\s*=\s*none\b", said[0], re.IGNORECASE):
            weak.append(domain)
    lines = " and ".join(f'_dmarc.{domain}. IN TXT "v=DMARC1; p=quarantine"' for domain in missing + weak)
    if missing:
        return yellow(f"{', '.join(missing)} says nothing: anybody's forgery of it is taken", lines)
    if weak:
        return yellow(f"{', '.join(weak)} only watches (p=none)", lines)
    return green("every domain has a policy")


def dkim(settings: Settings, names: Names) -> Finding:
    """Whether some key for signatures is published, where we have none and the smarthost must sign."""
    provider = _provider(settings)
    missing = []
    for domain in settings.tenant.domains:
        if provider is not None:
            hits = [names.of(f"{one}._domainkey.{domain}", "TXT") for one in provider[2]]
            there = any(hit is not None for hit in hits)
        else:
            there = names.of(f"_domainkey.{domain}", "TXT") is not None  # RFC 8020: a name above existing ones exists
        if not there:
            missing.append(domain)
    if not missing:
        return green("the smarthost signs, or should: keys are published, and [dkim] selectors is empty")
    selector = provider[2][0] if provider else "<selector>"
    return yellow(
        f"nobody signs for {', '.join(missing)}: no key is published; what Sealgate rewrites loses older signatures",
        "sealgate dkim make sealgate-r1, or switch DKIM signing on at the smarthost and publish what it shows: "
        + " and ".join(f"{selector}._domainkey.{domain}. IN TXT or CNAME" for domain in missing),
    )


def _provider(settings: Settings) -> tuple[re.Pattern[str], str, tuple[str, ...]] | None:
    host = settings.courier.smarthost.host.lower()
    return next((one for one in PROVIDERS if one[0].search(host)), None)


def _sender(settings: Settings, names: Names) -> tuple[str, bool, list[str]]:
    """The SPF term for our smarthost, whether we are sure of it, and its addresses as far as they are known."""
    provider = _provider(settings)
    if provider is not None:
        return provider[1], True, []
    smarthost = settings.courier.smarthost
    host = settings.public_host if smarthost.loopback else smarthost.host
    found = names.addresses(host)
    try:
        one = ipaddress.ip_address(host)
    except ValueError:
        return f"a:{host}", smarthost.loopback, found
    return f"ip{one.version}:{one}", False, found


def _covers(names: Names, domain: str, record: str, term: str, senders: list[str]) -> bool:
    if term.startswith("include:"):
        return term.lower() in record.lower().split()
    budget = [LOOKUPS]
    return bool(senders) and all(_passes(names, domain, record, ipaddress.ip_address(one), budget) for one in senders)


def _passes(
    names: Names, domain: str, record: str, sender: ipaddress.IPv4Address | ipaddress.IPv6Address, budget: list[int]
) -> bool:
    """Whether a mechanism that passes matches (RFC 7208 5). Macros, `exists` and `ptr` count as not matching."""
    for word in record.lower().split()[1:]:
        kind, _, value = word.removeprefix("+").partition(":")
        kind = kind.partition("/")[0]
        if kind in ("ip4", "ip6"):
            try:
                if sender in ipaddress.ip_network(value, strict=False):
                    return True
            except ValueError:
                continue
        elif kind == "all":
            return True
        elif kind in ("a", "mx", "include", "redirect=") or kind.startswith("redirect="):
            budget[0] -= 1
            if budget[0] < 0:
                return False
            host = (value or domain).partition("/")[0]
            if kind == "a" and str(sender) in names.addresses(host):
                return True
            if kind == "mx":
                hosts = [one.split()[-1].rstrip(".") for one in names.of(host, "MX") or []]
                if any(str(sender) in names.addresses(one) for one in hosts if one):
                    return True
            if kind == "include" or kind.startswith("redirect="):
                other = value or kind.removeprefix("redirect=")
                said = [text for text in names.of(other, "TXT") or [] if text.lower().startswith("v=spf1")]
                if said and _passes(names, other, said[0], sender, budget):
                    return True
    return False


def _with(record: str, term: str) -> str:
    """The record with our term before its end."""
    words = [word for word in record.split() if word.lower() != term.lower()]
    at = next((n for n, word in enumerate(words) if word.lower().lstrip("+-~?") == "all"), len(words))
    return " ".join([*words[:at], term, *words[at:]])
