"""The portal's calls about passkeys and recovery codes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, cast

from keys.keyholder.answers import Session
from keys.keyholder.wire import b64


class UsesPasskeys:
    """Part of the portal's client.

    What is *asked* for is ``challenge``, ``rp_id``, ``credentials``, ``user`` and ``prf_salt`` for the browser
    (base64url), and ``ticket`` (base64), which comes back with the answer. An *answer* is what the browser gave as
    JSON: ``id`` and ``response``; client extension results, and with them any PRF output, are left out by the caller.
    """

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def passkey_ask(self, grant: str, visitor: str) -> dict[str, Any]:
        """A challenge for opening this message in this browser. Denied: no-passkey, too-many, or the grant's state."""
        return cast("dict[str, Any]", self._call("passkey_ask", grant=grant, visitor=visitor))

    def passkey_open(self, grant: str, visitor: str, ticket: bytes, answer: Mapping[str, Any]) -> Session:
        """A session at level 3. Denied: wrong, expired, used, cloned, too-new, too-many, or the grant's state."""
        return cast(
            "Session",
            self._call("passkey_open", grant=grant, visitor=visitor, ticket=b64(ticket), answer=dict(answer)),
        )

    def passkey_begin(self, session: str) -> dict[str, Any]:
        """A challenge for a new passkey; ``credentials`` are those to be left out. Denied: stale, enough, no-host."""
        return cast("dict[str, Any]", self._call("passkey_begin", session=session))

    def passkey_enrol(self, session: str, ticket: bytes, answer: Mapping[str, Any], name: str) -> dict[str, str]:
        """``passkey``: id of the one that was made. Denied: wrong, expired, used, taken, stale, enough."""
        return cast(
            "dict[str, str]",
            self._call("passkey_enrol", session=session, ticket=b64(ticket), answer=dict(answer), name=name),
        )

    def passkeys(self, session: str) -> dict[str, Any]:
        """``passkeys`` (id, name, made_us, used_us, wide_from_us), ``apps`` and ``codes`` (counts), ``more`` (bool)."""
        return cast("dict[str, Any]", self._call("passkeys", session=session))

    def passkey_remove(self, session: str, passkey: str) -> None:
        """Denied: unknown, last-factor, stale."""
        self._call("passkey_remove", session=session, passkey=passkey)

    def recovery_codes(self, session: str) -> list[str]:
        """Ten new codes of sixteen letters; older ones are void. Denied: no-factor, stale."""
        return cast("list[str]", self._call("recovery_codes", session=session)["codes"])

    def factors_lost(self, session: str) -> int:
        """End what was set up before this session, which began with a recovery code. Denied: not-recovered, stale."""
        return cast("int", self._call("factors_lost", session=session)["ended"])

    def staff_passkey_ask(self, tenant: str, visitor: str) -> dict[str, Any]:
        """A challenge for signing in; it names nobody."""
        return cast("dict[str, Any]", self._call("staff_passkey_ask", tenant=tenant, visitor=visitor))

    def staff_passkey_login(
        self,
        tenant: str,
        user: str,
        password: str,
        network: str,
        visitor: str,
        ticket: bytes,
        answer: Mapping[str, Any],
    ) -> Session:
        """A staff session for password and passkey. Denied: wrong (whatever was), expired, too-many, busy, closed."""
        return cast(
            "Session",
            self._call(
                "staff_passkey_login", tenant=tenant, user=user, password=password, network=network, visitor=visitor,
                ticket=b64(ticket), answer=dict(answer),
            ),
        )  # fmt: skip

    def staff_passkey_begin(self, session: str) -> dict[str, Any]:
        """A challenge for a workforce member's new passkey. Denied: not-staff, enough, no-host."""
        return cast("dict[str, Any]", self._call("staff_passkey_begin", session=session))

    def staff_passkey_enrol(
        self, session: str, totp: str, ticket: bytes, answer: Mapping[str, Any], name: str
    ) -> dict[str, str]:
        """``passkey``, proved by a code spent on it. Denied: what became of the code, and as `passkey_enrol`."""
        return cast(
            "dict[str, str]",
            self._call(
                "staff_passkey_enrol", session=session, totp=totp, ticket=b64(ticket), answer=dict(answer), name=name
            ),
        )

    def staff_passkey_remove(self, session: str, totp: str, passkey: str) -> None:
        """Denied: unknown, or what became of the code."""
        self._call("staff_passkey_remove", session=session, totp=totp, passkey=passkey)
