"""`sealgate keys recovery …` and `sealgate keys confirm`: a clinic's recovery key, from its making to its use.

Promises: `make` and `check` need no installation, so they run on the officer's own machine; the private half and the
words of a kit are only in this process and in the files that `make` writes, and go to no socket; what is opened is put
into a new folder of mode 0700 and never over a file that is there. Decision 0042.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli._options import add_config, add_json, add_tenant, settings_of, tenant_of
from gateway.cli._running import control, keyholder, secret_lines, show
from gateway.errors import Misconfigured

if TYPE_CHECKING:
    from gateway.settings import Settings
    from keys.boxes import BoxKey
    from keys.kit import Sheet

HELP = "the clinic's recovery key: make its kit, propose it, open messages and renew links with it"
MACHINE = Path("/etc/machine-id")


def add_recovery(actions: Any) -> None:
    """The parsers of `keys recovery` and `keys confirm`."""
    words = (
        "confirm a copy of the root key or a sheet of the recovery kit by its check value, or what was opened elsewhere"
    )
    one = actions.add_parser("confirm", help=words, description=words)
    one.add_argument("values", nargs="+", metavar="VALUE", help="a check value, or the line that begins with opened.")
    _common(one)
    recovery = actions.add_parser("recovery", help=HELP, description=HELP)
    below = recovery.add_subparsers(dest="recovery", metavar="ACTION", required=True)
    _making(below)
    for name, words in (
        ("status", "the recovery key in force, what was confirmed, what waits"),
        ("propose", "ask for a recovery key, with the public.txt that `make` wrote; two people and a day, or at once "
         "before the first officer"),
        ("without", "choose to go without a recovery key: lost links stay lost"),
    ):  # fmt: skip
        one = below.add_parser(name, help=words, description=words)
        if name == "propose":
            one.add_argument("public", type=Path, metavar="PUBLIC")
        _common(one)
    words = "open messages into a new folder, as an officer, with the kit; run it again to go on where it stopped"
    one = below.add_parser("open", help=words, description=words)
    one.add_argument("messages", nargs="*", metavar="MESSAGE", help="ids (msg_…)")
    one.add_argument("--messages", dest="listed", type=Path, metavar="FILE", help="a file with one id a line")
    one.add_argument("--to", required=True, type=Path, metavar="DIR", help="the folder; made if it is not there")
    one.add_argument("--act", metavar="ID", help="go on with an act that was proved before (rcv_…)")
    _acting(one)
    words = "a new link for a recipient, as an officer, with the kit; it goes by mail, and the old one ends"
    one = below.add_parser("relink", help=words, description=words)
    one.add_argument("message", metavar="MESSAGE")
    one.add_argument("link", metavar="LINK", help="the link that was lost (lnk_…), see: sealgate audit search")
    _acting(one)


def run(args: argparse.Namespace) -> int:
    """One of them."""
    if args.action == "confirm":
        return _confirm(args)
    return {
        "make": _make, "check": _check, "status": _status, "propose": _propose, "without": _propose, "open": _open,
        "relink": _relink,
    }[args.recovery](args)  # fmt: skip


def machine_id() -> str:
    """What names this machine; empty where it has no name."""
    try:
        return MACHINE.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def _making(below: Any) -> None:
    words = "make a recovery key and its kit in a new folder, on the officer's own machine: needs no installation"
    one = below.add_parser("make", help=words, description=words)
    one.add_argument("--clinic", required=True, metavar="NAME", help="as it is to stand on the sheets")
    one.add_argument(
        "--shares", default="1-of-1", metavar="K-of-N", help="so many sheets of so many are enough: 2-of-3"
    )
    one.add_argument("--to", required=True, type=Path, metavar="DIR", help="a folder that is not there yet")
    add_json(one)
    words = "whether the sheets of a kit belong together, and their check values: needs no installation"
    one = below.add_parser("check", help=words, description=words)
    _kit(one)
    add_json(one)


def _kit(one: argparse.ArgumentParser) -> None:
    one.add_argument("--kit", type=Path, action="append", default=[], metavar="FILE", help="a sheet; once for each")
    one.add_argument(
        "--type", dest="typed", type=int, default=0, metavar="N", help="type the words of N sheets from paper instead"
    )


def _acting(one: argparse.ArgumentParser) -> None:
    _kit(one)
    one.add_argument("--as", dest="officer", metavar="ADDRESS", help="the officer who decides")
    one.add_argument("--reason", help="why, sealed, for officers and auditors")
    _common(one)


def _common(one: argparse.ArgumentParser) -> None:
    add_config(one)
    add_tenant(one)
    add_json(one)


def _make(args: argparse.Namespace) -> int:
    from gateway.cli._kitpage import page
    from gateway.portal.pdf import pdf_of
    from keys import kit

    clinic = " ".join(args.clinic.split())
    if not clinic or len(clinic) > 120 or not clinic.isprintable():
        raise Misconfigured("--clinic: a name of at most 120 characters")
    try:
        needed, sheets = kit.parse_shares(args.shares)
    except ValueError as error:
        raise Misconfigured(f"--shares {error}") from error
    made = kit.make(clinic, datetime.now(UTC).date().isoformat(), needed, sheets)
    _new_folder(args.to)
    files: dict[str, bytes] = {"public.txt": kit.public_of(made).text().encode()}
    for sheet in made.sheets:
        html = page(sheet)
        files |= {f"sheet-{sheet.number}.txt": sheet.text().encode(), f"sheet-{sheet.number}.html": html.encode()}
        printed = pdf_of(html)
        if printed is not None:
            files[f"sheet-{sheet.number}.pdf"] = printed
    for name, content in files.items():
        _write(args.to / name, content)
    answer = {"key": made.key, "needed": needed, "sheets": sheets, "files": sorted(files), "directory": str(args.to)}
    said = (
        f"{made.key}: {needed} of {sheets} sheets open it\n"
        f"1. Print the sheets in {args.to} and put each in a safe place, away from the gateway. Keep no copy here.\n"
        f"2. Take public.txt to the gateway, and there: sealgate keys recovery propose public.txt\n"
        "3. Read the check values from the paper, and at the gateway: sealgate keys confirm VALUE …\n"
        "A kit that is lost cannot be made again. Then propose a new key: it opens what is sent after it."
    )
    show(answer, as_json=args.json, words=said)
    return 0


def _check(args: argparse.Namespace) -> int:
    from keys import kit

    private, sheets = _joined(args)
    lines = [f"sheet {sheet.number}: {kit.check_words(sheet.check)}" for sheet in sheets]
    if not sheets:
        lines = ["The words belong together."]
    name = _name(private)
    checks = {str(sheet.number): kit.check_words(sheet.check) for sheet in sheets}
    show({"key": name, "checks": checks}, as_json=args.json, words="\n".join([f"{name}: these sheets open it", *lines]))
    return 0


def _status(args: argparse.Namespace) -> int:
    settings = tenant_of(settings_of(args), args)
    tenant = _id(settings)
    found = keyholder(settings, lambda keys: keys.recovery_state(tenant))
    show(found, as_json=args.json, words=_words(found))
    return 0


def _propose(args: argparse.Namespace) -> int:
    from keys import kit

    settings = tenant_of(settings_of(args), args)
    public, needed = b"", 0
    marks: tuple[bytes, ...] = ()
    if args.recovery == "propose":
        try:
            found = kit.parse_public(args.public.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{args.public}: cannot be read") from error
        except kit.BadKit as error:
            raise Misconfigured(f"{args.public}: {error}") from error
        public, needed, marks = found.public, found.needed, found.marks
    tenant, hexed = _id(settings), [one.hex() for one in marks]
    answer = keyholder(settings, lambda keys: keys.propose_recovery(tenant, public, needed, hexed))
    show(answer, as_json=args.json, words=_proposed(answer))
    return 0


def _proposed(answer: Mapping[str, Any]) -> str:
    if not answer["waiting"]:
        return "This clinic goes without a recovery key." if answer["key"] == "none" else f"{answer['key']}: in force"
    return (
        f"{answer['proposal']['id']}: waits. It counts once two people, one of them an officer, approved it and a day "
        "has passed.\nAn officer approves it on the page Changes, or with: sealgate tenant approve"
    )


def _words(found: Mapping[str, Any]) -> str:
    from gateway.clock import from_us

    if not found["key"]:
        lines = ["No recovery key, and nobody chose to go without one. See: sealgate keys recovery make --help"]
    elif found["key"] == "none":
        lines = ["This clinic chose to go without a recovery key: a lost link stays lost."]
    else:
        since = f"{from_us(found['set_us']):%Y-%m-%d}"
        done = ", ".join(map(str, found["confirmed"])) or "none"
        opened = f"{from_us(found['opened_us']):%Y-%m-%d}" if found["opened_us"] else "never"
        lines = [
            f"recovery key  {found['key']}, since {since}, for {found['messages']} messages",
            f"kit           {found['needed']} of {found['sheets']} sheets open it; confirmed: {done}",
            f"opened        elsewhere: {opened}",
        ]
    if found["waiting"]:
        lines.append(f"waits         {found['waiting']['id']}: {found['waiting']['acts']}")
    return "\n".join(lines)


def _confirm(args: argparse.Namespace) -> int:
    """Each value by its form: sheets of the kit, the proof of a message, or the root key's copy."""
    from keys import kit

    settings, said, sheets = settings_of(args), [], []
    for value in args.values:
        if value.strip().startswith("opened."):
            own = tenant_of(settings, args)
            given = {"tenant": own.tenant.name, "proof": value, "machine": machine_id()}
            answer = control(own, "recovery.proved", given)
            said.append(f"recorded: {answer['message']} was opened elsewhere")
        elif _is_root(settings, value, args):
            said.append("recorded: a copy of the root key lies elsewhere")
        else:
            check = kit.parse_check(value)
            if check is None:
                raise Misconfigured("that is neither a check value nor the line that begins with opened.")
            sheets.append(check.hex())
    if sheets:
        own = tenant_of(settings, args)
        answer = control(own, "recovery.confirm", {"tenant": own.tenant.name, "checks": sheets})
        said.append("recorded: these sheets of the recovery kit are kept: " + ", ".join(map(str, answer["confirmed"])))
    show({"recorded": said}, as_json=args.json, words="\n".join(said))
    return 0


