"""The clients' calls about sending again without the sender."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast


class AsksToResend:
    """Part of the portal's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def resend_act(self, session: str, totp: str, message: str, person: str, reason: str) -> dict[str, Any]:
        """``act``, ``complete``, ``receipt`` of a recorded act for that person.

        Denied: not-your-message, not-staff, no-staff-grant, not-allowed, or what became of the code.
        """
        return cast(
            "dict[str, Any]",
            self._call("resend_act", session=session, totp=totp, message=message, person=person, reason=reason),
        )

    def may_resend(self, session: str, message: str) -> bool:
        """Whether this session could ask for it now."""
        return bool(self._call("may_resend", session=session, message=message))


class Resends:
    """Part of the worker's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def staff_link(self, tenant: str, message: str, act: str, grant: str) -> dict[str, Any]:
        """For the new link `grant` of an act: ``person``, ``user``, ``expires_us``, ``staff``, ``secret`` (R) and
        ``receipt``; the same again for the same `grant`.
        """
        return cast("dict[str, Any]", self._call("staff_link", tenant=tenant, message=message, act=act, grant=grant))
