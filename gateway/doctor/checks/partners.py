"""Partners, to whom mail goes as it is: whose time is over, and whether the way to them is one on which TLS holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gateway import policy as policies
from gateway.doctor import neighbours, records
from gateway.doctor.case import Case
from gateway.doctor.finding import AT_ONCE, Finding, check, green, per_clinic, red, worst, yellow
from gateway.doctor.records import NoAnswer
from gateway.policy.model import Partner
from gateway.settings import Settings

SOON = timedelta(days=14)
MAIL_PORT = 25
LOOKED_AT = 40
"""Partners whose servers are asked; more would take longer than anybody waits."""


def _partners(own: Settings) -> tuple[list[Partner], list[Partner], list[Partner]]:
    """Those whose time is over, those whose time ends soon, and all that count today."""
    today = datetime.now(ZoneInfo(own.tenant.timezone)).date()
    found = policies.load(own.policy.file).partners
    over = [one for one in found if one.until < today]
    return over, [one for one in found if today <= one.until < today + SOON], [one for one in found if one not in over]


@check(
    "partners.lapsed",
    "No partner's entry is over or about to end",
    "from the day after its last on, mail to a partner is protected like any other, to the surprise of both",
)
def lapsed(case: Case) -> Finding:
    def look(own: Settings) -> Finding:
        over, soon, count = _partners(own)
        findings = [
            yellow(f"{word}: {', '.join(f'{one.domain} on {one.until.isoformat()}' for one in some)}",
                   "ask who answers for it (sealgate check shows the policy's file), then write another last day or "
                   "take the entry out")
            for word, some in (("ended", over), ("ends soon", soon)) if some
        ]  # fmt: skip
        return worst(findings, f"{len(count)} partners, none near its last day" if count else "there are none")

    return per_clinic(case, look)


@check(
    "partners.tls",
    "Mail to partners goes over verified TLS as far as can be seen from here",
    "it leaves as it is: who reads along on the way reads it",
)
def tls(case: Case) -> Finding:
    return per_clinic(case, lambda own: _tls(case, own))


def _tls(case: Case, own: Settings) -> Finding:
    _, _, partners = _partners(own)
    if not partners or own.tenant.name in case.closed:
        return green("there are none" if not partners else "closed: it sends no new mail")
    if own.courier.tls != "verified" and not own.courier.smarthost.loopback:
        return red("the way to the smarthost itself is not verified", '[courier] tls = "verified"')
    if records.local_only(own):
        return green("the portal is on loopback: no partner's server is asked")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = list(pool.map(lambda one: (one.domain, _server(case, one.domain)), partners[:LOOKED_AT]))
    said: dict[str, list[str]] = {}
    for domain, answer in asked:
        said.setdefault(answer, []).append(domain)
    connector = "ask the partner, and see that the smarthost's connector for it demands TLS"
    findings = []
    if none := said.get("no-mail"):
        findings.append(yellow(f"{', '.join(none)} takes no mail", "take the entry out, or correct its domain"))
    if none := said.get(neighbours.NO_TLS):
        findings.append(red(f"{', '.join(none)} offers no TLS: mail to it goes in clear, or not at all", connector))
    if weak := said.get(neighbours.UNVERIFIED):
        findings.append(yellow(f"{', '.join(weak)} shows a certificate that does not hold for its name", connector))
    counts = [f"{len(said[word])} {word}" for word in (neighbours.VERIFIED, neighbours.UNREACHABLE) if word in said]
    return worst(findings, f"servers of partners, asked from here: {', '.join(counts) or 'no name server answers'}")


def _server(case: Case, domain: str) -> str:
    """What the first mail server of a domain shows."""
    try:
        found = case.names.of(domain, "MX")
        if found is None or found == ["0 ."] or not (found or case.names.addresses(domain)):
            return "no-mail"
    except NoAnswer:
        return "unknown"
    first = sorted(found, key=lambda one: int(one.split()[0]))[0].split()[-1].rstrip(".") if found else domain
    return neighbours.mail_tls(first, MAIL_PORT)
