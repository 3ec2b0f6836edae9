"""`sealgate serve`: all roles on this machine, or one of them."""

from __future__ import annotations

import argparse
import os
import sys

from gateway.cli._options import add_config, settings_of
from gateway.errors import Misconfigured
from gateway.processes import raise_descriptors
from gateway.registry import nearest

NAME = "serve"
HELP = "run the gateway"
ROLES = ("smtp", "gateway", "worker", "portal", "keyholder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    parser.add_argument(
        "--role",
        metavar="ROLE",
        help="run one role alone: smtp, gateway (on PostgreSQL worker or portal), or keyholder",
    )
    parser.add_argument(
        "--single-user", action="store_true",
        help="run all roles as the present user; the boundary between the roles is then not enforced",
    )  # fmt: skip
    parser.add_argument(
        "--descriptors", default="", help=argparse.SUPPRESS
    )  # bound sockets that `serve` hands to a role
    parser.add_argument("--wait", action="store_true", help=argparse.SUPPRESS)  # for the word of `serve` on stdin
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])


def run(args: argparse.Namespace) -> int:
    from gateway import logs

    logs.set_up(args.log_level)
    if args.role is not None and args.role not in ROLES:
        raise Misconfigured(f"unknown role '{args.role}': {nearest(args.role, list(ROLES))}")
    settings = settings_of(args)
    raise_descriptors()
    if args.role in ("worker", "portal") and not settings.on_postgres:
        raise Misconfigured(
            f"--role {args.role} alone needs PostgreSQL, because several processes writing one SQLite file wait on "
            "each other for seconds; on SQLite run --role gateway, which is both"
        )
    if args.role == "gateway" and settings.on_postgres:
        raise Misconfigured(
            "--role gateway is worker and portal in one process, for SQLite; on PostgreSQL they are held apart: run "
            "--role worker and --role portal"
        )
    if args.role == "smtp":
        from gateway.processes import run_smtp

        return run_smtp(settings, _numbers(args.descriptors), waits=args.wait)
    if args.role in ("gateway", "worker", "portal"):
        from gateway.processes import run_part

        return run_part(args.role, settings, _numbers(args.descriptors), waits=args.wait)
    if args.role == "keyholder" and not settings.runs_keyholder:
        raise Misconfigured(f'[node] keyholder is "{settings.node.keyholder}": it does not run on this node')
    if args.role == "keyholder":
        from gateway.install import keyholder_file

        command = [
            sys.executable,
            "-P",
            "-s",
            "-m",
            "keys.keyholder",
            "--config",
            str(keyholder_file(settings)),
        ]
        os.execv(command[0], command)  # noqa: S606 - the keyholder is its own program
    from gateway.launch import launch

    return launch(settings, args.config, single_user=args.single_user, log_level=args.log_level)


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",") if number]
    except ValueError as error:
        raise Misconfigured("--descriptors is between 'serve' and its roles") from error
