"""The portal's side of the plugging: flows behind the pages, the pages, and the server."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from gateway.bootstrap.ground import Ground
from gateway.flow.desk import StaffDesk
from gateway.flow.download import Downloads
from gateway.flow.inbox import InboxDesk
from gateway.flow.people import PeopleDesk
from gateway.flow.recall_report import RecallReports
from gateway.flow.resending import ResendDesk
from gateway.flow.running import Running
from gateway.flow.sent import SentMail
from gateway.flow.trail import Trail
from gateway.flow.visit import Visits
from gateway.flow.ways import Ways
from gateway.portal import app as portal_app
from gateway.portal import server as portal_server
from gateway.portal.audit_side import AuditSide
from gateway.portal.face import Face
from keys.client import PortalClient


class PortalSide:
    """Everything that a portal process adds to the ground. `ready` says whether it could serve now."""

    def __init__(self, ground: Ground, keyholder: PortalClient, ready: Callable[[], bool]) -> None:
        self.settings = ground.settings
        store, rows, clock = ground.store, ground.rows, ground.clock
        running = Running()
        trail = Trail(store, ground.audit, ground.ring, clock)
        self.visits = Visits(store, rows, keyholder, trail, ground.directory, clock)
        mail = SentMail(store, rows, keyholder, trail, ground.directory, clock)
        self.app = portal_app.create(
            portal_app.PortalDeps(
                faces=[
                    Face(
                        view.id,
                        view.display_name,
                        view.phone,
                        view.public_url,
                        view.timezone,
                        server=view.smarthost.host,
                    )
                    for view in ground.views.values()
                ],
                visits=self.visits,
                downloads=Downloads(store, rows, ground.vault, keyholder, trail, clock, running),
                mail=mail,
                people=PeopleDesk(store, rows, keyholder, trail, ground.people, ground.directory, clock),
                recalls=RecallReports(store, rows, keyholder, trail, ground.directory, mail),
                desk=StaffDesk(store, rows, keyholder, trail, ground.users, mail, clock, running),
                ways=Ways(keyholder, trail, self.visits),
                resends=ResendDesk(store, rows, keyholder, trail, ground.directory, ground.people, mail, clock),
                inboxes=InboxDesk(store, rows, keyholder, trail, ground.people, clock),
                audit=AuditSide.of(
                    store=store,
                    rows=rows,
                    keys=keyholder,
                    trail=trail,
                    directory=ground.directory,
                    users=ground.users,
                    audit=ground.audit,
                    clock=clock,
                    second_person=lambda tenant: ground.view(tenant).policy.second_person,
                ),
                clock=clock,
                ready=ready,
                room=lambda: ground.room is None or ground.room.whole,
                trusted_proxies=self.settings.portal.trusted_proxies,
                demo=os.environ.get("SEALGATE_TEST_DEMO") == "1",
            )
        )

    def start(self, descriptors: Sequence[int] = ()) -> list[int]:
        """Serve, on sockets handed over or bound here; the ports."""
        portal = self.settings.portal
        listen = [portal_server.Listen(one.host, one.port) for one in portal.listen]
        self.server = portal_server.start(
            self.app,
            listen,
            cert_file=portal.tls_cert_file,
            key_file=portal.tls_key_file,
            descriptors=descriptors,
            proxies=portal.trusted_proxies,
        )
        return self.server.ports

    def reload(self) -> None:
        """Read the certificate again."""
        self.server.reload_certificate()

    def stop(self) -> None:
        """Close the doors."""
        self.server.stop()
        self.visits.close()
