"""The worker's side of the plugging: what happens by the clock, and its life from start to stop."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway import restored, words
from gateway.bootstrap import room
from gateway.bootstrap.ground import Ground
from gateway.bootstrap.parts import WorkerParts
from gateway.control import ControlServer
from gateway.errors import TryLater
from gateway.flow import comeback, reopening
from gateway.flow.clockwatch import LOOK_SECONDS, ClockWatch
from gateway.flow.ended import Wanted
from gateway.flow.erasing import Erasing
from gateway.flow.evidence import Evidence
from gateway.flow.keeping import EVERY_SECONDS, Keeping
from gateway.flow.officer_acts import HeldActs
from gateway.flow.orphans import destroy_orphans
from gateway.flow.recovering import Recovering
from gateway.flow.resending import Resending
from gateway.flow.retention_office import RetentionOffice
from gateway.flow.settle import finish_narrowings
from gateway.flow.sweeping import VaultSweep
from gateway.flow.upkeep import Duty, SignOfLife, Texts, Upkeep
from gateway.keyholders import reach
from gateway.logs import Log
from gateway.metrics import Figures, MetricsServer, Parts
from gateway.notify import TextSender
from gateway.notify import sender as text_sender
from gateway.portal import roles as permissions
from gateway.scan import probe
from gateway.share import answering
from gateway.spool import doors, snapshot
from gateway.spool.reader import SpoolReader
from gateway.store.engines import parse, path_of
from gateway.vouched import vouched_notify
from keys.client import PortalClient, WorkerClient, unb64

log = Log("gateway.upkeep")
PULSE_SECONDS = 1.5
SCANNER_SECONDS = 600.0
OPENINGS_SECONDS = 600.0
SWEPT = "vault-swept"
"""Where the vault's sweep goes on, in the worker's own folder."""
UNDER_WAY_US = 120_000_000
"""Between a release at the keyholder and its opening in the log lies one commit, which gives up after seconds."""


class WorkerSide(WorkerParts):
    """Everything that a worker process adds to the ground."""

    def __init__(self, ground: Ground, keyholder: WorkerClient, officers: PortalClient | WorkerClient) -> None:
        self._snapshot_turn = threading.Lock()
        # A keyholder that hangs must turn the sign of life red well before smtp would find that silent.
        self.keyholder_pulse = WorkerClient(reach(ground.settings, "worker", timeout_seconds=PULSE_SECONDS, size=1))
        self.officers = officers
        super().__init__(ground, keyholder, officers)
        self._upkeep()

    def _upkeep(self) -> None:
        ground, settings = self.ground, self.settings
        spools = {"in": self.incoming, "out": self.outgoing}
        checks: dict[str, Callable[[], bool]] = {
            "disk": lambda: ground.room is None or ground.room.whole,
            "store": lambda: ground.store.health,
            "worker": self.worker.alive,
            "vault": lambda: ground.vault.healthy() and room.of_vault(settings),
            "keyholder": self._keyholder_answers,
            "spool": lambda: room.of_spool(settings),
        }
        self.life = SignOfLife(settings.snapshot_directory / "health.json", checks, ground.clock)
        self._metrics(spools)
        texts = Texts(self.keyholder, self._carriers(), self._text_words)
        acts = HeldActs(ground.store, ground.rows, ground.audit, self.keyholder, self.held, ground.clock,
                        self._resending())  # fmt: skip
        confirm = self._once("openings", self._confirm)
        self.erasing = Erasing(
            ground.store, self.records, ground.vault, self.keyholder, self.held, lambda: list(ground.views.values()),
            ground.clock,
        )  # fmt: skip
        wanted = Wanted(ground.store, ground.rows, self.keyholder, ground.clock)
        swept = VaultSweep(ground.vault, wanted, ground.clock, settings.worker_directory / SWEPT)
        self.keeping = Keeping(
            settings.audit, ground.store, ground.audit, self.keyholder, lambda: list(ground.views),
            self.sequencer.run_once, ground.clock,
        )  # fmt: skip
        watch = ClockWatch(self.steady, settings.worker_directory, ground.clock, self._renew)
        self.upkeep = Upkeep(
            [
                [Duty("life", 0.8, self.life)],
                [Duty("snapshot", 60.0, self._snapshot), Duty("epochs", 30.0, self._epochs)],
                [Duty("clock", LOOK_SECONDS, watch)],
                [Duty("checkpoints", 1.0, self.sequencer.run_once)],
                [Duty("texts", 0.5, texts)],
                [Duty("held-acts", 1.0, self._once("held-acts", acts))],
                [Duty("erasing", 2.0, self._once("erasing", self.erasing))],
                *self.telling.duties(self._once, self._steadily),
                *(
                    [[Duty("scanner", SCANNER_SECONDS, probe.watch(self._scanner))]]
                    if self._scanner is not None
                    else []
                ),
                [Duty("export", EVERY_SECONDS, self._once("export", self.keeping))],
                [Duty("evidence", 1.0, Evidence(ground.store, ground.audit, spools))],
                [
                    Duty("holds", 60.0, self._once("holds", self._steadily("holds", self.held.return_expired))),
                    Duty("sweep", 3600.0, self._steadily("sweep", self._sweep)),
                    Duty("vault-sweep", 3600.0, self._once("vault-sweep", self._steadily("vault-sweep", swept))),
                    *([Duty("openings", OPENINGS_SECONDS, confirm)] if settings.on_postgres else []),
                ],
            ]
        )

    def _resending(self) -> Resending:
        ground = self.ground
        return Resending(
            ground.store, self.records, self.keyholder, self.telling.poster, ground.audit, ground.view, ground.clock
        )

    def _carriers(self) -> dict[str, TextSender]:
        """Who carries the text messages of each clinic, one for all that have the same."""
        ground, made = self.ground, dict[tuple[str, str], TextSender]()
        for view in ground.views.values():
            if (view.sms, view.sms_url) not in made:
                made[view.sms, view.sms_url] = text_sender(vouched_notify(self.settings.notify, view))
        return {view.id: made[view.sms, view.sms_url] for view in ground.views.values()}

    def _metrics(self, spools: dict[str, SpoolReader]) -> None:
        ground, settings = self.ground, self.settings
        folders = {"spool": settings.spool.directory, "node": settings.node_directory}
        if settings.vault.url.startswith("file://"):
            folders["vault"] = Path(settings.vault.url.removeprefix("file://"))
        database = path_of(parse(settings.store.url))
        if database is not None:
            folders["store"] = database.parent
        parts = Parts(
            ground.store, spools, folders, lambda: self.life.last, ground.clock, ground.node,
            lambda: doors.read(settings.spool.directory / "in", ground.clock.now_us()),
        )  # fmt: skip
        self.figures = Figures(parts)
        self.metrics = MetricsServer(settings.metrics.listen, self.figures)

    # duties

    def _steadily(self, name: str, duty: Callable[[], object]) -> Callable[[], object]:
        """A duty that destroys what time has made old: left out while the clock is not to be believed."""

        def run() -> object:
            if self.steady():
                return duty()
            log.warning("clock:leapt", kind=name)
            return None

        return run

    def _once(self, name: str, duty: Callable[[], object]) -> Callable[[], object]:
        """The installation's duty, done by one of its workers at a time."""

        def run() -> object:
            with self.ground.store.turn(name) as mine:
                return duty() if mine else None

        return run

    def _confirm(self) -> None:
        """What a crash left between two logs. Of other processes that live, only what is too old to be under way."""
        ground, tenants = self.ground, list(self.ground.views)
        before_us = ground.clock.now_us() - UNDER_WAY_US if self.settings.on_postgres else None
        self.openings.confirm(tenants, before_us)
        finish_narrowings(ground.store, ground.rows, ground.audit, self.keyholder, tenants, ground.clock, before_us)

    def _keyholder_answers(self) -> bool:
        began = time.monotonic()
        try:
            with answering():
                self.keyholder_pulse.take_texts(0)
        except BaseException:
            self.figures.observe_keyholder(None)
            raise
        self.figures.observe_keyholder(time.monotonic() - began)
        return True

    def _text_words(self, tenant: str, code: str) -> str:
        return words.say("text.code", clinic=self.ground.view(tenant).display_name, code=code)

    def _snapshot(self) -> None:
        # What is offered before it is known whose mail it will be must be what every clinic's smarthost takes.
        known = [set(courier.extensions()) for courier in self.couriers.values()]
        extensions = dict.fromkeys(sorted(set.intersection(*known)), True)
        with self._snapshot_turn, answering():  # one at a time, so that a lower serial never replaces a higher one
            answer = self.keyholder.snapshot(self.ground.node, extensions)
            path = self.settings.snapshot_directory / "snapshot.json"
            snapshot.write(path, answer["payload"], unb64(answer["signature"]))

    def _epochs(self) -> None:
        self.epochs.refresh()
        # A key destroyed by a clock that leapt would be missing when it comes back: until then an epoch lives longer.
        if self.steady() and self.epochs.roll([self.incoming, self.outgoing]):
            self._snapshot()

    def _renew(self) -> None:
        """Snapshot and epochs by the clock as it is now: they are looked after by one thread, in this order."""
        self.upkeep.now("epochs")
        self.upkeep.now("snapshot")

    def _sweep(self) -> None:
        ground = self.ground
        before_us = ground.clock.now_us() - 86_400_000_000
        self.incoming.sweep(before_us)
        self.outgoing.sweep(before_us)
        self.deliverer.sweep(before_us)
        destroy_orphans(ground.store, self.keyholder, list(ground.views), before_us)

    # life

    def start(self) -> None:
        """Finish what a crash left half done, then take work."""
        self.ground.numbering.start()
        reopening.say(self.ground.store, self.ground.audit, self.keyholder, list(self.ground.views))
        self.keeping.guard()
        folder, own = self.settings.node_directory, self.settings.worker_directory
        back = None if restored.settled(folder, own) else restored.read(folder)
        if back is not None:
            comeback.carry_out(self.ground.store, self.keyholder, list(self.ground.views), back.keyholder_us)
        self._once("openings", self._confirm)()
        if back is not None:
            ground = self.ground
            comeback.note(
                ground.store, ground.audit, list(ground.views), back.content, back.began_us, back.logs,
                ground.clock.now_us(),
            )  # fmt: skip
            restored.settle(folder, own)
        with contextlib.suppress(TryLater):  # before anybody can open what had ended, were an older store put back
            self._once("erasing", self.erasing)()
        self._snapshot()
        self.worker.start()
        self.upkeep.start()
        self.metrics.start()

    def listen(self) -> None:
        """Take commands. Raises Misconfigured for one that the table of permissions does not name."""
        retention = RetentionOffice(
            self.ground.store, self.ground.users, self.officers, self.keyholder, self.ground.audit,
            lambda: list(self.ground.views.values()), lambda: self.upkeep.now("erasing"),
        )  # fmt: skip
        ground = self.ground
        recovering = Recovering(
            ground.store, ground.users, self.records, self.officers, self.keyholder, ground.audit, self.telling.poster,
            lambda: list(ground.views.values()), ground.clock, self.node_public,
        )  # fmt: skip
        commands = {
            **self.queue.commands(), **self.office.commands(), **retention.commands(), **recovering.commands(),
        }  # fmt: skip
        permissions.same("control command", permissions.table().control, commands)
        self.control = ControlServer(self.settings.worker_directory / "control.sock", commands)
        self.control.start()

    def stop(self) -> None:
        """What is under way ends; nothing new begins."""
        self.metrics.stop()
        self.worker.stop()
        self.upkeep.stop()
        self.life.stop()

    def close(self) -> None:
        """Let go of files and connections, after the log's last checkpoint."""
        self.ground.numbering.stop()
        self.isolated.close()
        self.copies_spool.close()
        self.incoming.close()
        self.outgoing.close()
        for courier in self.couriers.values():
            courier.close()
