"""`sealgate keys request|certify|accept|machines|revoke`: other machines that may reach the keyholder.

Promises: a private key never leaves the machine that made it: what travels is a request and its answer, two small files
without a secret; the same three steps renew a certificate, and nothing is started anew. deploy/KEYHOLDER.md; DESIGN §2.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from gateway.cli._options import add_config, add_json
from gateway.cli._running import keyholder, show
from gateway.clock import from_us
from gateway.errors import Misconfigured
from gateway.settings import Settings
from keys.client import OperatorClient

_MOST_BYTES = 100_000
_WHY = {
    "bad-node": "the request names no node", "bad-role": "the request asks for a role that there is not",
    "bad-days": "--days must be from 1 to 397", "bad-request": "this is no request of 'sealgate keys request'",
}  # fmt: skip


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of these commands."""
    for name, words in (
        ("request", "on a machine of the gateway: make keys, and a request for their certificates"),
        ("certify", "on the keyholder's machine: answer such a request with certificates"),
        ("accept", "on the machine that asked: put the certificates in their place"),
        ("machines", "certificates that the keyholder gave, and until when they count"),
        ("revoke", "admit a node's certificates no more, from this moment on"),
    ):
        one = actions.add_parser(name, help=words, description=words)
        add_config(one)
        add_json(one)
        if name in ("request", "certify", "accept"):
            one.add_argument("file", type=Path, metavar="FILE")
        if name in ("request", "accept"):
            one.add_argument("--single-user", action="store_true", help="as serve does: one user for all roles")
        if name == "request":
            one.add_argument("--operator", action="store_true", help="ask for the operator's certificate as well")
        if name == "certify":
            one.add_argument("--to", type=Path, required=True, metavar="FILE", help="where the answer goes")
            one.add_argument("--days", type=int, default=90, help="how long the certificates count (1 to 397)")
        if name == "revoke":
            one.add_argument("node", metavar="NODE")
            one.add_argument("--role", choices=("worker", "portal", "operator"), help="only that role's certificate")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """One of them."""
    return {"request": _request, "certify": _certify, "accept": _accept, "machines": _machines, "revoke": _revoke}[
        args.action
    ](args, settings)


def _request(args: argparse.Namespace, settings: Settings) -> int:
    from gateway import keyholders, roles

    who = roles.identities(args.single_user, apart=settings.on_postgres)
    wanted = keyholders.ROLES if args.operator else keyholders.ROLES[:2]
    requests = keyholders.ask(settings, who, wanted)
    _write(args.file, {"v": 1, "node": settings.node.name, "requests": requests})
    prints = {role: keyholders.fingerprint(text) for role, text in requests.items()}
    lines = [f"request     {args.file}, of node {settings.node.name}"]
    lines += [f"{role:<11} {words}" for role, words in prints.items()]
    lines.append("Carry the file to the keyholder's machine; sealgate keys certify FILE --to ANSWER shows the same.")
    show({"node": settings.node.name, "fingerprints": prints}, as_json=args.json, words="\n".join(lines))
    return 0


def _certify(args: argparse.Namespace, settings: Settings) -> int:
    from gateway import keyholders

    asked = _read(args.file, "requests")
    node, prints = str(asked["node"]), {}
    for role, text in asked["requests"].items():
        prints[role] = keyholders.fingerprint(text)
    answer: dict[str, Any] = {"v": 1, "node": node, "authority": "", "certificates": {}}
    until: dict[str, str] = {}
    for role, text in asked["requests"].items():
        made = keyholder(settings, partial(_certified, node, role, text, args.days), _WHY)
        answer["authority"] = made["authority"]
        answer["certificates"][role] = made["certificate"]
        until[role] = from_us(made["expires_us"]).isoformat(timespec="minutes")
    _write(args.to, answer)
    lines = [f"answer      {args.to}, for node {node}"]
    lines += [f"{role:<11} {prints[role]}, until {until[role]}" for role in until]
    lines.append("If the request showed something else, somebody changed it on its way: sealgate keys revoke " + node)
    show({"node": node, "fingerprints": prints, "until": until}, as_json=args.json, words="\n".join(lines))
    return 0


def _certified(node: str, role: str, request: str, days: int, keys: OperatorClient) -> dict[str, Any]:
    return keys.certify(node, role, request.encode("ascii"), days)


def _accept(args: argparse.Namespace, settings: Settings) -> int:
    from gateway import keyholders, roles

    answer = _read(args.file, "certificates")
    who = roles.identities(args.single_user, apart=settings.on_postgres)
    ends = keyholders.accept(settings, who, str(answer.get("authority", "")), answer["certificates"])
    until = {role: end.isoformat(timespec="minutes") for role, end in ends.items()}
    words = "\n".join(f"{role:<11} certified until {end}" for role, end in until.items())
    show({"node": settings.node.name, "until": until}, as_json=args.json, words=words)
    return 0


def _machines(args: argparse.Namespace, settings: Settings) -> int:
    found = keyholder(settings, lambda keys: keys.machines())
    lines = [
        f"{one['node']:<16} {one['role']:<9} {_state(one):<9} until {from_us(one['expires_us']).date()}"
        for one in found
    ]
    show(found, as_json=args.json, words="\n".join(lines) or "no other machine has a certificate")
    return 0


def _revoke(args: argparse.Namespace, settings: Settings) -> int:
    count = keyholder(settings, lambda keys: keys.revoke_machine(args.node, args.role))
    if not count and not args.json:
        raise Misconfigured(f"node '{args.node}' has no certificate in force; see: sealgate keys machines")
    words = f"{args.node}: {count} {'certificate' if count == 1 else 'certificates'} revoked"
    show({"node": args.node, "revoked": count}, as_json=args.json, words=words)
    return 0


def _state(one: dict[str, Any]) -> str:
    if one["revoked_us"] is not None:
        return "revoked"
    return "ended" if from_us(one["expires_us"]) <= datetime.now(UTC) else "in force"


def _read(path: Path, part: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Misconfigured(f"{path} is no file of 'sealgate keys request' or 'certify'") from error
    parts = found.get(part) if isinstance(found, dict) else None
    if (
        not isinstance(parts, dict)
        or not isinstance(found.get("node"), str)
        or not all(isinstance(text, str) and text.isascii() for text in parts.values())
    ):
        raise Misconfigured(f"{path} is no file of 'sealgate keys request' or 'certify'")
    return dict(found)


def _write(path: Path, value: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(value, indent=1) + "\n")
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}") from error
