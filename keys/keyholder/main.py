"""The process: harden, open the store, listen, say "ready", stop on SIGTERM.

Promises: exit codes follow sysexits: 0 after SIGTERM or SIGINT, 75 when another keyholder holds the store, 78 for a
configuration, store or KEK that cannot be used, with one line on standard error that names it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from keys.errors import Tampered, Unavailable, Unusable, WrongKek
from keys.keyholder import journal
from keys.keyholder.config import BadConfig, KeyholderConfig, load
from keys.keyholder.database import NoStore
from keys.keyholder.harden import harden
from keys.keyholder.holder import Holder, StoreInUse
from keys.keyholder.server import Server
from keys.keyholder.wire import b64
from keys.steady import Steady

OK, UNAVAILABLE, BUSY, CONFIG = 0, 69, 75, 78


def main(arguments: list[str] | None = None) -> int:
    """`python -m keys.keyholder --config FILE`."""
    parser = argparse.ArgumentParser(prog="python -m keys.keyholder", description="The keyholder of one installation.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file with the keyholder's configuration")
    given = parser.parse_args(arguments)
    try:
        config = load(given.config)
    except BadConfig as error:
        return _say(str(error), CONFIG)
    return run(config)


def run(config: KeyholderConfig) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Must be called in the main thread of its own process."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent passes it to every role; here is nothing to read again
    try:
        harden(die_with_parent=config.die_with_parent)
        holder = Holder.open(config)
    except WrongKek as error:
        return _say(str(error), CONFIG)
    except (NoStore, Unusable, Tampered, BadConfig) as error:
        return _say(str(error), CONFIG)
    except (StoreInUse, Unavailable) as error:
        return _say(str(error), BUSY)
    except OSError as error:
        return _say(f"{config.directory}: cannot be used ({error.strerror})", CONFIG)
    server, steady = Server(holder), Steady()
    try:
        holder.keep_house()
        ports = server.start()
        holder.begin()
        said = {"ready": True, "public_key": b64(holder.custody.root.public)}
        print(json.dumps(said | ({"ports": ports} if ports else {})), flush=True)
        while not stop.wait(config.limits.housekeeping_seconds):
            if not steady():  # what looks over may not be, and a destroyed share does not come back
                journal.line("clock:leapt")
                continue
            try:
                holder.keep_house()
            except Exception as error:
                journal.failure("keyholder:housekeeping-failed", error)
    except BadConfig as error:
        return _say(str(error), CONFIG)
    except Unavailable as error:
        return _say(str(error), UNAVAILABLE)
    finally:
        server.stop()
        holder.close()
    return OK


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"keyholder: {text}\n")
    return code
