"""What the keyholder's clients share (see `keys.client`): the connection, and the calls of more than one role."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from keys.keyholder.connection import Connection


class Client:
    """Calls over one role's connection."""

    def __init__(self, connection: Connection | str | Path) -> None:
        self.connection = connection if isinstance(connection, Connection) else Connection(connection)

    def _call(self, method: str, **params: Any) -> Any:
        return self.connection.call(method, params)

    def close(self) -> None:
        """Close idle connections."""
        self.connection.close()


class LogReader(Client):
    """What operator and worker both may read."""

    def release_log(self, tenant: str, start: int = 0) -> dict[str, Any]:
        """``entries`` (base64, from `start`, as many as fit), ``size``, and a signed ``checkpoint`` of that size.

        Ask again from start + len(entries) until that is `size`. The tenant ``system`` holds what belongs to none.
        """
        return cast("dict[str, Any]", self._call("release_log", tenant=tenant, start=start))

    def vkeys(self, tenant: str) -> dict[str, str]:
        """``log_vkey``, ``release_vkey``, ``system_vkey`` (C2SP signed-note verifier keys) and ``origin``."""
        return cast("dict[str, str]", self._call("vkeys", tenant=tenant))

    def destroy_message(self, tenant: str, message: str) -> dict[str, Any]:
        """Crypto-erase: S and every R of that message are destroyed. Idempotent, with one receipt.

        ``destroyed_us``, ``final_us``, ``receipt``.
        """
        return cast("dict[str, Any]", self._call("destroy_message", tenant=tenant, message=message))


class Serving(Client):
    """What worker and portal both may ask."""

    def settings(self, tenant: str) -> dict[str, Any]:
        """``serial``, ``body``, ``signature`` over ("sealgate/settings/v1", tenant, serial, canonical(body))."""
        return cast("dict[str, Any]", self._call("settings", tenant=tenant))

    def last_checkpoint(self, log: str) -> dict[str, Any] | None:
        """``size``, ``root`` (base64), ``note`` of the last tree signed for that log; None before the first."""
        return cast("dict[str, Any] | None", self._call("last_checkpoint", log=log))

    def act_of(self, tenant: str, message: str, act: str) -> dict[str, Any]:
        """``act``, ``user`` and ``second`` of a decision that may be carried out. Denied: no-act, done, expired,
        needs-second.
        """
        return cast("dict[str, Any]", self._call("act_of", tenant=tenant, message=message, act=act))

    def decide_change(
        self, tenant: str, user: str, password: str, code: str, network: str, act: str, proposal: str
    ) -> dict[str, Any]:
        """`approve` or `withdraw` a change that waits: the proposal and ``receipt``. Password and TOTP are spent on it.

        Denied: wrong, used, too-many, busy, role, not-an-officer, not-open, same-person, bad-act.
        """
        return cast(
            "dict[str, Any]",
            self._call(
                "decide_change", tenant=tenant, user=user, password=password, code=code, network=network, act=act,
                proposal=proposal,
            ),
        )  # fmt: skip

    def officer_decision(
        self, tenant: str, user: str, password: str, code: str, network: str, act: str, message: str, reason: str
    ) -> dict[str, Any]:
        """As `officer_act`, for an officer who is not signed in: password and TOTP are spent on this one act."""
        return cast(
            "dict[str, Any]",
            self._call(
                "officer_decision", tenant=tenant, user=user, password=password, code=code, network=network, act=act,
                message=message, reason=reason,
            ),
        )  # fmt: skip
