"""The plugging of what senders and recipients hear: notices by the clock, tellings, recall by answer."""

from __future__ import annotations

from collections.abc import Callable

from gateway import words
from gateway.actions.copies import Copies
from gateway.actions.tenants import TenantView
from gateway.bootstrap.ground import Ground
from gateway.flow import threads
from gateway.flow.answers import Answers
from gateway.flow.audience import Audience
from gateway.flow.delivery import Deliverer
from gateway.flow.digest import Digest
from gateway.flow.posting import Poster
from gateway.flow.records import Records
from gateway.flow.reminders import Reminders
from gateway.flow.returns import ReturnPaths
from gateway.flow.tellings import Tellings
from gateway.flow.upkeep import Duty
from gateway.mail.address import routed
from keys.client import WorkerClient

Wrapped = Callable[[str, Callable[[], object]], Callable[[], object]]


def audience(ground: Ground) -> Audience:
    """Who reads for whom, from the settings of each clinic."""
    owners, unattended, devices = {}, {}, {}
    for view in ground.views.values():
        notify = ground.own(view).notify
        owners[view.id] = notify.owner
        unattended[view.id] = frozenset(address.lower() for address in notify.unattended)
        devices[view.id] = {sender: one.owner for one in view.devices.values() for sender in one.senders if one.owner}
    return Audience(owners, unattended, devices)


def thread(ground: Ground) -> Callable[[TenantView, str, str], str]:
    """Message-IDs of notices, which a RECALL by answer is known from."""

    def made(view: TenantView, about: str, to: str) -> str:
        return threads.message_id(ground.directory, view.id, view.host, about, to)

    return made


def return_path(ground: Ground) -> Callable[[str, str], str]:
    """The return path of a delivery's notice, at clinics where mail for the portal's host comes to this gateway."""
    paths = ReturnPaths(ground.directory)
    on = {view.id: view for view in ground.views.values() if ground.own(view).portal.return_path}
    return lambda tenant, delivery: paths.address(on[tenant], delivery) if tenant in on else ""


def reader(ground: Ground) -> Callable[[TenantView, str], str]:
    """Whose inbox a notice that must go somewhere goes to: nobody's further way, but who looks after that domain's mail
    (RFC 5321 4.5.1).
    """
    found = audience(ground)

    def read_by(view: TenantView, sender: str) -> str:
        itself = f"postmaster@{sender.rpartition('@')[2]}" if routed(sender) else sender
        return found.of(view, sender) or itself

    return read_by


class Telling:
    """The duties, and what obeys RECALL."""

    def __init__(
        self, ground: Ground, keyholder: WorkerClient, records: Records, copies: Copies, deliverer: Deliverer,
        checkpoint: Callable[[str], str], renew: Callable[[], None],
    ) -> None:  # fmt: skip
        english, heard = words.language("en"), audience(ground)
        store, clock = ground.store, ground.clock
        self.audience = heard
        self.poster = poster = Poster(copies, records, deliverer, clock, english, checkpoint)

        def tenants() -> list[TenantView]:
            return list(ground.views.values())

        self.answers = Answers(store, records, keyholder, poster, heard, clock, english)
        self.reminders = Reminders(store, records, keyholder, poster, heard, tenants, clock)
        self.digest = Digest(store, records, keyholder, poster, heard, tenants, clock, english)
        self.tellings = Tellings(store, records, keyholder, poster, heard, ground.view, clock, renew)

    def duties(self, once: Wrapped, steadily: Wrapped) -> list[list[Duty]]:
        """What to do how often; `once` has one of several workers do it, `steadily` by a clock that is believed."""
        return [
            [Duty("tellings", 1.0, once("tellings", self.tellings))],
            [
                Duty("reminders", 60.0, once("reminders", steadily("reminders", self.reminders))),
                Duty("digest", 60.0, once("digest", self.digest)),
            ],
        ]
