"""`sealgate demo`: the whole product on loopback with throwaway data; `--check` walks the story by itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

NAME = "demo"
HELP = "show everything on this computer with made people and throwaway data"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="walk the whole story without a person; 0 if every proof holds"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="with --check: leave out the visit by a headless Chromium"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path,
        help="where everything is put, and kept (default: a private temporary folder, removed at the end)",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", metavar="DIR", type=Path, help="take a picture of each kind of page of the running demo, and end"
    )
    parser.add_argument("--keep", action="store_true", help="do not remove the temporary folder")
    parser.add_argument("--smtp-port", metavar="N", type=int, help="port for mail (2525)")
    parser.add_argument("--web-port", metavar="N", type=int, help="port of the portal (8080)")


def run(args: argparse.Namespace) -> int:
    from gateway.demo.run import Wanted, demo

    wanted = Wanted(args.data, args.keep, args.smtp_port, args.web_port)
    if args.check:
        from gateway.demo.check import check

        return check(wanted, os.environ, browser=not args.no_browser)
    if args.pictures is not None:
        from gateway.demo.pictures import pictures

        return pictures(wanted, os.environ, args.pictures)
    return demo(wanted, os.environ)
