"""`sealgate people import FILE.csv`: recipients with the phone numbers that the clinic had before."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from gateway import words
from gateway.accounts import people_list
from gateway.accounts.people_list import Entry
from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, keyholder, show
from gateway.errors import Misconfigured
from keys.client import OperatorClient

NAME = "people"
HELP = "import recipients and their phone numbers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    one = actions.add_parser(
        "import", help="a CSV file with the columns address, name, phone, language; may be repeated"
    )
    one.add_argument("file", metavar="FILE.csv", type=Path)
    one.add_argument("--region", default="US", help="country of numbers without one (default US)")
    add_config(one)
    add_tenant(one)
    add_json(one)


def run(args: argparse.Namespace) -> int:
    settings = tenant_of(settings_of(args), args)
    rows = read(args.file, args.region)
    for one in rows:
        given = {"address": one.address, "name": one.name, "language": one.language, "tenant": settings.tenant.name}
        person = control(settings, "person.record", given)
        if one.phone:
            keyholder(settings, partial(_register, person, one.phone))
    show({"people": len(rows)}, as_json=args.json, words=f"{len(rows)} people")
    return 0


def _register(person: dict[str, Any], phone: str, keys: OperatorClient) -> None:
    keys.register_person(person["tenant"], person["id"], phone)


def read(path: Path, region: str) -> tuple[Entry, ...]:
    """Checked rows. Raises Misconfigured naming the first line that is wrong; nothing is imported then."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read") from error
    found = people_list.read(data, region, most=None)
    for wrong in found.wrong:
        where = f"{path}, line {wrong.line}" if wrong.line else f"{path}"
        raise Misconfigured(f"{where}: {words.say(f'staff.people.wrong.{wrong.kind}')}")
    return found.entries
