"""`sealgate people import FILE.csv`: recipients with the phone numbers that the clinic had before."""

from __future__ import annotations

import argparse
import csv
import re
from functools import partial
from pathlib import Path
from typing import Any

from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import control, keyholder, show
from gateway.errors import Misconfigured
from keys.client import OperatorClient

NAME = "people"
HELP = "import recipients and their phone numbers"
COLUMNS = ("address", "name", "phone", "language")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    one = actions.add_parser(
        "import", help="a CSV file with the columns address, name, phone, language; may be repeated"
    )
    one.add_argument("file", metavar="FILE.csv", type=Path)
    one.add_argument("--region", default="US", help="country of numbers without one (default US)")
    add_config(one)
    add_json(one)


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    rows = read(args.file, args.region)
    for address, name, phone, language in rows:
        person = control(settings, "person.record", {"address": address, "name": name, "language": language})
        if phone:
            keyholder(settings, partial(_register, person, phone))
    show({"people": len(rows)}, as_json=args.json, words=f"{len(rows)} people")
    return 0


def _register(person: dict[str, Any], phone: str, keys: OperatorClient) -> None:
    keys.register_person(person["tenant"], person["id"], phone)


def read(path: Path, region: str) -> list[tuple[str, str, str, str]]:
    """Checked rows. Raises Misconfigured naming line and column; nothing is imported then."""
    found: list[tuple[str, str, str, str]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames or "address" not in reader.fieldnames:
                raise Misconfigured(f"{path}: the first line must name the columns: {', '.join(COLUMNS)}")
            for line, row in enumerate(reader, 2):
                address = (row.get("address") or "").strip()
                if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address):
                    raise Misconfigured(f"{path}, line {line}: 'address' is not a mail address")
                phone = _phone((row.get("phone") or "").strip(), region, f"{path}, line {line}")
                found.append(
                    (address, (row.get("name") or "").strip(), phone, (row.get("language") or "en").strip() or "en")
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Misconfigured(f"{path} cannot be read as CSV in UTF-8") from error
    return found


def _phone(text: str, region: str, where: str) -> str:
    import phonenumbers

    if not text:
        return ""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise Misconfigured(f"{where}: 'phone' is not a phone number; write it like +1 555 010 0199") from error
    if not phonenumbers.is_possible_number(number):
        raise Misconfigured(f"{where}: 'phone' has too few or too many digits; write it like +1 555 010 0199")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
