"""The flows behind the pages of officers and auditors, as one part of the portal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.accounts.users import Users
from gateway.audit.log import AuditLog
from gateway.clock import Clock
from gateway.flow.officer import Officer
from gateway.flow.officer_changes import ChangeDesk
from gateway.flow.officer_held import HeldDesk
from gateway.flow.officer_report import Reports
from gateway.flow.officer_verify import Proofs
from gateway.flow.recovery_desk import RecoveryView
from gateway.flow.retention import RetentionDesk
from gateway.flow.trail import Trail
from gateway.share import Directory
from gateway.share.portal import PortalClient
from gateway.store.database import Store
from gateway.store.rows import Rows


@dataclass(frozen=True, slots=True)
class AuditSide:
    """`second_person` tells whether a tenant's policy asks for two officers: words for the page, no decision."""

    officer: Officer
    held: HeldDesk
    proofs: Proofs
    reports: Reports
    changes: ChangeDesk
    retention: RetentionDesk
    recovery: RecoveryView
    second_person: Callable[[str], bool]

    @classmethod
    def of(
        cls, *, store: Store, rows: Rows, keys: PortalClient, trail: Trail, directory: Directory, users: Users,
        audit: AuditLog, clock: Clock, second_person: Callable[[str], bool],
    ) -> AuditSide:  # fmt: skip
        """Plugged together from what every flow of the portal stands on."""
        return cls(
            Officer(store, rows, keys, trail, directory, users, clock),
            HeldDesk(store, rows, keys, trail, directory, users, clock),
            Proofs(audit, keys, trail),
            Reports(store, rows, keys, trail, directory, audit, clock),
            ChangeDesk(store, rows, keys, trail, users),
            RetentionDesk(store, rows, keys, trail, directory, users),
            RecoveryView(keys),
            second_person,
        )
