"""`sealgate tenant`: the clinics of this installation, the changes that wait for their officers, and the end of one."""

from __future__ import annotations

import argparse
from typing import Any

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, keyholder, secret_lines, show
from gateway.clock import from_us
from gateway.errors import Misconfigured
from gateway.settings import Settings

NAME = "tenant"
HELP = "list clinics; show, propose, approve or withdraw changes that wait; close a clinic, open it again"
STATES = {"close": "closed", "reopen": "open"}
CLOSED = """'{name}' is closed: nobody signs in to its pages, and mail from its domains is refused.
What remains, and for how long:
  messages that were sent   their recipients open them until the day that each of them says; then they are destroyed
  held mail                 goes back to its senders when its time ends; nobody can release it
  mail that was accepted    is still delivered
  the log                   is kept; take it along with: sealgate audit export DIR --tenant {name}
  keys, rows, settings      are kept, and the clinic's table stays in the file: serve does not start without it
No command removes a clinic and its log from an installation yet."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words in (
        ("list", "the clinics of this installation"),
        ("show", "the changes of a clinic that wait, and who approved them"),
        ("propose", "ask for what the configuration says now, without a restart"),
        ("approve", "stand behind a change that waits (officer or administrator)"),
        ("withdraw", "end a change that waits (officer)"),
        ("close", "ask for a clinic to be closed: no sign-in, no submission; its log and its mail stay"),
        ("reopen", "ask for a closed clinic to be open again; an officer approves it, and it takes a day and a start"),
    ):
        one = actions.add_parser(name, help=words, description=words)
        if name in ("approve", "withdraw"):
            one.add_argument("id", metavar="CHANGE", help="its id, as show prints it")
            one.add_argument("--as", dest="member", metavar="ADDRESS", required=True, help="who decides")
        if name != "list":
            add_tenant(one)
        add_config(one)
        add_json(one)


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    if args.action == "list":
        found = _tenants(settings)
        lines = [f"{one['name']:<20} {one['id']}  {_state(one)}" for one in found]
        show(found, as_json=args.json, words="\n".join(lines) or "There is no clinic yet.")
        return 0
    own = tenant_of(settings, args)
    if args.action == "show":
        waiting = _waiting(own)
        show(waiting, as_json=args.json, words="\n".join(map(_line, waiting)) or "Nothing waits.")
        return 0
    if args.action in STATES:
        return _state_change(own, STATES[args.action], as_json=args.json)
    if args.action == "propose":
        return _propose(own, as_json=args.json)
    password, totp = secret_lines(["password", "code from the authenticator app"])
    given = {"tenant": own.tenant.name, "id": args.id, "as": args.member, "password": password, "totp": totp}
    answer = control(own, f"tenant.{args.action}", given)
    said = f"{args.id}: ended"
    if args.action == "approve":
        closing = (answer["kind"], answer["acts"]) == ("tenant", "closed") and answer["approved"]
        said = CLOSED.format(name=own.tenant.name) if closing else _line(answer | {"keys": [answer["acts"]]})
    show(answer, as_json=args.json, words=said)
    return 0


def _tenants(settings: Settings) -> list[dict[str, Any]]:
    known = keyholder(settings, lambda keys: keys.status()["tenants"])
    return [{"id": id, **one} for id, one in known.items()]


def _state(one: dict[str, Any]) -> str:
    if one["closed_us"] is not None:
        return f"closed since {from_us(one['closed_us']).isoformat(timespec='minutes')}"
    if one["waiting"]:
        return "a change of its settings waits"
    return "changes wait for its officers" if one["officer_seen"] else "no officer has signed in yet"


def _id(own: Settings) -> str:
    for one in _tenants(own):
        if one["name"] == own.tenant.name:
            return str(one["id"])
    raise Misconfigured(f"tenant '{own.tenant.name}' is not in this installation yet; start sealgate serve")


def _waiting(own: Settings) -> list[dict[str, Any]]:
    tenant = _id(own)
    return keyholder(own, lambda keys: keys.waiting(tenant))


def _propose(own: Settings, *, as_json: bool) -> int:
    from gateway.install import settings_body

    tenant, body = _id(own), settings_body(own)
    if not next(one for one in _tenants(own) if one["id"] == tenant)["officer_seen"]:
        raise Misconfigured("no officer has signed in yet: what the file says counts from the next start of serve")
    answer = keyholder(own, lambda keys: keys.put_settings(tenant, body, begin=False))
    if not answer["waiting"]:
        show(answer, as_json=as_json, words="Nothing differs from what is in force.")
        return 0
    show(answer["proposal"], as_json=as_json, words=_line(answer["proposal"]))
    return 0


def _state_change(own: Settings, state: str, *, as_json: bool) -> int:
    tenant, name = _id(own), own.tenant.name
    answer = keyholder(own, lambda keys: keys.propose_state(tenant, state))
    if answer["waiting"]:
        words = _line(answer["proposal"] | {"keys": [state]})
        show(answer, as_json=as_json, words=f"{words}\nAn officer approves it on the page Changes, or with: "
             "sealgate tenant approve")  # fmt: skip
        return 0
    show(answer, as_json=as_json, words=CLOSED.format(name=name) if answer["closed"] else f"'{name}' is open")
    return 0


def _line(one: dict[str, Any]) -> str:
    due = from_us(one["due_us"]).isoformat(timespec="minutes")
    who = ", ".join(f"{vote['user']} ({vote['role']})" for vote in one["approvals"]) or "nobody yet"
    what = f"{one['kind']} {', '.join(one['keys'])}".strip()
    state = "approved" if one["approved"] else "not approved"
    return (
        f"{one['id']}  {what}: {state} by {who}; counts after {due}"
        if one["approvals"]
        else (f"{one['id']}  {what}: approved by {who}; cannot count before {due}")
    )
