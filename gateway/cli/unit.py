"""`sealgate unit before|after|adopt`: what the keyholder's systemd unit runs as root, so that each role can be a unit.

Promises: makes nothing of an installation anew; does what `serve` does before and after it starts the keyholder: the
sockets' folder and the keyholder's configuration before, the check of node keys and the settings of the file after.
"""

from __future__ import annotations

import argparse
import time

from gateway.cli._options import add_config, settings_of
from gateway.errors import Misconfigured, TryLater

NAME = "unit"
HELP = "steps around the keyholder's start, for systemd; adopt: give an installation of one user to the roles' users"
WAIT_SECONDS = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("when", choices=("before", "after", "adopt"))
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    from gateway import install, launch, owners
    from gateway.roles import identities

    settings = settings_of(args)
    who = identities(single_user=False, apart=settings.on_postgres)
    if not who.enforced:
        raise Misconfigured("roles are users only where root starts them; run it as root")
    if args.when == "adopt":
        from gateway.quickstart.adopt import adopt

        try:
            adopt(settings, who)
        except BlockingIOError as error:
            raise TryLater("the gateway runs; stop it first") from error
        return 0
    if args.when == "before":
        owners.readable(settings, who, args.config)
        if install.fresh(settings):
            raise Misconfigured("nothing is installed here yet; run: sealgate quickstart DOMAIN --admin ADDRESS")
        owners.same_users(settings, who)
        install.sockets(settings, who)
        install.write_keyholder_file(settings, who, create=False)
        return 0
    deadline = time.monotonic() + WAIT_SECONDS
    while not (settings.sockets_directory / "operator.sock").exists():
        if time.monotonic() > deadline:
            raise TryLater("the keyholder does not answer")
        time.sleep(0.05)
    launch.keyholder_ready(settings, who, None)
    return 0