def _is_root(settings: Settings, value: str, args: argparse.Namespace) -> bool:
    """Whether it is the check value of the root key in use, which is recorded then."""
    from gateway import doctor
    from gateway.doctor import confirm

    case = doctor.Case(settings, args.config, None)
    expected = str(case.keyholder["kek"]) if case.keyholder is not None else confirm.stored_check_value(case)
    if expected is None or value.strip().lower() != expected:
        return False
    confirm.record(settings, expected, value)
    return True


def _open(args: argparse.Namespace) -> int:
    from gateway.cli._recovered import Opener, message_key

    settings = tenant_of(settings_of(args), args)
    messages = _messages(args)
    private, _ = _joined(args)
    for message in messages if not args.act else ():  # before a code is spent: it is their kit
        message_key(settings, private, message)
    act = args.act or _decided(settings, args, {"act": "recover", "messages": messages})
    if act is None:
        return 0
    opener = Opener(settings, private, act, machine_id())
    _new_folder(args.to, again=True)
    line = ""
    for number, message in enumerate(messages, 1):
        line = opener.open(message, args.to) or line
        print(f"{number} of {len(messages)}", file=sys.stderr, flush=True)
    answer = {"act": act, "directory": str(args.to), "opened": opener.opened, "kept": opener.kept, "proof": line}
    said = f"{opener.opened} opened, {opener.kept} were there before, in {args.to}"
    if line:
        said += f"\nTo say at the clinic's gateway that this works elsewhere: sealgate keys confirm {line}"
    show(answer, as_json=args.json, words=said)
    return 0


