"""Plugs the parts of one role together: the only package that names concrete backends.

`ground` is what worker and portal stand on alike, `working` and `serving` are what each adds.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.audit.event import GATEWAY, SYSTEM, Action, Event
from gateway.bootstrap.ground import Ground
from gateway.bootstrap.serving import PortalSide
from gateway.bootstrap.working import WorkerSide
from gateway.errors import TryLater
from gateway.logs import Log
from gateway.settings import Settings
from keys.client import PortalClient, WorkerClient

log = Log("gateway.bootstrap")


class Gateway:
    """The gateway role: worker and portal in one process, the single writer of the database."""

    def __init__(self, settings: Settings) -> None:
        sockets = settings.sockets_directory
        portal_keys = PortalClient(sockets / "portal.sock")
        self.ground = Ground(settings, WorkerClient(sockets / "worker.sock"))
        self.working = WorkerSide(self.ground, portal_keys)
        self.serving = PortalSide(self.ground, portal_keys, lambda: self.working.life.last.ok)

    def start(self, descriptors: Sequence[int] = ()) -> list[int]:
        """Serve, on sockets handed over or bound here; the portal's ports."""
        self.working.start()
        ports = self.serving.start(descriptors)
        self.working.listen()
        return ports

    def stop(self) -> None:
        """Doors first, then what is under way, then the log's last checkpoint."""
        ground, working = self.ground, self.working
        working.control.close()
        self.serving.stop()
        working.stop()
        try:
            ground.store.run(
                lambda tx: ground.audit.append(tx, Event(Action.NODE_STOPPED, SYSTEM, ground.node, GATEWAY))
            )
            working.sequencer.run_once()
        except TryLater:
            log.warning("gateway:last-checkpoint-missing")
        working.close()
        ground.store.close()
