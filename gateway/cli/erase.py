"""`sealgate erase`: end secure mail for good, as an officer decides; its certificates, and their check."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, secret_lines, show
from gateway.errors import Misconfigured

NAME = "erase"
HELP = "erase secure mail for good, end it sooner, and check certificates of destruction"
TAMPERED = 1
KINDS = {
    "message": ("erase-message", "ID", "a message (msg_…), for all its readers"),
    "link": ("erase-link", "ID", "one reader's access to one message (lnk_…)"),
    "person": ("erase-person", "ID", "all mail to a person (per_…)"),
    "tenant": ("erase-tenant", "", "all mail of the clinic; always two officers"),
    "sooner": ("shorten", "ID", "a message ends on an earlier day"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (_, object, words) in KINDS.items():
        one = actions.add_parser(name, help=words, description=words)
        if object:
            one.add_argument("id", metavar=object)
        if name == "sooner":
            one.add_argument("--to", required=True, metavar="DAY", help="the last day, 2026-11-30")
        add_officer(one)
    one = actions.add_parser("list", help="what was decided, newest first")
    _common(one)
    one = actions.add_parser("certificate", help="print the signed text of a certificate")
    one.add_argument("id", metavar="ID", help="its id (dsp_…), see: sealgate erase list")
    _common(one)
    words = "check a certificate with an export of the log: needs no installation and no network"
    one = actions.add_parser("verify", help=words, description=f"{words}; ends with 1 when it does not hold")
    one.add_argument("certificate", type=Path, metavar="FILE", help="the signed text")
    one.add_argument("directory", type=Path, metavar="DIR", help="what `sealgate audit export DIR` wrote")
    one.add_argument("--key", required=True, help="a verifier key, or a file that holds one")
    add_json(one)


def add_officer(parser: argparse.ArgumentParser) -> None:
    """What every decision needs; password and code are read from the terminal or standard input."""
    parser.add_argument("--as", dest="officer", metavar="ADDRESS", required=True, help="the officer who decides")
    parser.add_argument("--reason", required=True, help="why, sealed, for officers and auditors")
    _common(parser)


def run(args: argparse.Namespace) -> int:
    if args.action == "verify":
        return _verified(args)
    if args.action in KINDS:
        return decide(args, KINDS[args.action][0])
    settings = tenant_of(settings_of(args), args)
    found = control(settings, "retention.list", {"tenant": settings.tenant.name})["disposals"]
    if args.action == "list":
        lines = "\n".join(map(_line, found)) or "Nothing was erased yet."
        show([{key: one[key] for key in one if key != "text"} for one in found], as_json=args.json, words=lines)
        return 0
    for one in found:
        if one["id"] == args.id and one["text"]:
            if args.json:
                show({"id": one["id"], "text": one["text"]}, as_json=True)
            else:
                print(one["text"], end="")  # its bytes are what was signed
            return 0
    raise Misconfigured(f"{args.id}: there is no such certificate; see: sealgate erase list")


def decide(args: argparse.Namespace, act: str) -> int:
    """Have the running gateway take an officer's decision."""
    settings = tenant_of(settings_of(args), args)
    password, totp = secret_lines(["password", "code from the authenticator app"])
    given: dict[str, Any] = {
        "tenant": settings.tenant.name, "act": act, "id": getattr(args, "id", None), "as": args.officer,
        "password": password, "totp": totp, "reason": args.reason,
    }  # fmt: skip
    given |= {name: getattr(args, name) for name in ("from", "to") if getattr(args, name, None)}
    answer = control(settings, "retention.decide", given)
    show(answer, as_json=args.json, words=_said(answer))
    return 0


def _said(answer: Mapping[str, Any]) -> str:
    if not answer["complete"]:
        return f"{answer['id']}: recorded; another officer must confirm it within a day, nothing has happened yet"
    if answer["certificate"]:
        return f"{answer['id']}: done; its certificate: sealgate erase certificate {answer['id']}"
    return f"{answer['id']}: done" if answer["done"] else f"{answer['id']}: begun; it goes on by itself"


def _verified(args: argparse.Namespace) -> int:
    from gateway.audit.certified import check_certificate
    from gateway.audit.verify import read_key

    try:
        certificate = args.certificate.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{args.certificate}: cannot be read ({error.strerror})") from error
    if not args.directory.is_dir():
        raise Misconfigured(f"{args.directory} is no directory; 'sealgate audit export DIR' writes one")
    found = check_certificate(args.directory, read_key(args.key), certificate)
    plain = {"holds": found.holds, "entry": found.entry, "release": found.release, "problems": list(found.problems)}
    lines = [f"TAMPERED: {one}" for one in found.problems]
    if found.holds:
        lines = [*(f"{name}: {value}" for name, value in found.lines),
                 f"holds: entry {found.entry} of the log, entry {found.release} of the keyholder's"]  # fmt: skip
    show(plain | {"lines": [list(one) for one in found.lines]}, as_json=args.json, words="\n".join(lines))
    return 0 if found.holds else TAMPERED


def _line(one: Mapping[str, Any]) -> str:
    state = "done" if one["done_us"] else "under way" if one["begun_us"] else "waits for a second officer"
    return (
        f"{one['id']}  {one['kind']:<13} {one['object']}  {state}, {one['messages']} messages, "
        f"{one['links']} links, {one['kept']} on hold"
    )


def _common(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_tenant(parser)
    add_json(parser)
