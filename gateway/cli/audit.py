"""`sealgate audit export|key|verify|search`: the log for people and for auditors.

`verify` needs only the export and a key, never an installation; it exits 1 when anything does not hold and names
``entry N``. The other three work on a live installation, which `connect` opens.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.errors import Misconfigured
from gateway.registry import nearest
from gateway.section_audit import Audit

if TYPE_CHECKING:
    from gateway.audit.export import ReleaseLogs
    from gateway.audit.log import AuditLog
    from gateway.audit.search import Found, Lookup
    from gateway.audit.verify import Report

NAME = "audit"
REASONS = ("database-lost", "database-damaged", "set-back")
HELP = "export, verify and search the access log"

EX_TAMPERED = 1
SHOWN = 50
QUERY_BYTES = 4096
SEEN = "sealgate: other users can see an address on a command line; 'audit search -' reads it from standard input"


@dataclass(frozen=True, slots=True)
class Installation:
    """What the commands need of a live installation. `before_export` signs what is new and records the export."""

    audit: AuditLog
    keyholder: ReleaseLogs
    default_tenant: str | None
    before_export: Callable[[str], None]
    after_search: Callable[[str, str], None]
    lookup: Lookup | None = None
    exports: Audit = field(default_factory=Audit)
    after_export: Callable[[str, str], None] = lambda tenant, reason: None


Connect = Callable[[argparse.Namespace], AbstractContextManager[Installation]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The four subcommands."""
    commands = parser.add_subparsers(dest="audit", metavar="COMMAND", required=True)
    words = "write the log to a new directory that `verify` can check, or add to what a bucket has"
    one = commands.add_parser("export", help=words, description=words)
    one.add_argument(
        "directory", metavar="DIR", nargs="?", default="",
        help="a directory that is made (its key is DIR/vkey), or a URL as [audit] export_url is written, to which what "
        "is new is added; left out, that setting",
    )  # fmt: skip
    _live(one)
    words = "print the verifier key of a tenant's log"
    one = commands.add_parser("key", help=words, description=words)
    _live(one)
    words = "give up entries of the log that were signed and are lost: at the next start it goes on under a new origin"
    one = commands.add_parser("reopen", help=words, description=f"{words}, and says so in its own entry for ever")
    one.add_argument("--reason", required=True, choices=REASONS, help="why, in the entry")
    one.add_argument("--single-user", action="store_true", help="as serve does: one user for all roles")
    _live(one)
    words = "check an export: needs no installation and no network"
    one = commands.add_parser("verify", help=words, description=f"{words}; ends with 1 and names the entry if it fails")
    one.add_argument(
        "directory", metavar="DIR",
        help="what `sealgate audit export` wrote: a directory, a URL with the tenant's id behind it, or a copy of that",
    )  # fmt: skip
    one.add_argument("--key", required=True, help="a verifier key, or a file that holds one")
    one.add_argument("--checkpoint", type=Path, metavar="FILE", help="an old notice (.eml) or checkpoint to compare")
    one.add_argument("--json", action="store_true", help="print one JSON object")
    one = commands.add_parser(
        "search",
        help="find entries",
        description="Words: action:object:opened actor:amy object:msg_… message:402917 recipient:@insurer.example "
        "result:refused proof:2 reason:wrong request:req_… created:2026-11-01..2026-11-07. A single '-' stands for "
        "words from standard input: what stands on a command line, an address for instance, others can see with ps.",
    )
    one.add_argument("query", nargs="*", metavar="WORD", help="see above; '-': read more of them from standard input")
    one.add_argument("--limit", type=int, default=1000, help="the latest so many (1000)")
    _live(one)


def run(args: argparse.Namespace) -> int:
    """Run one of them."""
    if args.audit == "verify":
        return verify_of(args.directory, args.key, args.checkpoint, as_json=args.json)
    if args.audit == "reopen":
        return reopen_command(args)
    from gateway.cli._live import audit_installation

    with audit_installation(args) as installation:
        return run_live(args, installation)


def reopen_command(args: argparse.Namespace) -> int:
    """Leave the wish for the next start. Raises Misconfigured while the gateway runs."""
    from gateway import install, reopening
    from gateway.cli._options import settings_of

    settings = settings_of(args)
    try:
        install.lock(settings, install.LOCKS[0])  # held until this process ends
    except BlockingIOError as error:
        raise Misconfigured("the gateway runs, so its log is not behind what was signed: nothing to give up") from error
    reopening.ask(settings, args.reason)
    words = "the next start gives up what is lost of the log, writes into it what that was, and prints a new key"
    print(json.dumps({"asked": args.reason}) if args.json else f"{words}: sealgate serve, then sealgate audit key")
    return 0


