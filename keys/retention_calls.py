"""The clients' calls about the life of mail: holds, erasures, certificates."""

from __future__ import annotations

import base64
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast


class Disposes:
    """What worker and portal both may ask: a decision proved by password and code."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def dispose(
        self, tenant: str, user: str, password: str, code: str, network: str, *, act: str, object: str,
        from_us: int | None = None, until_us: int | None = None, reason: str,
    ) -> dict[str, Any]:  # fmt: skip
        """As `RetentionDesk.dispose_as`, by an officer who is not signed in: password and TOTP are spent on it."""
        return cast(
            "dict[str, Any]",
            self._call(
                "dispose", tenant=tenant, user=user, password=password, code=code, network=network, act=act,
                object=object, from_us=from_us, until_us=until_us, reason=reason,
            ),
        )  # fmt: skip


class RetiresNodes:
    """Part of the operator's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def last_checkpoint(self, log: str) -> dict[str, Any] | None:
        """``size``, ``root`` (base64), ``note`` of the last tree signed for that log; None before the first."""
        return cast("dict[str, Any] | None", self._call("last_checkpoint", log=log))

    def new_origin(self, log: str, size: int, root: bytes, reason: str) -> dict[str, Any]:
        """Have a log of which more was signed than these `size` entries go on under a new origin: ``origin``, ``size``,
        ``note``, ``reason``. Denied: not-behind, bad-reason.
        """
        encoded = base64.b64encode(root).decode()
        return cast("dict[str, Any]", self._call("new_origin", log=log, size=size, root=encoded, reason=reason))

    def retire_node(self, node: str) -> dict[str, Any]:
        """Destroy its spool's keys for good: ``epochs`` (how many), ``report`` (signed). Denied: no-node, running."""
        return cast("dict[str, Any]", self._call("retire_node", node=node))


class RetentionDesk(Disposes):
    """Part of the portal's client."""

    def dispose_as(
        self, session: str, totp: str, *, act: str, object: str, from_us: int | None = None,
        until_us: int | None = None, reason: str,
    ) -> dict[str, Any]:  # fmt: skip
        """One decision: ``id``, ``complete`` (False while a second person is wanted), ``done``, ``confirmed``,
        ``receipt``.

        `act` is hold-message, hold-person, hold-tenant, hold-period, lift, erase-link, erase-message, erase-person,
        erase-tenant, shorten or certify; `object` what it is done to. Denied: no-session, not-an-officer, bad-act,
        unknown, destroyed, not-destroyed, on-hold, not-on-hold, held, wider, same-person, or what became of the code.
        """
        return cast(
            "dict[str, Any]",
            self._call(
                "dispose_as", session=session, totp=totp, act=act, object=object, from_us=from_us, until_us=until_us,
                reason=reason,
            ),
        )  # fmt: skip

    def retention(self, session: str, tenant: str) -> dict[str, Any]:
        """``holds``, ``lifted``, ``waiting``, ``done``, ``kept``, ``second``, for officers and auditors."""
        return cast("dict[str, Any]", self._call("retention", session=session, tenant=tenant))

    def certificate(self, session: str, id: str) -> dict[str, Any]:
        """One decision with the signed ``text`` of its certificate. Denied: no-session, role, unknown."""
        return cast("dict[str, Any]", self._call("certificate", session=session, id=id))

    def retention_state(self, session: str, message: str) -> dict[str, Any]:
        """Of one message: ``holds``, ``destroyed_us``, ``final_us``, ``owed_us``, ``certificate``."""
        return cast("dict[str, Any]", self._call("retention_state", session=session, message=message))


class FollowsEnds(Disposes):
    """Part of the worker's client."""

    def reopened(self, log: str) -> dict[str, Any] | None:
        """Where a log went on after a gap: ``origin``, ``size`` (entries that were left), ``note`` (the last head of
        the origin before), ``reason``; None for a log that has its first origin.
        """
        return cast("dict[str, Any] | None", self._call("reopened", log=log))

    def dispose_more(self, tenant: str) -> bool:
        """Go on with what was decided and is not done, one batch; whether there may be more."""
        return bool(self._call("dispose_more", tenant=tenant))

    def ended(self, tenant: str, start: int) -> dict[str, Any]:
        """What was destroyed, closed, held and certified, from that place in the release log on: ``entries``,
        ``next``, ``size``, ``before``, ``mark``.
        """
        return cast("dict[str, Any]", self._call("ended", tenant=tenant, start=start))

    def alive(self, tenant: str, messages: Sequence[str]) -> list[str]:
        """Those of up to 1,000 messages whose share is there."""
        return cast("list[str]", self._call("alive", tenant=tenant, messages=list(messages)))

    def retention_of(self, tenant: str) -> dict[str, Any]:
        """``holds`` in force and ``disposals`` with the ``text`` of their certificates, without any reason."""
        return cast("dict[str, Any]", self._call("retention_of", tenant=tenant))
