"""The parts of a worker: spool, detection, sealing, delivery, held mail, and the commands' side of them."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta

from gateway import words
from gateway.accounts.inboxes import Inboxes
from gateway.actions.bounce import Returner
from gateway.actions.copies import Copies
from gateway.actions.signing import Signer, chosen
from gateway.audit.sequencer import Sequencer
from gateway.bootstrap.ground import Ground
from gateway.bootstrap.telling import Telling, reader, return_path, thread
from gateway.courier.port import Courier
from gateway.courier.smtp import SmtpCourier
from gateway.errors import TryLater
from gateway.flow.begun import Begun
from gateway.flow.delivery import Deliverer, Pauses
from gateway.flow.epochs import Epochs
from gateway.flow.held import Held
from gateway.flow.isolate import Isolated
from gateway.flow.office import Office
from gateway.flow.outbound import Outbound
from gateway.flow.queue import Queue
from gateway.flow.records import Records
from gateway.flow.recovery_keys import RecoveryKeys
from gateway.flow.returns import Returns
from gateway.flow.settle import Openings
from gateway.flow.treat import Treatment
from gateway.flow.worker import Worker
from gateway.nodes import NODE_KEY
from gateway.scan import scanner
from gateway.share import answering
from gateway.spool import layout, nodekey
from gateway.spool.reader import SpoolReader
from gateway.spool.writer import SpoolWriter
from gateway.vouched import vouched_courier
from keys.client import PortalClient, WorkerClient, unb64
from keys.signing import SigningKey, verify_signature
from keys.steady import Steady

HOUR_US = 3_600_000_000


class WorkerParts:
    """The parts by which mail goes its way; who looks after them is `WorkerSide`."""

    def __init__(self, ground: Ground, keyholder: WorkerClient, officers: PortalClient | WorkerClient) -> None:
        self.ground = ground
        self.settings = settings = ground.settings
        self.keyholder = keyholder
        self.steady = Steady()
        self.sequencer = Sequencer(ground.audit, self.keyholder, ground.numbering.run_once)
        self._spools(nodekey.load(settings.worker_directory / NODE_KEY))
        self._mail()
        self._office(officers)

    @abstractmethod
    def _snapshot(self) -> None:
        """Have the doors told anew what they may do."""

    def _spools(self, key: SigningKey) -> None:
        ground, clock = self.ground, self.ground.clock
        self.epochs = Epochs(self.keyholder, ground.node, ground.pinned, clock)
        self.epochs.refresh()
        public, spool = self._node_keys(), self.settings.spool.directory
        self.node_public = key.public
        self.incoming, self.outgoing = (
            SpoolReader(
                spool / direction, ground.node, public, self.epochs.open_box, direction=direction, signing_key=key
            )
            for direction in ("in", "out")
        )
        self.copies_spool = SpoolWriter(spool / "out", ground.node, key, "out", self.epochs.public, clock=clock)

    def _node_keys(self) -> dict[str, bytes]:
        ground = self.ground
        with answering():
            found = self.keyholder.node_keys(ground.node)
        public = {role: unb64(row["public"]) for role, row in found.items()}
        for role, row in found.items():
            verify_signature(
                ground.pinned, unb64(row["signature"]), "sealgate/node-key/v1", ground.node, role, public[role]
            )
        return public

    def _mail(self) -> None:
        ground, settings, clock, view = self.ground, self.settings, self.ground.clock, self.ground.view
        english = words.language("en")
        copies = Copies(
            self.copies_spool, clock, english, view, self._checkpoint, ground.node, thread(ground), reader(ground),
            self._signer(),
        )  # fmt: skip
        self.records = Records(ground.rows, ground.directory, ground.audit, ground.node)
        self.couriers: dict[str, Courier] = {
            view.id: SmtpCourier(vouched_courier(ground.own(view).courier, view), settings.smtp.hostname)
            for view in ground.views.values()
        }
        treatment = Treatment(
            ground.vault, self.keyholder, ground.store, ground.people, self.records, copies, clock,
            RecoveryKeys(self.keyholder, ground.pinned), Inboxes(ground.rows, ground.pinned),
        )  # fmt: skip
        worker = settings.worker
        self.returner = Returner(copies, view, clock)
        self.deliverer = Deliverer(
            ground.store,
            self.records,
            {"in": self.incoming, "out": self.outgoing},
            self.couriers.__getitem__,
            self.returner,
            clock,
            Pauses(
                timedelta(seconds=worker.retry_first_seconds),
                timedelta(seconds=worker.retry_most_seconds),
                timedelta(hours=worker.give_up_hours),
                timedelta(seconds=settings.courier.delay_notice_seconds) or None,
            ),
            worker.delivery_threads,
            copies.top,
            return_path(ground),
            self.steady,
        )
        self.telling = Telling(
            ground, self.keyholder, self.records, copies, self.deliverer, self._checkpoint, self._snapshot
        )
        self.openings = Openings(ground.store, ground.rows, ground.audit, self.keyholder)
        self.isolated = Isolated(children=worker.parsers, message_seconds=float(worker.parse_seconds), spare=True)
        self._scanner = scanner(
            settings.scan.clamd, max_bytes=settings.scan.max_bytes, timeout_seconds=settings.scan.timeout_seconds
        )
        self.outbound = Outbound(
            begun=Begun(settings.spool.directory / "in" / layout.MARKS / "begun"),
            store=ground.store,
            records=self.records,
            users=ground.users,
            directory=ground.directory,
            spool=self.incoming,
            isolated=self.isolated,
            treatment=treatment,
            deliverer=self.deliverer,
            tenants=view,
            clock=clock,
            words=english,
            scanner=self._scanner,
            scan_seconds=float(settings.scan.timeout_seconds),
            answers=self.telling.answers,
            returns=Returns(
                ground.store, self.records, self.returner, clock, self.telling.poster, self.telling.audience
            ),
        )
        self.worker = Worker(self.incoming, self.outbound, self.deliverer, ground.store, worker.threads)
        self.held = Held(
            store=ground.store,
            records=self.records,
            vault=ground.vault,
            keyholder=self.keyholder,
            outbound=self.outbound,
            returner=self.returner,
            deliverer=self.deliverer,
            tenants=view,
            clock=clock,
        )

    def _signer(self) -> Signer:
        """The mail keys of every clinic that signs; they stay in this process's memory."""
        keys = {}
        for view in self.ground.views.values():
            wanted = self.ground.own(view).dkim.selectors
            if wanted:
                with answering():
                    held = self.keyholder.dkim_keys(view.id)
                keys[view.id] = chosen(view.id, wanted, [(one["selector"], unb64(one["private"])) for one in held])
        return Signer(keys, self.ground.clock.now_us)

    def _checkpoint(self, tenant: str) -> str:
        """The log's head for a notice; empty while nothing was signed yet, which is the first second of a log."""
        try:
            return self.sequencer.deposit(tenant)
        except TryLater:
            return ""

    def _office(self, officers: PortalClient | WorkerClient) -> None:
        ground = self.ground
        self.office = Office(
            store=ground.store,
            records=self.records,
            people=ground.people,
            users=ground.users,
            held=self.held,
            officers=officers,
            audit=ground.audit,
            sequencer=self.sequencer,
            tenants=lambda: list(ground.views.values()),
            clock=ground.clock,
            refresh=self._snapshot,
        )
        self.queue = Queue(
            store=ground.store,
            records=self.records,
            held=self.held,
            audit=ground.audit,
            deliverer=self.deliverer,
            spools={"in": self.incoming, "out": self.outgoing},
            tenants=lambda: list(ground.views.values()),
            give_up_us=self.settings.worker.give_up_hours * HOUR_US,
            clock=ground.clock,
        )
