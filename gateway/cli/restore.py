"""`sealgate restore CONTENT KEYHOLDER --verify`: both halves of a backup onto an empty machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import show
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.backup.restoring import Done

NAME = "restore"
HELP = "bring both halves of a backup onto an empty machine, and say what is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("content", type=Path, metavar="CONTENT", help="the folder of 'sealgate backup content'")
    parser.add_argument("keyholder", type=Path, metavar="KEYHOLDER", help="the folder of 'sealgate backup keyholder'")
    parser.add_argument(
        "--verify", action="store_true", help="compute every log again from its entries and compare its root"
    )
    parser.add_argument("--single-user", action="store_true", help="as serve does: one user for all roles")
    add_config(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from gateway import roles
    from gateway.backup import restoring
    from gateway.cli.backup import progress

    settings = settings_of(args)
    who = roles.identities(args.single_user, apart=settings.on_postgres)
    done = restoring.restore(settings, who, args.content, args.keyholder, verify=args.verify, progress=progress())
    show(
        _plain(done, verified=args.verify), as_json=args.json,
        words="\n".join(_words(done, settings, verified=args.verify)),
    )  # fmt: skip
    return 0


def _plain(done: Done, *, verified: bool) -> dict[str, Any]:
    from gateway.clock import from_us

    return {
        "content": done.content.id, "keyholder": done.keyholder.id, "verified": verified, "files": done.files,
        "missing": done.missing, "logs": dict(done.content.about["logs"]),
        "gap": done.gap.plain(), "needed": list(done.needed), "seconds": round(done.seconds, 3),
        "opens_until": from_us(done.keyholder.expires_us or 0).isoformat(timespec="seconds"),
    }  # fmt: skip


def _words(done: Done, settings: Settings, *, verified: bool) -> list[str]:
    logs = ", ".join(f"{name} {size}" for name, size in sorted(done.logs.items()))
    checked = (
        "computed again from every entry, the same" if verified else "the same; --verify computes them from the entries"
    )
    told = [
        f"restored in {done.seconds:.1f} s: {done.files} sealed files; entries of logs: {logs}",
        f"roots of the logs: {checked}",
        f"the spool is empty, and this node gets new keys; backup {done.content.id}, keyholder {done.keyholder.id}",
    ]
    if done.missing:
        told.append(f"{done.missing} sealed files were not in the vault when the backup was made")
    told += ["", "What is missing:", *(f"- {line}" if not line.startswith("  ") else line for line in
             done.gap.words(settings.tenant.timezone or "UTC"))]  # fmt: skip
    told += ["", "Before it can serve:" if done.needed else "Nothing else is needed."]
    told += [f"- {one}" for one in done.needed]
    told.append(f"Then: sealgate serve. It must begin before {_plain(done, verified=verified)['opens_until']}.")
    return told
