"""`sealgate keys status|rotate`: the root key, and its way to another one while mail and downloads go on.

The other commands of `sealgate keys` lie in `_machines`, `_incident` and `backup`.

Promises: `rotate` goes to what the configuration names, or a file given with `--to`; where that is the key in use, a
fresh one is made in its place. The key before is never deleted; a command that was cut off is simply run again.
DESIGN §4a (Root KEK).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway import rootkeys
from gateway.cli import _incident, _machines, _recovery, backup
from gateway.cli._options import add_config, add_json, settings_of
from gateway.cli._running import keyholder, show
from gateway.errors import Misconfigured
from gateway.settings import Settings, load
from keys.client import OperatorClient
from keys.errors import Denied, KeysError
from keys.providers import Choice, open_provider
from keys.providers.file import sync_directory

NAME = "keys"
HELP = "root key, recovery key, the keyholder's machines and backup, what a thief could have opened"
_NEXT, _BEFORE = ".next", ".before-"
_LOOK_SECONDS = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, words in (
        ("status", "the root key in use, who guards it, whether they answer, and a rotation that runs"),
        ("rotate", "go to the root key that the configuration names; if it is the one in use, make a fresh one"),
    ):
        one = actions.add_parser(name, help=words, description=words)
        add_config(one)
        add_json(one)
        if name == "rotate":
            one.add_argument(
                "--to", type=Path, metavar="FILE", help="a configuration whose [keys] names the root key to go to"
            )
    _recovery.add_recovery(actions)
    _machines.add(actions)
    _incident.add(actions)
    backup.add_keyholder(actions, "backup", "the same as sealgate backup keyholder DIR")


def _backup(args: argparse.Namespace, settings: Settings) -> int:
    return backup.run(args)


_OTHERS: Mapping[str, Callable[[argparse.Namespace, Settings], int]] = {
    **dict.fromkeys(("request", "certify", "accept", "machines", "revoke"), _machines.run),
    **dict.fromkeys(("incident", "destroy-day"), _incident.run),
    "backup": _backup,
}


def run(args: argparse.Namespace) -> int:
    if args.action in ("confirm", "recovery"):
        return _recovery.run(args)
    settings = settings_of(args)
    if args.action in _OTHERS:
        return _OTHERS[args.action](args, settings)
    if args.action == "status":
        now = keyholder(settings, lambda keys: keys.root_key())
        show(now, as_json=args.json, words=_words(now))
        return 0
    target = load(args.to, {}) if args.to is not None else settings
    now = _rotated(settings, target)
    show(now, as_json=args.json, words=_words(now) + "\n" + _ending(settings, target, now))
    return 0


def _rotated(settings: Settings, target: Settings) -> dict[str, Any]:
    """Begin or go on with the rotation, wait for its end, and put a fresh key in its place."""
    wanted = rootkeys.choice(target)
    now = keyholder(settings, lambda keys: keys.root_key())
    if not now["rotating"] and _in_place(wanted, now) is None:
        aim, secret = wanted, b""
        path = rootkeys.on_this_machine(target)
        if path is not None and now["provider"] == wanted.provider and now["where"] in (wanted.values, _beside(wanted)):
            aim = Choice(wanted.provider, _beside(wanted))
            path = path.with_name(path.name + _NEXT)
        if path is not None:
            secret = _made(settings, aim, path)
        now = keyholder(settings, lambda keys: _begin(keys, aim, secret))
    while now["rotating"]:
        time.sleep(_LOOK_SECONDS)
        now = keyholder(settings, lambda keys: keys.root_key())
    fresh = _in_place(wanted, now)
    if fresh is not None and fresh.exists():
        _put(fresh, Path(str(fresh).removesuffix(_NEXT)), now["before"])
    return now


def _beside(wanted: Choice) -> dict[str, str]:
    """Where a fresh key is made, before it takes the place of the one in use."""
    return {key: value + _NEXT for key, value in wanted.values.items()}


def _in_place(wanted: Choice, now: dict[str, Any]) -> Path | None:
    """The fresh key beside the one that the configuration names, where the keyholder is under it and the two have not
    changed places yet.
    """
    if now["provider"] != wanted.provider or wanted.provider not in ("file", "systemd-creds"):
        return None
    (path,) = now["where"].values()
    return Path(path) if now["where"] == _beside(wanted) and Path(path).exists() else None


def _made(settings: Settings, aim: Choice, path: Path) -> bytes:
    """A key on this machine that is to be gone to: made if it is not there, given to the keyholder. The line out of a
    sealed credential, which the keyholder's own user may not open; nothing for a file.
    """
    from gateway import install
    from gateway.roles import identities

    who = identities(single_user=os.geteuid() != 0 or settings.keys.directory.stat().st_uid == 0)
    try:
        open_provider(aim, create=True)
        install.own(path, who, "keyholder")
        if aim.provider == "systemd-creds":
            from keys.providers.systemd_creds import opened_line

            return opened_line(path)
    except KeysError as error:
        raise Misconfigured(str(error)) from error
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}; run it as root") from error
    return b""


def _begin(keys: OperatorClient, aim: Choice, secret: bytes) -> dict[str, Any]:
    try:
        return keys.rotate(aim.provider, aim.values, secret)
    except Denied as denied:
        if denied.reason == "unusable":
            raise Misconfigured(f"the keyholder cannot use that root key: {denied.data.get('why', '')}") from denied
        if denied.reason == "same-key":
            raise Misconfigured(
                "the configuration names the root key in use under another path; nothing to do"
            ) from denied
        raise


def _put(fresh: Path, place: Path, before: str) -> None:
    """The fresh key takes the place of the one before, which stays beside it. The place is never empty."""
    kept = place.with_name(place.name + _BEFORE + before)
    try:
        if place.exists() and not kept.exists():
            os.link(place, kept)
        os.replace(fresh, place)
        sync_directory(place.parent)
    except OSError as error:
        raise Misconfigured(
            f"{place}: the fresh key lies at {fresh} and cannot be moved there: {error.strerror}"
        ) from error


def _words(now: dict[str, Any]) -> str:
    lines = [f"root key    {now['name']}, check value {now['check']}", f"keys        {now['keys']} lie under it"]
    if now["provider"] not in ("file", "systemd-creds"):
        said = {"yes": "answers", "silent": "does not answer", "refused": "refuses"}[now["answers"]]
        lines.append(f"provider    {said}" + ("" if now["answers"] == "yes" else ": new mail and readers wait"))
    if now["rotating"]:
        lines.append(f"rotation    runs: {now['done']} keys done; the one before has check value {now['before']}")
    elif now["before"]:
        lines.append(f"before      check value {now['before']}")
    if now["broken"]:
        lines.append(f"warning     {now['broken']} wrapped keys open under neither; somebody changed them")
    return "\n".join(lines)


def _ending(settings: Settings, target: Settings, now: dict[str, Any]) -> str:
    lines = []
    if settings.keys != target.keys:
        lines.append("Now write the new [keys] into the configuration, before the next start.")
    if now["provider"] in ("file", "systemd-creds"):
        lines.append("Keep a copy of the new root key away from this machine: sealgate doctor says how.")
    lines.append(
        f"Keep the key with check value {now['before']} until the last backup of the keyholder made under it has "
        "expired, then destroy it."
    )
    return "\n".join(lines)
