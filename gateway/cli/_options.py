"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from gateway.errors import Misconfigured
from gateway.registry import nearest
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


def add_tenant(parser: argparse.ArgumentParser) -> None:
    """`--tenant NAME`, needed where the file has several."""
    parser.add_argument("--tenant", metavar="NAME", help="which clinic; needed when the file has several")


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that these arguments and this environment name. Raises Misconfigured."""
    return load(args.config, os.environ)


def tenant_of(settings: Settings, args: argparse.Namespace) -> Settings:
    """The settings of the clinic that `--tenant` names, the only one by default. Raises Misconfigured."""
    names = [one.tenant.name for one in settings.tenants]
    wanted = args.tenant
    if wanted is None and len(names) > 1:
        raise Misconfigured(f"name a clinic with --tenant: {', '.join(names)}")
    for one in settings.tenants:
        if wanted in (None, one.tenant.name):
            return one
    raise Misconfigured(f"unknown tenant '{wanted}': {nearest(wanted, names)}")