def run_live(args: argparse.Namespace, live: Installation) -> int:
    """The commands that need an installation."""
    tenant = tenant_of(live, args.tenant)
    if args.audit == "key":
        vkeys = dict(live.keyholder.vkeys(tenant))
        print(json.dumps(vkeys, indent=2, sort_keys=True) if args.json else vkeys["log_vkey"])
        return 0
    if args.audit == "export":
        where = args.directory or live.exports.export_url
        if not where:
            raise Misconfigured("name a directory, or set [audit] export_url")
        if _is_url(where):
            return keeper_command(live, where, tenant, as_json=args.json)
        return export_command(live, Path(where), tenant, as_json=args.json)
    return search_command(live, tenant, words_of(args.query), args.limit, as_json=args.json)


def words_of(words: list[str]) -> str:
    """The query. `-` among its words stands for those on standard input, at most `QUERY_BYTES` of them.

    An address given as an argument is searched for, and said to be visible there.
    """
    if any("@" in word for word in words):
        print(SEEN, file=sys.stderr)
    if "-" not in words:
        return " ".join(words)
    typed = " ".join(sys.stdin.read(QUERY_BYTES).split())
    return " ".join([word for word in words if word != "-"] + [typed]).strip()


def tenant_of(live: Installation, name: str | None) -> str:
    """The id of the tenant of that name or id, the only one by default. Raises Misconfigured."""
    from sqlalchemy import select

    from gateway.store.schema import tenants

    with live.audit.store.reading() as conn:
        known = {row.name: row.id for row in conn.execute(select(tenants.c.name, tenants.c.id))}
    if name is None:
        if live.default_tenant is not None:
            return live.default_tenant
        if len(known) != 1:
            raise Misconfigured("name a tenant with --tenant: " + (", ".join(sorted(known)) or "there is none yet"))
        return str(next(iter(known.values())))
    if name in known.values():
        return name
    if name not in known:
        raise Misconfigured(f"unknown tenant '{name}': {nearest(name, list(known))}")
    return str(known[name])


def export_command(live: Installation, directory: Path, tenant: str, *, as_json: bool) -> int:
    """Sign what is new, then write the export."""
    from gateway.audit.export import export

    live.before_export(tenant)
    done = export(directory, live.audit, tenant, live.keyholder)
    if as_json:
        print(json.dumps({"directory": str(directory), **asdict(done)}))
    else:
        print(f"{done.entries} entries and {done.releases} keyholder records in {directory}")
        print(f"check: sealgate audit verify {directory} --key {directory / 'vkey'}")
    _waits(done.waiting)
    return 0


def keeper_command(live: Installation, url: str, tenant: str, *, as_json: bool) -> int:
    """Sign what is new, then add it to what the keeper has; say what the store says of it."""
    from gateway.audit.growing import folder_of, grow
    from gateway.audit.keeper import keeper_at
    from gateway.flow.keeping import said

    own = live.exports
    live.before_export(tenant)
    below = folder_of(tenant, live.keyholder.vkeys(tenant))
    keeper = keeper_at(url, below, lock=own.export_lock, days=own.export_lock_days)
    done = grow(keeper, live.audit, tenant, live.keyholder)
    live.after_export(tenant, said(done))
    base, question, query = url.partition("?")
    there = f"{base.rstrip('/')}/{below}{question}{query}"
    if as_json:
        print(json.dumps({"place": keeper.words, **asdict(done)}))
    else:
        print(
            f"{done.entries} entries and {done.releases} keyholder records at {keeper.words}; {done.objects} new files"
        )
        if done.held:
            print(f"held by the store: {done.held.mode}, until {done.held.until}")
        else:
            print("NOT HELD: whoever can write there can change or remove this. Object Lock is off: deploy/S3.md")
        if done.hidden:
            print(
                f"{done.hidden} files there were removed or written over by somebody; what was put first is still read"
            )
        print(f"check: sealgate audit verify '{there}' --key \"$(sealgate audit key)\"")
    _waits(done.waiting)
    return 0


