"""`sealgate quickstart DOMAIN --admin ADDRESS`: the real set-up.

Promises: `--dry-run` changes nothing; nothing that is there is overwritten; the password is asked for on the terminal
or read from standard input; the authenticator's secret is shown once; it ends in the policy `observe` and says how to
go on.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import Misconfigured

if TYPE_CHECKING:
    from gateway.doctor.records import Names
    from gateway.quickstart.plan import Plan

NAME = "quickstart"
HELP = "set up a clinic: users, configuration, keys, first administrator, systemd units"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", metavar="DOMAIN", help="the clinic's mail domain, such as clinic.example")
    parser.add_argument("--admin", metavar="ADDRESS", required=True, help="address of the first administrator")
    parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    parser.add_argument("--smarthost", default="", metavar="HOST:PORT", help="where outbound mail goes")
    parser.add_argument("--host", default="", help="the portal's host (default: mail.DOMAIN)")
    parser.add_argument("--network", action="append", default=[], help="network that may send without a password")
    parser.add_argument("--display-name", default="", metavar="NAME", help="the clinic's name as patients read it")
    parser.add_argument("--phone", default="", help="the number that notices tell people to call")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--root", type=Path, metavar="DIR", help="put everything below this folder")
    parser.add_argument("--single-user", action="store_true", help="run all roles as one user (boundary not enforced)")
    parser.add_argument(
        "--trial", action="store_true", help="loopback only, free ports, a pretend phone: to try it out"
    )
    for name, usual in (("smtp", "25"), ("submission", "587"), ("web", "443")):
        parser.add_argument(f"--{name}-port", type=int, default=0, metavar="N", help=f"instead of {usual}")
    parser.add_argument("--resolver", metavar="HOST:PORT", help="ask this name server instead of the machine's own")


def run(args: argparse.Namespace) -> int:
    from gateway.doctor.records import Names
    from gateway.quickstart import plan as planning
    from gateway.quickstart.steps import Steps, program, readable_program
    from gateway.settingtypes import endpoint

    single = args.single_user or (os.geteuid() != 0)
    if single and args.root is None:
        raise Misconfigured(
            "quickstart makes users and writes to /etc: run it as root, or try it with --trial --root FOLDER"
        )
    if not single:
        readable_program()
    try:
        names = Names(endpoint(args.resolver, default_port=53) if args.resolver else None)
    except ValueError as error:
        raise Misconfigured(f"--resolver {error}") from error
    wishes = planning.Wishes(
        args.domain, args.host, args.smarthost, tuple(args.network), args.display_name, args.phone, args.smtp_port,
        args.submission_port, args.web_port, args.trial, args.root,
    )  # fmt: skip
    plan = planning.work_out(wishes, names)
    steps = Steps(plan, single, args.dry_run, print)
    steps.users()
    steps.config()
    steps.certificates()
    _installation(args, plan, single)
    steps.units(program())
    if not args.dry_run:
        _ending(plan, names)
    return 0


def _installation(args: argparse.Namespace, plan: Plan, single: bool) -> None:
    from gateway import install
    from gateway.cli.user import new_password
    from gateway.quickstart import firstrun
    from gateway.quickstart.steps import administrators
    from gateway.roles import identities
    from gateway.settings import load

    if args.dry_run:
        print(f"installation   {plan.data} (would be made), administrator {args.admin}")
        return
    settings = load(plan.config, {})
    fresh = install.fresh(settings)
    who = identities(single_user=single)
    if not fresh and administrators(settings, who.of["gateway"]):
        print(f"installation   {plan.data} is there, with its administrator")
        return
    args.address = args.admin
    password = new_password(settings, args)
    with firstrun.running(plan.config, settings, single=single) as origin:
        uri = firstrun.add_admin(plan.config, args.admin, password)
    print(f"installation   {plan.data}" + (f", new log {origin}" if origin else ""))
    print(f"administrator  {args.admin}; scan this once with an authenticator app:\n  {uri}")
    if sys.stdout.isatty():
        import segno

        segno.make(uri).terminal(compact=True)


def _ending(plan: Plan, names: Names) -> None:
    from gateway.doctor.records import NoAnswer, dkim, dmarc, local_only, mx, portal, spf
    from gateway.quickstart.steps import command_words
    from gateway.settings import load

    settings = load(plan.config, {})
    if not local_only(settings):
        print("DNS")
        for what, question in (("portal", portal), ("MX", mx), ("SPF", spf), ("DMARC", dmarc), ("DKIM", dkim)):
            try:
                found = question(settings, names)
            except NoAnswer:
                print(f"  {what:<7} not known: no name server answers")
                continue
            print(
                f"  {what:<7} " + (f"ok       {found.found}" if found.level == "green" else f"missing  {found.repair}")
            )
    start = (
        command_words(plan.config, "serve --single-user") if plan.trial else "systemctl enable --now sealgate.target"
    )
    root_key = f"copy {settings.keys.kek_file}"
    if settings.keys.provider == "systemd-creds":
        root_key = (
            "the root key is sealed to this machine and dies with it: print what this shows, and take that\n  "
            f"systemd-creds decrypt --name=sealgate-kek {settings.keys.credential_file} -\n "
        )
    print(
        f"next\n  {root_key} to a place away from this machine\n"
        f"  {start}\n  {command_words(plan.config, 'doctor')}\n"
        f"  {command_words(plan.config, 'user add ADDRESS --role officer')}\n"
        f"The policy is '{settings.policy.file}'"
        + (
            ": mail passes unchanged, and the log says what would have been protected.\n"
            if settings.policy.file == "observe"
            else ".\n"
        )
        + f'To go live write file = "clinic" under [policy] in {plan.config} and start again.'
    )
