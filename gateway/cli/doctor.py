"""`sealgate doctor`: every check of an installation, each with the line that repairs it.

Promises: exit 0 when nothing is red, 1 otherwise; works while the gateway runs and when it is down; changes nothing
but the record that a copy of the root key was looked at.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from gateway.cli._options import add_config, add_json, settings_of
from gateway.errors import Misconfigured

NAME = "doctor"
HELP = "look at every part of the installation; each finding with the line that repairs it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
    parser.add_argument("--resolver", metavar="HOST:PORT", help="ask this name server instead of the machine's own")
    parser.add_argument(
        "--check-value", metavar="COPY", type=Path, help="print the check value of a copy of the root key, and exit"
    )
    parser.add_argument(
        "--confirm-kek-copy", metavar="VALUE",
        help="record that a copy of the root key with this check value lies away from this machine",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from gateway import doctor
    from gateway.doctor import confirm
    from gateway.doctor.report import as_json, as_text
    from gateway.settingtypes import endpoint

    if args.check_value is not None:
        print(confirm.check_value(args.check_value))
        return 0
    try:
        resolver = endpoint(args.resolver, default_port=53) if args.resolver else None
    except ValueError as error:
        raise Misconfigured(f"--resolver {error}") from error
    try:
        settings = settings_of(args)
        case = doctor.Case(settings, _path(args), resolver)
    except Misconfigured as error:
        if args.confirm_kek_copy:
            raise
        results = doctor.refused(error.public, "sealgate check" + (f" --config {args.config}" if args.config else ""))
    else:
        if args.confirm_kek_copy:
            confirm.record(settings, _expected(case), args.confirm_kek_copy)
            print("recorded: a copy of the root key lies elsewhere")
            return 0
        results = doctor.examine(case)
    answer = as_json(results)
    print(json.dumps(answer, ensure_ascii=False) if args.json else as_text(results))
    return 0 if answer["ok"] else 1


def _path(args: argparse.Namespace) -> Path | None:
    if args.config is not None:
        return Path(args.config)
    named = os.environ.get("SEALGATE_CONFIG")
    return Path(named) if named else None


def _expected(case: object) -> str:
    from gateway.doctor.case import Case
    from gateway.doctor.confirm import stored_check_value

    assert isinstance(case, Case)
    found = str(case.keyholder["kek"]) if case.keyholder is not None else stored_check_value(case)
    if found is None:
        raise Misconfigured("the keyholder's check value cannot be read: run it as root, or start serve first")
    return found
