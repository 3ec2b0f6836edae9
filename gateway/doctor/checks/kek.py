"""The root key: there, private, apart, the right one, and in a second place. DESIGN §4a."""

from __future__ import annotations

import os
import stat

from gateway import rootkeys
from gateway.doctor import confirm
from gateway.doctor.case import Case
from gateway.doctor.finding import Finding, check, green, red, yellow
from gateway.doctor.place import KEK_MODES, store_file, vault_folder
from gateway.errors import Misconfigured


@check(
    "kek.file",
    "The root key's file is there and only the keyholder can read it",
    "without it nothing can be opened; whoever reads it opens what waits or is held",
)
def file(case: Case) -> Finding:
    if not case.settings.runs_keyholder:
        return green("it is the keyholder's machine that has it")
    path = rootkeys.on_this_machine(case.settings)
    if path is None:
        return green(f"it lies with {case.settings.keys.provider}, not on this machine")
    try:
        status = os.lstat(path)
    except PermissionError:
        return yellow(f"{path} cannot be looked at by this user", f"run it as root: {case.command('doctor')}")
    except OSError:
        return red(f"{path} is missing", f"bring {path} back from its separate copy, then: chmod 0400 {path}")
    mode = stat.S_IMODE(status.st_mode)
    if mode not in KEK_MODES:
        return red(f"{path} has mode {mode:04o}", f"chmod 0400 {path}")
    return green(f"mode {mode:04o}")


@check(
    "kek.place",
    "The root key lies outside every folder of data",
    "one copy of the data would carry the key that opens it",
)
def place(case: Case) -> Finding:
    settings, path = case.settings, case.settings.keys.kek_file
    if settings.keys.provider != "file":
        return green(f"{settings.keys.provider} guards it: no copy of the disk holds it in clear")
    data = [settings.keys.directory, settings.spool.directory, settings.node_directory]
    data += [found for found in (vault_folder(case),) if found is not None]
    store = store_file(case)
    if store is not None:
        data.append(store.parent)
    real = path.resolve()
    inside = next((folder for folder in data if folder.resolve() in real.parents), None)
    if inside is not None:
        return red(
            f"{path} lies in {inside}",
            f'mv {path} /etc/sealgate/kek, and write in [keys]: kek_file = "/etc/sealgate/kek"',
        )
    if store is not None and path.exists() and store.exists() and path.stat().st_dev == store.stat().st_dev:
        return yellow(
            "on the same disk as the database: a stolen disk opens what is queued or held",
            "put kek_file on another disk or a removable one, and write its path in [keys] kek_file",
        )
    return green("outside, on another file system")


@check(
    "kek.matches",
    "The root key is the one this installation was made with",
    "with another key the keyholder does not start, and nothing can be sent or opened",
)
def matches(case: Case) -> Finding:
    path = case.settings.keys.kek_file
    if not case.settings.runs_keyholder:
        return green("the keyholder's machine looks at that when it starts")
    expected = _expected(case)
    if expected is not None and case.settings.keys.provider != "file":
        return _asked(case, expected)
    if expected is None:
        return yellow(
            "the keyholder's own check value cannot be read by this user or is not there yet",
            f"run it as root: {case.command('doctor')}",
        )
    try:
        found = confirm.check_value(path)
    except Misconfigured as error:
        if os.geteuid() != 0 and case.keyholder is not None:
            return green(f"check value {expected}: the running keyholder opened its store with it")
        return red(error.public, f"bring {path} back from its separate copy, then: chmod 0400 {path}")
    if found != expected:
        return red(
            f"this key has check value {found}, the store was made with {expected}",
            f"bring back the key with check value {expected} to {path}, then: chmod 0400 {path} && {case.start()}",
        )
    return green(f"check value {found}")


@check(
    "kek.copy",
    "A copy of the root key lies away from this machine, and somebody looked at it",
    "a lost key cannot be made again: every sealed file, the log's keys and all factors go with it",
)
def copy(case: Case) -> Finding:
    expected = _expected(case)
    when = confirm.confirmed(case.settings, expected) if expected else None
    if when is not None:
        return green(f"confirmed {when}")
    if case.settings.keys.provider not in ("file", "systemd-creds"):
        return green(f"{case.settings.keys.provider} keeps it; its own backup is that of whoever runs it")
    steps = (
        f"{_take_out(case)} to paper or a stick kept elsewhere; run there: sealgate doctor "
        f"--check-value COPY; then here: {case.command('doctor')} --confirm-kek-copy VALUE"
    )
    messages = ((case.keyholder or {}).get("counts") or {}).get("messages", 0)
    if messages:
        return red(f"no copy was confirmed, and {messages} messages hang on the one key", steps)
    return yellow("no copy was confirmed yet", steps)


def _take_out(case: Case) -> str:
    """How a copy is begun, in words that another command line follows."""
    if case.settings.keys.provider == "file":
        return f"copy {case.settings.keys.kek_file}"
    path = case.settings.keys.credential_file
    return f"take what this prints as root: systemd-creds decrypt --name=sealgate-kek {path} - ; copy it"


def _asked(case: Case, expected: str) -> Finding:
    """What the running keyholder says of a provider that nobody else may ask."""
    if case.keyholder is None:
        return yellow(
            f"check value {expected} is asked of {case.settings.keys.provider} when the keyholder runs", case.start()
        )
    answers = str(case.keyholder.get("kek_answers", "yes"))
    if answers != "yes":
        return red(
            f"{case.keyholder['kek_provider']} {'refuses' if answers == 'refused' else 'does not answer'}: "
            "new mail and new readers wait",
            f"mend it there, then see: {case.command('keys status')}",
        )
    return green(f"check value {expected}: {case.keyholder['kek_provider']} answers")


def _expected(case: Case) -> str | None:
    """The check value that the keyholder's store was made with: from itself, else from its file."""
    if case.keyholder is not None:
        return str(case.keyholder["kek"])
    return confirm.stored_check_value(case)
