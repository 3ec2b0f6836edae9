"""The configuration, its secrets, the boundary between the roles, and settings that wait."""

from __future__ import annotations

import importlib.util
import os

from gateway import policy
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, red, worst, yellow
from gateway.doctor.place import places, wrong
from gateway.errors import Misconfigured
from gateway.install import state
from gateway.roles import NAMES


@check(
    "config.valid",
    "The configuration, its secret files and its policy can be used",
    "serve refuses to start with anything else, so a restart would end mail flow",
)
def valid(case: Case) -> Finding:
    settings = case.settings
    for secret in (settings.courier.password_file, settings.notify.sms_token_file):
        if secret is not None:
            try:
                secret.read()
            except Misconfigured as error:
                if "Permission denied" in error.public and os.geteuid() != 0:
                    return yellow(error.public, f"run it as root: {case.command('doctor')}")
                return red(error.public, f"write the secret into {secret.path} and run: chmod 0640 {secret.path}")
    try:
        policy.load(settings.policy.file)
    except Misconfigured as error:
        return red(error.public, f"correct that line, then: {case.command('check')}")
    where = case.config.name if case.config else "environment and defaults"
    return green(f"{where}, policy '{settings.policy.file}'")


@check(
    "places.complete",
    "Store, vault, spool and key directory belong to one installation and are all there",
    "nothing is ever made anew beside existing data: a missing part stops the start",
)
def complete(case: Case) -> Finding:
    try:
        found = state(case.settings)
    except Misconfigured as error:
        return red(error.public, f"run it as root: {case.command('doctor')}")
    missing = [name for name, there in found.items() if not there]
    if not missing:
        return green("all four hold data")
    if len(missing) == len(found):
        return red("nothing is installed here yet", case.start())
    return red(
        f"{', '.join(missing)} absent or empty beside existing data",
        f"mount or bring back from the backup what {', '.join(missing)} names, then: {case.start()}",
    )


@check(
    "boundary.users",
    "Each role runs as a user of its own",
    "with one user for all, whoever takes over one role has the keys and the stores of all of them",
)
def users(case: Case) -> Finding:
    if case.who.enforced:
        if case.who.apart:
            return green("smtp, worker, portal and keyholder are four users")
        return green("smtp, gateway and keyholder are three users; on SQLite worker and portal are one of them")
    names = " ".join(NAMES.values())
    return red(
        "one user for all roles: the boundary between them is not enforced",
        f"as root, after stopping it: for user in {names}; do id $user || useradd --system --user-group --shell "
        f"/usr/sbin/nologin $user; done; {case.command('unit adopt')} && {case.command('serve')}",
    )


@check(
    "boundary.files",
    "Every folder and key file has its owner and its rights",
    "a wrong owner stops a role; a wider right opens one role's files to another",
)
def files(case: Case) -> Finding:
    findings = [found for place in places(case) if (found := wrong(case, place)) is not None]
    return worst(findings, "all as the set-up made them")


@check(
    "settings.waiting",
    "The settings in the file are the ones in force",
    "once a tenant has an officer, a changed file waits for approval and the signed settings stay in force",
)
def waiting(case: Case) -> Finding:
    if case.keyholder is None or case.tenant is None:
        return yellow("not known while the keyholder does not answer", case.start())
    waits = sorted(one["name"] for one in case.keyholder["tenants"].values() if one["waiting"])
    if waits:
        return yellow(
            f"a change of the settings of {', '.join(waits)} waits for an officer; the signed ones stay in force",
            _approve(case),
        )
    return green("nothing waits")


def _approve(case: Case) -> str:
    back = f"set the file back to what it was, then: {case.start()}"
    if importlib.util.find_spec("gateway.cli.tenant") is None:
        return back
    return f"{case.command('tenant show')}, then have an officer approve it: sealgate tenant approve; or {back}"
