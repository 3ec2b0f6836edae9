"""The clients' calls about recovery keys, and about what is opened with them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, cast

from keys.keyholder.wire import b64


class _Calls:
    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...


class TellsRecovery(_Calls):
    """What operator and worker both may read."""

    def recovery_state(self, tenant: str) -> dict[str, Any]:
        """``key`` (a name, ``none`` for a tenant that goes without, empty where nobody chose), ``needed`` of
        ``sheets``, ``confirmed`` (numbers of sheets), ``set_us``, ``opened_us``, ``waiting`` (a proposal or None),
        ``messages``.
        """
        return cast("dict[str, Any]", self._call("recovery_state", tenant=tenant))


class SetsRecovery(TellsRecovery):
    """Part of the operator's client."""

    def propose_recovery(self, tenant: str, public: bytes, needed: int, checks: Sequence[str]) -> dict[str, Any]:
        """Ask for a recovery key, or with an empty `public` for going without one: ``key``, ``waiting``, and if so
        ``proposal``. Denied: bad-key, same-key, no-tenant.
        """
        return cast(
            "dict[str, Any]",
            self._call("propose_recovery", tenant=tenant, public=b64(public), needed=needed, checks=list(checks)),
        )


class DecidesRecovery(_Calls):
    """What worker and portal both may ask: an act proved by password and code."""

    def recover(
        self, tenant: str, user: str, password: str, code: str, network: str, *, act: str, messages: Sequence[str],
        link: str = "", reason: str,
    ) -> dict[str, Any]:  # fmt: skip
        """As `RecoveryDesk.recover_as`, by an officer who is not signed in: password and TOTP are spent on it."""
        return cast(
            "dict[str, Any]",
            self._call(
                "recover", tenant=tenant, user=user, password=password, code=code, network=network, act=act,
                messages=list(messages), link=link, reason=reason,
            ),
        )  # fmt: skip


class RecoveryDesk(DecidesRecovery):
    """Part of the portal's client."""

    def recovery(self, session: str, tenant: str) -> dict[str, Any]:
        """As `TellsRecovery.recovery_state`, for officers, administrators and auditors. Denied: no-session, role."""
        return cast("dict[str, Any]", self._call("recovery", session=session, tenant=tenant))

    def recover_as(
        self, session: str, totp: str, *, act: str, messages: Sequence[str], link: str = "", reason: str
    ) -> dict[str, Any]:
        """One act: ``id``, ``complete`` (False while a second officer is wanted), ``expires_us``, ``receipt``.

        `act` is ``recover``, or ``relink`` with the `link` that is replaced. Denied: no-session, not-an-officer,
        bad-act, unknown, no-recovery, destroyed, not-live, same-person, or what became of the code.
        """
        return cast(
            "dict[str, Any]",
            self._call(
                "recover_as", session=session, totp=totp, act=act, messages=list(messages), link=link, reason=reason
            ),
        )


class OpensRecovery(DecidesRecovery, TellsRecovery):
    """Part of the worker's client."""

    def recovery_key(self, tenant: str) -> dict[str, Any] | None:
        """What new messages are sealed to besides: None, or ``id``, ``suite``, ``public`` and ``signature`` over
        ("sealgate/recovery-key/v1", tenant, id, suite, public).
        """
        return cast("dict[str, Any] | None", self._call("recovery_key", tenant=tenant)["key"])

    def recovery_confirm(self, tenant: str, checks: Sequence[str]) -> dict[str, Any]:
        """``confirmed``: numbers of the sheets whose check values (hexadecimal) were read.

        Denied: no-recovery, differs.
        """
        return cast("dict[str, Any]", self._call("recovery_confirm", tenant=tenant, checks=list(checks)))

    def recovery_proved(self, tenant: str, key: str, message: str) -> dict[str, Any]:
        """Note that this message was opened elsewhere with that key: ``receipt``. Denied: no-recovery, differs."""
        return cast("dict[str, Any]", self._call("recovery_proved", tenant=tenant, key=key, message=message))

    def recovery_release(self, tenant: str, act: str, message: str) -> dict[str, Any]:
        """What an act opens of one of its messages: ``grant``, ``shares`` and ``receipts`` by object, ``meta``,
        ``user``, ``second``, ``proof``. Denied: no-act, expired, needs-second, unknown, no-recovery, destroyed,
        not-live.
        """
        return cast("dict[str, Any]", self._call("recovery_release", tenant=tenant, act=act, message=message))

    def recovery_relink(self, tenant: str, act: str, grant: str) -> dict[str, Any]:
        """A new link beside the act's, which the worker then ends: ``old``, ``message``, ``person``, ``floor``,
        ``expires_us``, ``user``, ``receipt``. Denied: no-act, expired, needs-second, taken, not-live.
        """
        return cast("dict[str, Any]", self._call("recovery_relink", tenant=tenant, act=act, grant=grant))
