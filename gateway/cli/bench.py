"""`sealgate bench relay|detect|vault|audit|portal|all`: measured figures beside their references, in one run.

Everything runs on loopback in throwaway folders; progress goes to standard error. `--quick` takes each figure once and
small: it proves that the bench works, not how fast anything is. SIGTERM ends it with all that it started. What each is
and is not: gateway/bench/README.md.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from gateway.errors import Misconfigured

NAME = "bench"
HELP = "measure the gateway beside its references; figures as JSON and as a table"
AREAS = ("relay", "detect", "vault", "audit", "portal")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("area", nargs="?", choices=[*AREAS, "all"], help="what is measured")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the bench file here as well")
    parser.add_argument(
        "--quick", action="store_true", help="one small taking of each figure: seconds instead of minutes"
    )
    parser.add_argument(
        "--only", metavar="PART", help="with relay: one part of it alone (rates, latency, durable, report or large)"
    )
    parser.add_argument("--table", metavar="FILE", type=Path, help="print the table of a bench file, and exit")
    parser.add_argument(
        "--readme", metavar="README", type=Path, help="with --table: put the table into this file instead"
    )


def run(args: argparse.Namespace) -> int:
    from gateway.bench import report
    from gateway.bench.measure import Area, machine, say

    if args.table is not None:
        text = report.table(report.read(args.table))
        if args.readme is None:
            print(text)
        else:
            _put(args.readme, text)
        return 0
    if args.area is None:
        raise Misconfigured(f"name what to measure: {', '.join(AREAS)} or all; or --table FILE")
    only = _part(args.area, args.only)
    signal.signal(signal.SIGTERM, _end)
    facts = machine()
    areas: dict[str, Area] = {}
    for name in AREAS if args.area == "all" else (args.area,):
        started = time.monotonic()
        areas[name] = importlib.import_module(f"gateway.bench.{name}").run(quick=args.quick, **only)
        areas[name].seconds = time.monotonic() - started
        say(f"{name} done in {areas[name].seconds:.0f} s")
    text = report.as_json(areas, facts, quick=args.quick)
    if args.json is not None:
        args.json.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def _part(area: str, only: str | None) -> dict[str, str]:
    """Raises Misconfigured for a part that this area has not."""
    if only is None:
        return {}
    from gateway.bench.relay import PARTS

    if area != "relay" or only not in PARTS:
        raise Misconfigured(f"--only goes with relay, and names one of its parts: {', '.join(PARTS)}")
    return {"only": only}


def _end(number: int, frame: FrameType | None) -> None:
    """Leave as an error does, so that every server that was started is ended; once, so that nothing disturbs that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


def _put(path: Path, table: str) -> None:
    """Put the table between the markers of that file. Raises Misconfigured when it has none."""
    from gateway.bench.report import BEGIN, END

    before, begin, rest = path.read_text("utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise Misconfigured(f"{path} has no lines '{BEGIN}' and '{END}'")
    path.write_text(before + table + after, encoding="utf-8")
