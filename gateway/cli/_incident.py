"""`sealgate keys incident --since TIME` and `keys destroy-day DAY`: what a thief could have opened, and what is to end.

Promises: the report names ids, kinds and times alone; it says with each list what it stands for, and at its end what it
cannot know; asking changes nothing but that both logs say it was asked. 45 CFR 164.404 to 164.408; DESIGN §2.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateway.cli._options import add_config, add_json, add_tenant, tenant_of
from gateway.cli._running import keyholder, show
from gateway.clock import from_us, to_us
from gateway.errors import Misconfigured
from gateway.settings import Settings
from keys.client import OperatorClient
from keys.errors import Denied

_HAD = {
    "portal": "the running portal, or its certificate or socket",
    "worker": "the running worker (or gateway), or its certificate or socket",
    "stores": "every store and backup at rest, the root key included",
}
OPENED = ("share:released", "held:released")
_CANNOT = """What this cannot know:
- whether bytes that were released were kept, or by whom they were read: a release says who proved themself, and a
  thief in the portal uses the proofs of those who were there
- what somebody with root on a machine read from its memory, or typed into a page by way of it
- what a mailbox, a phone or the clinic's own mail archive gave away: those are not ours
- mail that passed unsealed; sealgate audit search has it, action:message:passed
- a log set back together with everything else: compare a notice or an outside checkpoint (sealgate audit verify)
- anything before the time that was given, and what a clock set wrong has dated otherwise"""
_NEXT = """45 CFR 164.404(b): persons are told without unreasonable delay, at most 60 days after discovery; 164.406: for
more than 500 residents of one state, its media too; 164.408: the Secretary at once from 500 on, else once a year.
Whether it was a breach is for the clinic to assess (164.402(2)). Sealed with keys the thief had not, it may count as
secured (164.402, "unsecured protected health information")."""


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The arguments of these two."""
    words = "what somebody who had a part of this installation since then could have opened"
    one = actions.add_parser("incident", help=words, description=words)
    one.add_argument("--since", required=True, metavar="TIME", help="2026-11-03 or 2026-11-03T14:30 (UTC)")
    one.add_argument("--had", choices=sorted(_HAD), action="append", help="what was stolen; repeat it; default: all")
    one.add_argument("--csv", action="store_true", help="one line for each opening and each message that stood open")
    one.add_argument(
        "--end",
        action="store_true",
        help="end all sessions of the clinic, and devices, code apps, passkeys and codes made since then",
    )
    words = "destroy a clinic's key of one day early: all that expires on that day is erased"
    two = actions.add_parser("destroy-day", help=words, description=words)
    two.add_argument("day", metavar="DAY", help="2026-11-03 (UTC), the day on which it would have expired")
    two.add_argument(
        "--unexpired", type=int, default=0, metavar="N", help="erase these N messages too, which have not expired yet"
    )
    for parser in (one, two):
        add_tenant(parser)
        add_config(parser)
        add_json(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """One of them."""
    own = tenant_of(settings, args)
    tenant = _id(own)
    return _destroy_day(args, own, tenant) if args.action == "destroy-day" else _incident(args, own, tenant)


def _id(own: Settings) -> str:
    tenants = keyholder(own, lambda keys: keys.status()["tenants"])
    for id, one in tenants.items():
        if one["name"] == own.tenant.name:
            return str(id)
    raise Misconfigured(f"'{own.tenant.name}' is not a tenant of this installation")


def _incident(args: argparse.Namespace, own: Settings, tenant: str) -> int:
    since = _time(args.since)
    if since > datetime.now(UTC):
        raise Misconfigured(f"--since {args.since} is still to come")
    had = sorted(set(args.had or _HAD))
    report = keyholder(own, lambda keys: gathered(keys, tenant, to_us(since)))
    report = {"tenant": own.tenant.name, "since": since.isoformat(), "had": had} | report
    if args.end:  # after the report, which would not show them any more
        report["ended"] = keyholder(own, lambda keys: keys.end_since(tenant, to_us(since)))
    if args.csv:
        _csv(report, had)
        return 0
    show(report, as_json=args.json, words="\n".join(_words(report, had)))
    return 0


def gathered(keys: OperatorClient, tenant: str, since_us: int) -> dict[str, Any]:
    """All that the keyholder has to say of that time: ``entries``, ``system``, ``refused``, ``open`` (`exposed`)."""
    found: dict[str, Any] = {"refused": 0}
    for name, log in (("entries", tenant), ("system", "system")):
        entries: list[dict[str, Any]] = []
        start = 0
        while True:
            page = keys.incident(log, since_us, start)
            entries += page["entries"]
            found["refused"] += page["refused"]
            start = page["next"]
            if start >= page["size"]:
                break
        found[name] = entries
    found["open"] = keys.exposed(tenant, since_us)
    opened = [one for one in found["entries"] if one["action"] in OPENED]
    persons = {one["actor"]["id"] for one in opened if one["actor"]["kind"] == "person"}
    found["totals"] = {
        "openings": len(opened), "messages": len({one["message"] for one in opened if one["message"]}),
        "persons": len(persons),
    }  # fmt: skip
    return found


def _words(report: dict[str, Any], had: list[str]) -> list[str]:
    stood, entries = report["open"], report["entries"]
    totals = report["totals"]
    lines = [f"{report['tenant']}, since {report['since']}", ""]
    lines += [f"if somebody had {_HAD[one]}" for one in had]
    if "portal" in had or "worker" in had:
        lines += _part(
            f"Openings: {totals['openings']}, of {totals['messages']} messages, by {totals['persons']} recipients. "
            "The thief may have read each of them as well.",
            [_opening(one) for one in entries if one["action"] in OPENED],
        )
    if "portal" in had:
        lines += _part(
            "Subjects and file names shown to signed-in people (no content):",
            [f"{count:>6}  {who}" for who, count in _by_actor(entries, "meta:released")],
        )
        lines += _part(
            "Sessions that began; while one lived the thief could use it for what it covers:",
            [f"{count:>6}  {who}" for who, count in _by_actor(entries, "session:started")],
        )
        lines += _part(
            "Factors and remembered devices set up since then, any of which may be the thief's:",
            [
                _opening(one)
                for one in entries
                if one["action"] in ("factor:enrolled", "device:remembered", "code:made", "recovery:made")
            ],
        )
        lines += _part(
            "Sessions in force now:",
            [f"{one['person'] or one['user']}  by {one['method']}, {_at(one['made_us'])}" for one in stood["sessions"]],
        )
    if "worker" in had:
        lines += _part(
            "Messages made since then, whose keys the worker had in its hands:",
            [f"{one['message']}  {_at(one['at_us'])}" for one in stood["deposited"]],
        )
    if "worker" in had or "stores" in had:
        lines += _part(
            "Hours whose queue keys existed, so that mail that waited in the spool then could be read:",
            [f"{one['node']}  {_at(one['hour'] * 3_600_000_000)}" for one in stood["epochs"]],
        )
        lines += _part("Held mail that could be read:", stood["held"])
    if "stores" in had:
        lines += _part("Messages with a staff grant, which the stores alone open:", stood["staff"])
        lines += _part(
            f"Messages with an inbox grant: a weak passphrase could be guessed. Their number: {len(stood['inbox'])}",
            [],
        )
        lines += _part(
            "Messages with a recovery grant: only with the officer's key as well. Their number: "
            f"{len(stood['recovery'])}",
            [],
        )
        lines += _part("Other delivered messages open with nothing of this: their links are in no store.", [])
    changes = [one for one in entries + report["system"] if one["action"].split(":")[0] in _CHANGES]
    lines += _part("Changes in that time, of which to undo what nobody remembers:", [_opening(one) for one in changes])
    lines += ["", f"Refused in that time: {report['refused']} calls and proofs."]
    if stood["cut"]:
        lines.append("One of these lists was cut at 5,000 lines: ask again with a later time.")
    if "ended" in report:
        lines += ["", "Ended: " + ", ".join(f"{count} {name}" for name, count in report["ended"].items()) + "."]
    elif "portal" in had:
        lines += ["", "With --end all sessions end, and so do devices, code apps, passkeys and codes of that time."]
    return [*lines, "", _CANNOT, "", _NEXT]


_CHANGES = {"settings", "user", "tenant", "act", "node", "machine", "kek", "backup", "store", "budget", "people"}


def _part(words: str, lines: list[str]) -> list[str]:
    """A heading and its list; one that ends in a colon says "None." where there is nothing to list."""
    return ["", words, *(f"  {one}" for one in lines)] if lines or not words.endswith(":") else ["", f"{words} None."]


def _by_actor(entries: list[dict[str, Any]], action: str) -> list[tuple[str, int]]:
    return Counter(one["actor"]["id"] for one in entries if one["action"] == action).most_common()


def _opening(one: dict[str, Any]) -> str:
    proof = "" if one["proof"] is None else f"  proof {one['proof']}"
    about = f"{one['object']} of {one['message']}" if one["message"] not in ("", one["object"]) else one["object"]
    return f"{_at(one['at_us'])}  {one['action']}  {about}  {one['actor']['id']}{proof}  {one['reason']}".rstrip()


def _csv(report: dict[str, Any], had: list[str]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(("time", "what", "actor_kind", "actor", "object", "message", "proof", "reason"))
    for one in report["entries"] + report["system"]:
        proof = "" if one["proof"] is None else one["proof"]
        writer.writerow((
            _at(one["at_us"]), one["action"], one["actor"]["kind"], one["actor"]["id"], one["object"], one["message"],
            proof, one["reason"],
        ))  # fmt: skip
    kinds = {"stores": ("staff", "recovery", "inbox", "held"), "worker": ("held",), "portal": ()}
    for kind in sorted({kind for one in had for kind in kinds[one]}):
        for message in report["open"][kind]:
            writer.writerow(("", f"open:{kind}", "", "", "", message, "", ""))
    if "worker" in had:
        for one in report["open"]["deposited"]:
            writer.writerow((_at(one["at_us"]), "open:deposited", "", "", "", one["message"], "", ""))


def _destroy_day(args: argparse.Namespace, own: Settings, tenant: str) -> int:
    try:
        day = (date.fromisoformat(args.day) - date(1970, 1, 1)) // timedelta(days=1)
    except ValueError as error:
        raise Misconfigured(f"'{args.day}' is no day; write 2026-11-03") from error

    def destroyed(keys: OperatorClient) -> dict[str, Any]:
        try:
            return keys.destroy_day(tenant, day, args.unexpired)
        except Denied as denied:
            count = denied.data.get("messages", 0)
            raise Misconfigured(
                _REFUSED.get(denied.reason, denied.reason).format(count=count, day=args.day)
            ) from denied

    made = keyholder(own, destroyed)
    final = from_us(made["final_us"]).isoformat(timespec="minutes")
    words = (
        f"{args.day}: the key of that day is destroyed, and {made['messages']} messages with it; no copy of "
        f"ours is left from {final} on"
    )
    show({"day": args.day, "messages": made["messages"], "final_at": final}, as_json=args.json, words=words)
    return 0


_REFUSED = {
    "no-day": "no key of {day} is there: nothing expires on that day, or it was destroyed before",
    "on-hold": "{count} messages that expire on {day} are under a legal hold: an officer lifts it first",
    "officers": "{count} messages that expire on {day} have not expired, and this clinic has officers: it is theirs to "
    "decide, with sealgate erase",
    "unexpired": "{count} messages that expire on {day} have not expired yet and would be lost to their readers. If "
    "that is meant: --unexpired {count}",
}


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Misconfigured(f"--since '{text}' is no time; write 2026-11-03 or 2026-11-03T14:30") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _at(us: int) -> str:
    return from_us(us).isoformat(timespec="seconds").replace("+00:00", "Z")
