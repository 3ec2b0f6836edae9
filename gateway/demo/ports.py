"""Free ports of loopback, and those that a person asked for."""

from __future__ import annotations

import itertools
import os
import socket
from collections import deque

from gateway.errors import Misconfigured

# Below the range from which Linux takes the near end of outgoing connections (32768 on, ip-sysctl), so that a port
# stays free between being chosen here and being bound by the program it is for. Processes next to each other choose
# from blocks of their own; where two share one, the claim below keeps them apart.
FIRST, BLOCK, BLOCKS = 20_000, 200, 60
_next = itertools.count()

# A chosen port stays bound here, without being listened on, until so many others were chosen. SO_REUSEADDR lets the
# program it is for bind it as well (socket(7)), as every server here does; the probe of another process does not ask
# for that and goes on to the next port. Without it a server that starts slowly finds somebody else on its port.
_claims: deque[socket.socket] = deque()
CLAIMS = BLOCK // 4


def free_port() -> int:
    """A port of loopback that nobody uses or has chosen, and that no outgoing connection will take."""
    start = FIRST + os.getpid() % BLOCKS * BLOCK
    for _ in range(BLOCK):
        port = start + next(_next) % BLOCK
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _claims.append(claim)
        if len(_claims) > CLAIMS:
            _claims.popleft().close()
        return port
    raise Misconfigured(f"no port between {start} and {start + BLOCK - 1} is free on loopback")


def is_free(port: int) -> bool:
    """Whether nobody listens on that port of loopback, in either family: browsers take `localhost` for both."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError:
            if family == socket.AF_INET or _answers(port):
                return False
    return True


def choose(asked: int | None, usual: int, what: str, option: str) -> tuple[int, str]:
    """The port to use, and a sentence when it is not the usual one.

    Raises Misconfigured when the port asked for by `option` is taken: a person who names a port means it.
    """
    if asked is not None:
        if not 1 <= asked <= 65535 or not is_free(asked):
            raise Misconfigured(f"{option} {asked}: this port is taken or may not be used; name another one")
        return asked, ""
    if is_free(usual):
        return usual, ""
    other = free_port()
    return other, f"Port {usual} is taken, so {what} on {other}."


def _answers(port: int) -> bool:
    """A machine without IPv6 cannot bind ::1 either; only somebody who answers there is in the way."""
    try:
        with socket.create_connection(("::1", port), timeout=0.5):
            return True
    except OSError:
        return False
