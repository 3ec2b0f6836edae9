"""The command `sealgate`: one module per subcommand in this folder, found by name and imported only when asked for.

A subcommand's module has `NAME`, `HELP` (one line), `add_arguments(parser)` and `run(args) -> int`, and imports what is
heavy inside `run`, so that `sealgate --help` stays quick. Results go to standard output, talk to standard error.
Exit codes follow sysexits: 64 usage, 65 bad data, 69 and 75 try later, 70 our fault, 78 configuration; the error's
class decides (gateway/errors.py). `audit verify` uses 1 for "tampered".
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NoReturn, Protocol, cast

from gateway.errors import GatewayError
from gateway.registry import nearest

EX_USAGE = 64
EX_SOFTWARE = 70


class Command(Protocol):
    """What a module of this folder provides."""

    NAME: str
    HELP: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """argparse with the exit code of sysexits for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def command_names() -> list[str]:
    """Names of all subcommands, without importing them."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(name.replace("_", "-") for name in modules if not name.startswith("_"))


def command(name: str) -> Command:
    """The subcommand of that name."""
    return cast(Command, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))


def version() -> str:
    """The installed distribution's version."""
    try:
        return metadata.version("sealgate")
    except metadata.PackageNotFoundError:
        return "unknown (not installed)"


def parser_for(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with these subcommands; importing only those."""
    parser = Parser(prog="sealgate", description="A mail gateway for clinics that can prove who opened what.")
    parser.add_argument("--version", action="version", version=f"sealgate {version()}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name in names:
        module = command(name)
        module.add_arguments(choices.add_parser(name, help=module.HELP, description=module.HELP))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    known = command_names()
    asked = arguments[0] if arguments else ""
    if asked and not asked.startswith("-") and asked not in known:
        print(f"sealgate: unknown command '{asked}'; {nearest(asked, known)}", file=sys.stderr)
        return EX_USAGE
    try:
        args = parser_for([asked] if asked in known else known).parse_args(arguments)
    except SystemExit as stop:  # --help, --version and wrong usage end here with their own codes
        return stop.code if isinstance(stop.code, int) else EX_USAGE
    try:
        return command(args.command).run(args)
    except GatewayError as error:
        print(f"sealgate: {error.public}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader went away: stdout is closed quietly, as `head` expects
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # an unforeseen text may quote a message, so only class and place are printed
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        print(f"sealgate: internal error: {type(error).__name__} at {place}", file=sys.stderr)
        return EX_SOFTWARE
