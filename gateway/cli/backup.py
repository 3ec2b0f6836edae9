"""`sealgate backup content|keyholder DIR`, `backup list`, `backup verified ID`: two halves that never lie together."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import control, keyholder, show
from gateway.control import NotRunning
from gateway.settings import DEFAULT_PATH, Settings

if TYPE_CHECKING:
    from gateway.backup.making import Made

NAME = "backup"
HELP = "copy the content, or the keyholder's store, while the gateway serves"
DAYS = 7
EVERY_SECONDS = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="backup", metavar="COMMAND", required=True)
    words = "database, sealed files and configuration, into a new folder; opens nothing without the other half"
    one = commands.add_parser("content", help=words, description=words)
    one.add_argument("directory", type=Path, metavar="DIR", help="a new or empty folder, best on another disk")
    one.add_argument(
        "--since",
        type=Path,
        metavar="DIR",
        help="an earlier backup of the content on that disk: its files are linked",
    )
    _common(one)
    words = "the keyholder's store, into a new folder far from the content; it opens nothing after its days"
    add_keyholder(commands, "keyholder", words)
    words = "every backup that was begun: when, until when it opens, whether it was restored once"
    _common(commands.add_parser("list", help=words, description=words))
    words = "record that this backup was restored on another machine and its log held"
    one = commands.add_parser("verified", help=words, description=words)
    one.add_argument("id", metavar="ID", help="as 'sealgate restore --verify' printed it")
    _common(one)


def add_keyholder(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str) -> None:
    """The arguments of the keyholder's half, under that name."""
    one = commands.add_parser(name, help=words, description=words)
    one.add_argument("directory", type=Path, metavar="DIR", help="a new or empty folder on another medium")
    one.add_argument("--days", type=int, default=DAYS, help=f"how long it may be restored (default and most: {DAYS})")
    one.set_defaults(backup="keyholder")
    _common(one)


def run(args: argparse.Namespace) -> int:
    settings = settings_of(args)
    if args.backup == "list":
        return _list(settings, args)
    if args.backup == "verified":
        keyholder(settings, lambda client: client.backup_verified(args.id))
        _noted(settings, {"id": args.id, "what": "verified"})
        show({"id": args.id, "verified": True}, as_json=args.json, words=f"{args.id}: recorded as restored")
        return 0
    from gateway.backup import making
    from gateway.cli import version

    said = progress()
    if args.backup == "content":
        made = keyholder(
            settings,
            lambda client: making.content(
                settings, _config(args), args.directory, client, release=version(), since=args.since, progress=said
            ),
        )
    else:
        made = keyholder(
            settings,
            lambda client: making.keyholder(
                settings, args.directory, client, release=version(), days=args.days, progress=said
            ),
        )
    _noted(settings, {"id": made.manifest.id, "what": "made", "kind": made.manifest.kind})
    show(_plain(made), as_json=args.json, words="\n".join(_words(made)))
    return 0


def progress() -> Callable[[str], None]:
    """Says where it stands on standard error, every two seconds at most."""
    last = time.monotonic()

    def said(words: str) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_SECONDS:
            last = time.monotonic()
            print(f"sealgate: {words}", file=sys.stderr, flush=True)

    return said


def _plain(made: Made) -> dict[str, Any]:
    from gateway.clock import from_us

    one = made.manifest
    expires = None if one.expires_us is None else from_us(one.expires_us).isoformat(timespec="seconds")
    return {
        "id": one.id, "kind": one.kind, "directory": str(made.directory), "expires_at": expires,
        "made_at": from_us(one.made_us).isoformat(timespec="seconds"), "kek": one.kek, "files": made.files,
        "bytes": one.size_bytes + made.file_bytes, "linked": made.linked, "missing": made.missing,
        "seconds": round(made.seconds, 3),
    }  # fmt: skip


def _words(made: Made) -> list[str]:
    plain = _plain(made)
    told = [f"{plain['kind']}: {plain['id']} in {made.directory}: {plain['bytes']} bytes in {plain['seconds']} s"]
    if made.manifest.kind == "content":
        told.append(f"{made.files} sealed files, {made.linked} of them as the earlier backup has them")
        if made.missing:
            told.append(f"{made.missing} files are no longer in the vault: erased meanwhile, or lost")
    else:
        told.append(f"it opens nothing after {plain['expires_at']}: destroy it then, and make the next one before")
    told.append(f"the root key (check value {plain['kek']}) is in neither half: keep a copy of it elsewhere")
    return told


def _list(settings: Settings, args: argparse.Namespace) -> int:
    from gateway.clock import from_us

    def when(us: int | None) -> str | None:
        return None if us is None else from_us(us).isoformat(timespec="seconds")

    rows = [
        {
            "id": one["id"], "kind": one["kind"], "made_at": when(one["made_us"]),
            "expires_at": when(one["expires_us"]), "finished": one["signed_us"] is not None,
            "verified_at": when(one["verified_us"]),
        }
        for one in keyholder(settings, lambda client: client.backups())
    ]  # fmt: skip
    lines = [
        f"{one['made_at']}  {one['id']}  {one['kind']}"
        + ("" if one["finished"] else "  not finished")
        + (f"  opens until {one['expires_at']}" if one["expires_at"] else "")
        + (f"  restored {one['verified_at']}" if one["verified_at"] else "")
        for one in rows
    ]
    show(rows, as_json=args.json, words="\n".join(lines) or "no backup was made yet")
    return 0


def _noted(settings: Settings, words: dict[str, str]) -> None:
    with contextlib.suppress(NotRunning):  # the keyholder's own log has it
        control(settings, "backup.note", words)


def _config(args: argparse.Namespace) -> Path | None:
    if args.config is not None:
        return Path(args.config)
    named = os.environ.get("SEALGATE_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_PATH if DEFAULT_PATH.exists() else None


def _common(parser: argparse.ArgumentParser) -> None:
    add_config(parser)
    add_json(parser)
