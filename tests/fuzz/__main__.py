"""`python -m tests.fuzz TARGET --minutes N`: search. `--replay`: its corpus again. `--distil`: keep what was found."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import sys
from pathlib import Path

from tests.fuzz import engine


def main(arguments: list[str]) -> int:
    """One target, one deed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=engine.NAMES)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to search; 30 by default")
    parser.add_argument("--seed", type=int, default=1, help="for a search without atheris")
    parser.add_argument("--replay", nargs="*", type=Path, help="run these files, or the corpus, and nothing else")
    parser.add_argument("--distil", action="store_true", help="add to the corpus what a search found, and nothing else")
    chosen = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if chosen.replay is not None:
        count = engine.replay(chosen.target, chosen.replay or engine.saved(chosen.target))
        print(f"{chosen.target}: {count} files, nothing found")
        return 0
    if chosen.distil:
        print(f"{chosen.target}: {engine.distil(chosen.target)} files added")
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: searching without looking at branches (tests/fuzz/README.md)", file=sys.stderr)
        return engine.blind(chosen.target, minutes=chosen.minutes, seed=chosen.seed)
    return engine.guided(chosen.target, chosen.minutes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