def _relink(args: argparse.Namespace) -> int:
    from gateway.cli._recovered import message_key, new_link

    settings = tenant_of(settings_of(args), args)
    private, _ = _joined(args)
    mk, tenant = message_key(settings, private, args.message)
    act = _decided(settings, args, {"act": "relink", "messages": [args.message], "link": args.link})
    if act is None:
        return 0
    answer = new_link(settings, tenant, mk, act, args.message)
    show(answer, as_json=args.json, words=f"{answer['grant']}: a new link is on its way, and {answer['old']} ended")
    return 0


def _decided(settings: Settings, args: argparse.Namespace, wanted: Mapping[str, Any]) -> str | None:
    """The act's id; None, and said so, while another officer must confirm it."""
    if not (args.officer and args.reason):
        raise Misconfigured("name the officer with --as and say why with --reason")
    password, totp = secret_lines(["password", "code from the authenticator app"])
    given = {"tenant": settings.tenant.name, "as": args.officer, "password": password, "totp": totp,
             "reason": args.reason, **wanted}  # fmt: skip
    answer = control(settings, "recovery.decide", given)
    if answer["complete"]:
        return str(answer["id"])
    said = f"{answer['id']}: recorded. Another officer confirms it with the same command; nothing was opened yet."
    show(answer, as_json=args.json, words=said)
    return None


