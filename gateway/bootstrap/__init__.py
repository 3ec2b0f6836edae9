"""Plugs the parts of one role together: the package that names concrete backends.

The root key's provider is named where keys are made and checked as well (`launch`, `doctor`, the keyholder).

`ground` is what worker and portal stand on alike, `working` and `serving` are what each adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.event import Action
from gateway.bootstrap.ground import Ground
from gateway.bootstrap.serving import PortalSide
from gateway.bootstrap.working import WorkerSide
from gateway.errors import TryLater
from gateway.keyholders import reach
from gateway.logs import Log
from gateway.settings import Settings
from keys.client import PortalClient, WorkerClient

log = Log("gateway.bootstrap")


class Gateway:
    """The gateway role: worker and portal in one process, the single writer of the database."""

    def __init__(self, settings: Settings) -> None:
        portal_keys = PortalClient(reach(settings, "portal"))
        keyholder = WorkerClient(reach(settings, "worker"))
        self.ground = Ground(settings, keyholder)
        self.working = WorkerSide(self.ground, keyholder, portal_keys)
        self.serving = PortalSide(self.ground, portal_keys, lambda: self.working.life.last.ok)

    def start(self, descriptors: Sequence[int] = ()) -> list[int]:
        """Serve, on sockets handed over or bound here; the portal's ports."""
        self.working.start()
        ports = self.serving.start(descriptors)
        self.working.listen()
        return ports

    def reload(self) -> None:
        """SIGHUP: read the certificate again."""
        self.serving.reload()

    def stop(self) -> None:
        """Doors first, then what is under way, then the log's last checkpoint."""
        self.working.control.close()
        self.serving.stop()
        _end(self.ground, self.working)


class Worker:
    """The worker role alone, beside portals on PostgreSQL. Its socket is all that it has of the keyholder."""

    def __init__(self, settings: Settings) -> None:
        keyholder = WorkerClient(reach(settings, "worker"))
        self.ground = Ground(settings, keyholder)
        self.working = WorkerSide(self.ground, keyholder, keyholder)

    def start(self, descriptors: Sequence[int] = ()) -> list[int]:
        """Work; a worker has no door."""
        self.working.start()
        self.working.listen()
        return []

    def reload(self) -> None:
        """SIGHUP: a worker has no certificate to read again."""

    def stop(self) -> None:
        """What is under way, then the log's last checkpoint."""
        self.working.control.close()
        _end(self.ground, self.working)


class Portal:
    """The portal role alone, beside workers on PostgreSQL: its own socket, its own database role, no spool."""

    def __init__(self, settings: Settings) -> None:
        keyholder = PortalClient(reach(settings, "portal"))
        self.ground = Ground(settings, keyholder)
        self.serving = PortalSide(self.ground, keyholder, lambda: self.ground.store.health)

    def start(self, descriptors: Sequence[int] = ()) -> list[int]:
        """Serve, on sockets handed over or bound here; the ports."""
        return self.serving.start(descriptors)

    def reload(self) -> None:
        """SIGHUP: read the certificate again."""
        self.serving.reload()

    def stop(self) -> None:
        """The door, then the log's word that it was closed. A worker signs it."""
        self.serving.stop()
        _note_end(self.ground)
        self.ground.audit.remember()
        self.ground.store.close()


PARTS: dict[str, type[Gateway] | type[Worker] | type[Portal]] = {
    "gateway": Gateway, "worker": Worker, "portal": Portal,
}  # fmt: skip
"""By role, as `sealgate serve --role` names them."""


def _end(ground: Ground, working: WorkerSide) -> None:
    working.stop()
    try:
        _note_end(ground)
        working.sequencer.run_once()
    except TryLater:
        log.warning("gateway:last-checkpoint-missing")
    working.close()
    ground.audit.remember()
    ground.store.close()


def _note_end(ground: Ground) -> None:
    try:
        ground.note(Action.NODE_STOPPED)
    except TryLater:
        log.warning("gateway:end-not-noted")
