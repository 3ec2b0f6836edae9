"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gateway.settings import Settings, load


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config FILE`, else SEALGATE_CONFIG, else /etc/sealgate/sealgate.toml."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        help="configuration file (default: $SEALGATE_CONFIG, else /etc/sealgate/sealgate.toml)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json` for programs."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that these arguments and this environment name. Raises Misconfigured."""
    return load(args.config, os.environ)