def _messages(args: argparse.Namespace) -> list[str]:
    found = list(args.messages)
    if args.listed is not None:
        try:
            found += args.listed.read_text("ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{args.listed}: cannot be read") from error
    found = list(dict.fromkeys(found))
    if not 0 < len(found) <= 500:
        raise Misconfigured("name at least one message, and at most 500 for one act")
    return found


def _joined(args: argparse.Namespace) -> tuple[BoxKey, list[Sheet]]:
    """The private half from files or typed words. Raises Misconfigured."""
    from keys import kit

    sheets: list[Sheet] = []
    for path in args.kit:
        try:
            with open(path, "rb") as file:
                sheets.append(kit.parse(file.read(kit.LONGEST_BYTES + 1).decode("utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{path}: cannot be read") from error
        except kit.BadKit as error:
            raise Misconfigured(f"{path}: {error}") from error
    words = [sheet.words for sheet in sheets]
    if args.typed:
        words += secret_lines([f"the 33 words of sheet {number}" for number in range(1, args.typed + 1)])
    if not words:
        raise Misconfigured("the kit is needed: --kit FILE for each sheet, or --type N to type the words from paper")
    try:
        return kit.joined(words), sheets
    except kit.BadKit as error:
        raise Misconfigured(f"the kit does not open: {error}") from error


def _name(private: BoxKey) -> str:
    from keys.recovery import key_id

    return key_id(private.public)


def _id(own: Settings) -> str:
    known = keyholder(own, lambda keys: keys.status()["tenants"])
    for id, one in known.items():
        if one["name"] == own.tenant.name:
            return str(id)
    raise Misconfigured(f"tenant '{own.tenant.name}' is not in this installation yet; start sealgate serve")


def _new_folder(path: Path, *, again: bool = False) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError as error:
        if not again or path.is_symlink() or not path.is_dir() or path.stat().st_uid != os.geteuid():
            raise Misconfigured(f"{path}: is there already; name a folder that is not") from error
        if path.stat().st_mode & 0o077:
            raise Misconfigured(f"{path}: others may look into it; its mode must be 0700") from error
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be made: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be written: {error.strerror}") from error
