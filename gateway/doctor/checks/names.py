"""DNS of every clinic's portal host and domains."""

from __future__ import annotations

from collections.abc import Callable

from gateway.doctor import records
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, per_clinic, yellow
from gateway.doctor.records import Names, NoAnswer
from gateway.settings import Settings


def _ask(case: Case, question: Callable[[Settings, Names], Finding], *, mail: bool = True) -> Finding:
    """`mail`: about the clinic's mail, which a closed clinic has no more of."""

    def look(own: Settings) -> Finding:
        if records.local_only(own):
            return green("the portal is on loopback: nobody looks anything up")
        if mail and own.tenant.name in case.closed:
            return green("closed: it sends no new mail")
        try:
            return question(own, case.names)
        except NoAnswer:
            return yellow("no name server answers", "repair /etc/resolv.conf, or ask another with --resolver HOST:PORT")

    return per_clinic(case, look, " and ")


@check("dns.portal", "The portal's host has an address", "recipients cannot open the link without it")
def portal(case: Case) -> Finding:
    return _ask(case, records.portal, mail=False)


@check("dns.mx", "The clinic's domains take mail", "answers, bounces and our own notices go there")
def mx(case: Case) -> Finding:
    return _ask(case, records.mx)


@check(
    "dns.spf",
    "SPF of the clinic's domains names the smarthost",
    "receivers put mail from a server that SPF does not name into the junk folder, or refuse it",
)
def spf(case: Case) -> Finding:
    return _ask(case, records.spf)


@check(
    "dns.return",
    "Mail for the portal's host comes to this gateway, and SPF of that host names the smarthost",
    "bounces of notices go there; without SPF of that host receivers distrust notices whose sender it is",
)
def returning(case: Case) -> Finding:
    def look(own: Settings, names: Names) -> Finding:
        if not own.portal.return_path:
            return green("no notice has a return path there ([portal] return_path)")
        return records.returning(own, names)

    return _ask(case, look)


@check(
    "dns.dmarc",
    "The clinic's domains tell receivers what to do with forgeries",
    "forged notices in the clinic's name would lead patients to a stranger's page",
)
def dmarc(case: Case) -> Finding:
    return _ask(case, records.dmarc)