def verify_of(where: str, key: str, checkpoint: Path | None, *, as_json: bool) -> int:
    """`verify_command` on a directory, or on what a keeper has, or on a copy of that."""
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from gateway.audit import gathering
    from gateway.audit.keeper import keeper_at
    from gateway.audit.verify import read_key, verify

    if not _is_url(where) and not gathering.keeps(Path(where)):
        return verify_command(Path(where), key, checkpoint, as_json=as_json)
    keeper = keeper_at(where) if _is_url(where) else gathering.copy_of(Path(where))
    vkey = read_key(key)
    with TemporaryDirectory(prefix="sealgate-verify-") as folder:
        head, problems = gathering.gather(keeper, Path(folder) / "export")
        found = verify(Path(folder) / "export", vkey, checkpoint)
    report = replace(found, problems=(*found.problems, *problems))
    held = keeper.held(head.name)
    if as_json:
        more = {"exports": head.number + 1, "held": held and asdict(held), "hidden": keeper.hidden()}
        print(json.dumps({**_as_json(report), **more}))
    else:
        _print(report)
        said = f"held by the store: {held.mode}, until {held.until}" if held else "nothing holds it there"
        print(f"{head.number + 1} exports; the last one: {said}; removed or written over since: {keeper.hidden()}")
    return 0 if report.holds else EX_TAMPERED


def verify_command(directory: Path, key: str, checkpoint: Path | None, *, as_json: bool) -> int:
    """Check an export; 0 when it holds, 1 when it does not."""
    from gateway.audit.verify import read_key, verify

    if not directory.is_dir():
        raise Misconfigured(f"{directory} is no directory; 'sealgate audit export DIR' writes one")
    try:
        vkey = read_key(key)
    except Misconfigured as error:
        if not Path(key).resolve().is_relative_to(directory.resolve()):
            raise
        print(f"TAMPERED: {error.public}", file=sys.stderr)  # the export's own key file was changed
        return EX_TAMPERED
    report = verify(directory, vkey, checkpoint)
    if as_json:
        print(json.dumps(_as_json(report)))
    else:
        _print(report)
    return 0 if report.holds else EX_TAMPERED


def search_command(live: Installation, tenant: str, query: str, limit: int, *, as_json: bool) -> int:
    """Print what fits, oldest first."""
    from gateway.audit.search import search
    from gateway.store import waiting

    with live.audit.store.reading(log=tenant) as conn:
        found = search(conn, tenant, query, limit, live.lookup)
        unnumbered = waiting.count(conn, tenant)
    live.after_search(tenant, query)
    for one in found:
        print(json.dumps({"entry": one.index, **one.fields}) if as_json else line(one))
    if not as_json:
        print(f"{len(found)} entries", file=sys.stderr)
    _waits(unnumbered)
    return 0


def _is_url(text: str) -> bool:
    from gateway.audit.keeper import is_url

    return is_url(text)


def _waits(count: int) -> None:
    if count:
        print(
            f"{count} entries are committed and wait for their number: they are not in this. See: sealgate doctor",
            file=sys.stderr,
        )


def line(found: Found) -> str:
    """One entry as people read it."""
    from gateway.clock import from_us

    fields = found.fields
    moment = from_us(fields["ts"]).strftime("%Y-%m-%d %H:%M:%SZ")
    actor = fields["actor"]["id"] or fields["actor"]["kind"]
    words = [f"entry {found.index}", moment, fields["action"], fields["object"], f"by {actor}", fields["outcome"]]
    if fields["proof"] is not None:
        words.append(f"proof {found.proof}")
    if fields["reason"] and " " not in fields["reason"]:
        words.append(f"({fields['reason']})")
    if fields["bytes"] is not None:
        words.append(f"{fields['bytes']} bytes")
    return "  ".join(word for word in words if word)


def _live(parser: argparse.ArgumentParser) -> None:
    from gateway.cli import _options

    _options.add_config(parser)
    parser.add_argument("--tenant", metavar="NAME", help="whose log; needed when there are several")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _print(report: Report) -> None:
    for problem in report.problems[:SHOWN]:
        print(f"TAMPERED: {problem}")
    if len(report.problems) > SHOWN:
        print(f"and {len(report.problems) - SHOWN} more")
    for gap in report.gaps:
        print(gap.words)
    for one in report.disclosures:
        known = "unconfirmed opening" if one.confirmed else "release without an opening"
        print(f"disclosure: {known}: keyholder entry {one.entry}  {one.action}  {one.object}  by {one.actor}")
    sizes = ", ".join(f"{name} {size}" for name, size in report.sizes.items())
    print(f"{report.origin}: entries: {sizes}; {report.outside} checkpoints outside")
    if report.notice:
        print(report.notice)
    print("holds" if report.holds else f"DOES NOT HOLD: {len(report.problems)} problems")


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "holds": report.holds, "origin": report.origin, "sizes": report.sizes, "outside": report.outside,
        "gaps": [one.words for one in report.gaps], "notice": report.notice,
        "problems": [{**asdict(p), "text": str(p)} for p in report.problems],
        "disclosures": [asdict(one) for one in report.disclosures],
    }  # fmt: skip
