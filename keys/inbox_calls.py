"""The portal client's calls about inboxes: one begins, is opened, changes its lock, ends."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, cast

from keys.keyholder.answers import InboxSession
from keys.keyholder.wire import b64


class KeepsInboxes:
    """Part of the portal's client."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def inbox_begin(self, session: str, public: bytes) -> dict[str, str]:
        """``inbox``, ``lock`` and ``pepper`` (base64) of one that is not in force yet.

        Denied: no-session, not-a-recipient, proof-too-low, stale, no-factor.
        """
        return cast("dict[str, str]", self._call("inbox_begin", session=session, public=b64(public)))

    def inbox_confirm(self, session: str, inbox: str) -> dict[str, Any]:
        """``signature`` of the public key and ``opens_us``; an earlier inbox of the person ends. Denied: none-begun."""
        return cast("dict[str, Any]", self._call("inbox_confirm", session=session, inbox=inbox))

    def inbox_state(self, session: str) -> dict[str, Any]:
        """``inbox`` or None, ``opens_us``, ``made_us``, ``factor``: whether the person has a code app."""
        return cast("dict[str, Any]", self._call("inbox_state", session=session))

    def inbox_enter(self, tenant: str, person: str, code: str, network: str) -> dict[str, str]:
        """``ask``, ``inbox``, ``lock``, ``pepper``, ``box`` for a code app's code. Denied: wrong, too-new, too-many."""
        return cast(
            "dict[str, str]", self._call("inbox_enter", tenant=tenant, person=person, code=code, network=network)
        )

    def inbox_open(self, ask: str, answer: bytes) -> InboxSession:
        """A session for what lay in the box. Denied("wrong")."""
        return cast("InboxSession", self._call("inbox_open", ask=ask, answer=b64(answer)))

    def inbox_session(self, handle: str) -> InboxSession:
        """The live session of an inbox. Denied("no-session")."""
        return cast("InboxSession", self._call("inbox_session", handle=handle))

    def inbox_messages(self, session: str) -> dict[str, Any]:
        """``messages`` (grant, message, state, expires_us), newest first, 200 at most; ``more``. Denied: no-inbox."""
        return cast("dict[str, Any]", self._call("inbox_messages", session=session))

    def inbox_lock_begin(self, session: str, code: str) -> dict[str, str]:
        """``inbox``, ``lock`` and ``pepper`` for another passphrase, with a code spent on it. Denied: wrong, used,
        too-many, no-inbox.
        """
        return cast("dict[str, str]", self._call("inbox_lock_begin", session=session, code=code))

    def inbox_lock_confirm(self, session: str, lock: str) -> None:
        """That lock counts from now on, and the one before is void. Denied: none-begun."""
        self._call("inbox_lock_confirm", session=session, lock=lock)

    def inbox_close(self, session: str) -> str | None:
        """End the person's inbox; its id, or None where there was none. Denied: as `inbox_begin`."""
        return cast("str | None", self._call("inbox_close", session=session))
