"""The running parts: keyholder, gateway, the doors."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

from gateway import keyholders
from gateway.doctor import neighbours
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, per_clinic, red, unseen, worst, yellow
from gateway.errors import GatewayError
from gateway.settings import Endpoint, Settings

SOON_DAYS = 14


@check(
    "keyholder.answers",
    "The keyholder answers",
    "without it no mail is sealed, nobody signs in and nothing is opened",
)
def answers(case: Case) -> Finding:
    if case.keyholder is not None:
        if case.tenant is None:
            return red(
                f"it does not know the tenant '{case.settings.tenant.name}'",
                'write in [tenant] the name it was set up with: name = "'
                + next((one["name"] for one in case.keyholder["tenants"].values()), "?")
                + '"',
            )
        return green(f"{len(case.keyholder['tenants'])} tenant, {case.keyholder['counts']['epochs']} open epochs")
    settings = case.settings
    if settings.node.keyholder == "apart":
        if not keyholders.administers(settings):
            return yellow(
                f"not asked: this machine has no operator's certificate for the keyholder at {settings.keys.address}",
                "on the keyholder's machine: sealgate keys status",
            )
        return red(
            f"it does not answer at {settings.keys.address}, or does not admit this machine",
            "sealgate keys machines, on its machine, says which certificates count; its journal says why one does not",
        )
    if not case.sees("keyholder"):
        return unseen(case)
    return red("it does not answer at its operator's socket", case.start("keyholder"))


@check(
    "keyholder.certificates",
    "This machine's certificates for the keyholder last",
    "when one ends, mail is answered 451 and pages 503",
)
def certificates(case: Case) -> Finding:
    settings = case.settings
    if settings.node.keyholder != "apart":
        return green("the keyholder is on this machine")
    try:
        ends = keyholders.ends(settings)
    except GatewayError as error:
        return red(str(error), case.command("keys request request.json"))
    missing = [role for role in keyholders.ROLES[:2] if role not in ends]
    if missing and not case.sees("gateway"):
        return unseen(case)
    now, renew = datetime.now(UTC), f"{case.command('keys request request.json')}; then as deploy/KEYHOLDER.md says"
    if missing:
        return red(f"none for {', '.join(missing)}", renew)
    first = min(ends.values())
    if first <= now:
        return red(f"one ended at {first.isoformat(timespec='minutes')}", renew)
    if first - now < timedelta(days=SOON_DAYS):
        return yellow(f"one ends at {first.isoformat(timespec='minutes')}", renew)
    return green(f"the first ends at {first.isoformat(timespec='minutes')}")


@check(
    "gateway.alive",
    "The worker gives a sign of life every second, and it is well",
    "while it is silent or unwell, every message is answered 451",
)
def alive(case: Case) -> Finding:
    life = case.alive
    if life.ok:
        return green("alive and well")
    if not case.serving and not (case.sees("gateway") or case.sees("smtp")):
        return unseen(case)
    if not case.serving:
        return red("no sign of life in the last seconds: it is not running", case.start())
    return red(
        f"running, and something it needs is not: {life.reason}",
        f"repair '{life.reason}' as the checks here say; it recovers by itself",
    )


@check(
    "ports.ours",
    "Every address of the configuration is held by this gateway",
    "a port that another program holds stops the start; one that nobody holds takes no mail",
)
def ports(case: Case) -> Finding:
    smtp, portal = case.settings.smtp, case.settings.portal
    findings = [_mail_port(case, one, "listen") for one in smtp.listen]
    findings += [_mail_port(case, one, "submission_listen") for one in smtp.submission_listen]
    findings += [_any_port(case, one, "[smtp] submissions_listen") for one in smtp.submissions_listen]
    findings += [_any_port(case, one, "[portal] listen") for one in portal.listen]
    return worst(findings, "all answer" if case.serving else "all are free for the next start")


def _mail_port(case: Case, one: Endpoint, key: str) -> Finding:
    said = neighbours.first_line(neighbours.reachable(one.host), one.port) if case.serving else ""
    if case.serving and said.startswith(("220 ", "421 ")) and case.settings.smtp.hostname in said:
        return green(str(one))
    return _any_port(case, one, f"[smtp] {key}", ours=False)


def _any_port(case: Case, one: Endpoint, key: str, *, ours: bool = True) -> Finding:
    listens = neighbours.listens(one.host, one.port)
    taken = (
        f"ss -ltnp 'sport = :{one.port}' names it; stop it, or write another port in {key}, "
        f"then: {case.start('smtp' if 'smtp' in key else 'gateway')}"
    )
    if case.serving and listens:
        return green(str(one)) if ours else red(f"port {one.port} is answered by another program", taken)
    if case.serving:
        return red(f"nobody listens on port {one.port}", case.start("smtp" if "smtp" in key else "gateway"))
    if listens:
        return red(f"port {one.port} is taken by another program", taken)
    return _could_bind(one, key, taken)


def _could_bind(one: Endpoint, key: str, taken: str) -> Finding:
    family = socket.AF_INET6 if ":" in one.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((one.host, one.port))
        except PermissionError:
            return yellow(f"port {one.port} needs root or CAP_NET_BIND_SERVICE", "start serve as root, or by its units")
        except OSError as error:
            if error.errno == 98:  # EADDRINUSE
                return red(f"port {one.port} is taken by another program", taken)
            return red(f"{one}: {error.strerror}", f"write an address of this machine in {key}")
    return green(str(one))


@check(
    "portal.answers",
    "The portal answers on its own address",
    "recipients and staff see their browser's error page otherwise",
)
def portal(case: Case) -> Finding:
    settings = case.settings.portal
    if not case.serving:
        return yellow("not asked: the gateway is not running", case.start("gateway"))
    first = settings.listen[0]

    def look(own: Settings) -> Finding:
        host = own.portal.public_url.split("://", 1)[1]
        status = neighbours.portal_alive(first.host, first.port, tls=settings.tls_cert_file is not None, name=host)
        if status == 200:
            return green("it answers")
        if status == 0:
            return red(f"no answer on port {first.port}", case.start("gateway"))
        there = "it does not know that host" if status == 421 else f"it answers {status}"  # RFC 9110 15.5.20
        return red(f"{host}: {there}", f"write in [portal] public_url the address that browsers use, now {host}")

    return per_clinic(case, look)
