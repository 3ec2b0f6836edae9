"""Typed clients of the keyholder: one class per role, one method per call, over that role's Unix socket, or
by mutual TLS from another machine.

Promises: a call returns what the keyholder committed, raises `Denied` with its reason, or raises `Unavailable`; nothing
is repeated by itself, because after a broken connection nobody knows whether a one-time code was spent. Arguments that
are key material or tokens are bytes; in answers, which are as on the wire, bytes are base64 text (`unb64`).
Which role may call what is decided by the keyholder from socket and peer uid, or certificate, never here. DESIGN §2,
§4, §4b.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from keys.calling import LogReader, Serving
from keys.inbox_calls import KeepsInboxes
from keys.keyholder.answers import Receipt, Released, Session
from keys.keyholder.authority_calls import AdmitsMachines
from keys.keyholder.backup_calls import MakesBackups
from keys.keyholder.connection import Connection, Distant
from keys.keyholder.incident_calls import LooksBack
from keys.keyholder.mailkey_calls import MakesMailKeys, SignsMail
from keys.keyholder.offers import Deposit, DepositGrant, DepositObject
from keys.keyholder.passkey_calls import UsesPasskeys
from keys.keyholder.rotation_calls import TurnsRootKey
from keys.keyholder.wire import b64, unb64
from keys.recovery_calls import OpensRecovery, RecoveryDesk, SetsRecovery
from keys.resend_calls import AsksToResend, Resends
from keys.retention_calls import FollowsEnds, RetentionDesk, RetiresNodes

__all__ = [
    "Connection", "Deposit", "DepositGrant", "DepositObject", "Distant", "OperatorClient", "PortalClient", "Receipt",
    "Released", "Session", "WorkerClient", "b64", "unb64",
]  # fmt: skip

_BATCH_BYTES = 600_000


class OperatorClient(
    LogReader, MakesMailKeys, MakesBackups, TurnsRootKey, RetiresNodes, AdmitsMachines, LooksBack, SetsRecovery
):
    """Set-up, user and people records, destruction."""

    def status(self) -> dict[str, Any]:
        """``public_key``, ``kek``, ``counts``, ``nodes``, and ``tenants``: id → name, origin, officer_seen, waiting,
        closed_us.
        """
        return cast("dict[str, Any]", self._call("status"))

    def create_tenant(self, tenant: str, name: str, origin: str) -> dict[str, str]:
        """Make a tenant's keys and logs; same as `vkeys`. Idempotent; Denied("differs") for another name or origin."""
        return cast("dict[str, str]", self._call("create_tenant", tenant=tenant, name=name, origin=origin))

    def register_node(self, node: str, role: str, public: bytes) -> dict[str, str]:
        """Register the public half of a node key (role smtp or worker). Idempotent; Denied("differs") for another."""
        return cast("dict[str, str]", self._call("register_node", node=node, role=role, public=b64(public)))

    def put_settings(self, tenant: str, body: Mapping[str, Any], *, begin: bool = True) -> dict[str, Any]:
        """Have a tenant's settings signed: ``serial``, ``signature``, ``waiting``, and if so ``proposal``.

        After the tenant's first officer has signed in a change only waits; serial and signature are the old ones'. One
        that was approved counts when it is put with `begin`, as the gateway's start does. Denied("shared").
        """
        return cast("dict[str, Any]", self._call("put_settings", tenant=tenant, body=dict(body), begin=begin))

    def waiting(self, tenant: str) -> list[dict[str, Any]]:
        """Changes that wait: id, kind, object, maker, made_us, due_us, approved, approvals, keys (what differs)."""
        return cast("list[dict[str, Any]]", self._call("waiting", tenant=tenant))

    def propose_state(self, tenant: str, state: str) -> dict[str, Any]:
        """Ask for a clinic to be ``closed`` or ``open``: ``closed``, ``waiting``, and if so ``proposal``."""
        return cast("dict[str, Any]", self._call("propose_state", tenant=tenant, state=state))

    def add_user(self, tenant: str, user: str, role: str, password: str, *, name: str = "") -> dict[str, Any]:
        """A workforce member with a password (8 characters at least) and a fresh TOTP: ``totp_uri``, shown once, and
        ``waiting``: None, or the proposal that must count first.
        """
        return cast(
            "dict[str, Any]",
            self._call("add_user", tenant=tenant, user=user, role=role, password=password, name=name),
        )

    def set_password(self, tenant: str, user: str, password: str) -> None:
        """Replace the password; the user's sessions end."""
        self._call("set_password", tenant=tenant, user=user, password=password)

    def disable_user(self, tenant: str, user: str) -> None:
        """End the user's sessions and app passwords and refuse any sign-in. Idempotent."""
        self._call("disable_user", tenant=tenant, user=user)

    def app_password(self, tenant: str, user: str, username: str) -> dict[str, str]:
        """``password`` for submission under `username`, generated and shown once; the next snapshot carries it."""
        return cast("dict[str, str]", self._call("app_password", tenant=tenant, user=user, username=username))

    def register_person(self, tenant: str, person: str, phone: str | None) -> None:
        """A recipient and the phone number (E.164) the clinic had before; None leaves it as it is, "" removes it."""
        self._call("register_person", tenant=tenant, person=person, phone=phone)

    def expire(self) -> dict[str, int]:
        """Destroy the day keys whose day and grace have passed: ``day_keys``, ``shares``, ``sessions``."""
        return cast("dict[str, int]", self._call("expire"))


class WorkerClient(LogReader, Serving, SignsMail, FollowsEnds, OpensRecovery, Resends):
    """Deposits, epochs, snapshot, checkpoints, texts to send, and what an officer approved."""

    def keys(self, node: str) -> dict[str, Any]:
        """``tenants`` (id → directory, index, row_mac, log_value: base64 keys) and the keyholder's ``public_key``."""
        return cast("dict[str, Any]", self._call("keys", node=node))

    def node_keys(self, node: str) -> dict[str, Any]:
        """Role → ``public``, ``signature`` over ("sealgate/node-key/v1", node, role, public)."""
        return cast("dict[str, Any]", self._call("node_keys", node=node))

    def epochs(self, node: str) -> list[dict[str, Any]]:
        """All undestroyed epoch keys of that node, current and next included: epoch, public, private, signature.

        The signature is over ("sealgate/epoch/v1", node, epoch, public).
        """
        return cast("list[dict[str, Any]]", self._call("epochs", node=node))

    def epoch_done(self, node: str, epoch: int) -> None:
        """Destroy an epoch's private key. Idempotent; Denied("not-over") while its hour runs."""
        self._call("epoch_done", node=node, epoch=epoch)

    def snapshot(self, node: str, extensions: Mapping[str, Any]) -> dict[str, str]:
        """``payload`` (canonical JSON text) and ``signature`` over ("sealgate/snapshot/v1", payload)."""
        return cast("dict[str, str]", self._call("snapshot", node=node, extensions=dict(extensions)))

    def deposit(self, items: Sequence[Deposit]) -> dict[str, Receipt]:
        """Deposit messages, one commit per batch; message → receipt. Safe to repeat while identical.

        Denied("differs") when one was deposited with other contents, Denied("destroyed") after its destruction.
        """
        receipts: dict[str, Receipt] = {}
        batch: list[dict[str, Any]] = []
        room = _BATCH_BYTES
        for params in (item.params() for item in items):
            cost = 400 + 220 * len(params["grants"]) + 160 * len(params["objects"])
            if batch and cost > room:
                receipts.update(self._call("deposit", items=batch))
                batch, room = [], _BATCH_BYTES
            batch.append(params)
            room -= cost
        if batch:
            receipts.update(self._call("deposit", items=batch))
        return receipts

    def narrow(
        self, tenant: str, message: str, grant: str | None, change: Mapping[str, Any], actor: str, request: str
    ) -> Receipt:
        """Revoke (``{"revoke": True}``) or shorten (``{"expires_us": n}``) one grant, or all with the message."""
        return cast(
            "Receipt",
            self._call(
                "narrow", tenant=tenant, message=message, grant=grant, change=dict(change), actor=actor, request=request
            ),
        )

    def grant_state(self, tenant: str, grants: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Grant → ``state``, ``expires_us``, ``revoked_us``, ``receipt`` (of the revocation, else None)."""
        return cast("dict[str, dict[str, Any]]", self._call("grant_state", tenant=tenant, grants=list(grants)))

    def messages(self, tenant: str, after: str, before_us: int, limit: int = 500) -> list[str]:
        """Ids, in order and after `after`, of messages deposited before that time and not destroyed: for the sweep."""
        return cast("list[str]", self._call("messages", tenant=tenant, after=after, before_us=before_us, limit=limit))

    def take_texts(self, limit: int) -> list[dict[str, Any]]:
        """Texts to send now: id, tenant, number, code, kind. Handed out again after a minute unless `text_done`."""
        return cast("list[dict[str, Any]]", self._call("take_texts", limit=limit))

    def text_done(self, id: str, ok: bool) -> None:
        """Forget a text that was sent; with ok False it is handed out again, three times at most."""
        self._call("text_done", id=id, ok=ok)

    def take_changes(self, limit: int) -> list[dict[str, Any]]:
        """What to tell of a person: id, tenant, person, kind (phone, phone-first, frozen), about, at_us.

        Handed out until `change_done`.
        """
        return cast("list[dict[str, Any]]", self._call("take_changes", limit=limit))

    def change_done(self, id: str) -> None:
        """That person was told. Idempotent."""
        self._call("change_done", id=id)

    def sign_checkpoint(self, log: str, size: int, root: bytes, old_size: int, proof: Sequence[bytes]) -> str:
        """The signed note of a tree that provably extends the last one signed. Denied("inconsistent") otherwise."""
        return cast(
            "str",
            self._call(
                "sign_checkpoint", log=log, size=size, root=b64(root), old_size=old_size, proof=[b64(h) for h in proof]
            ),
        )

    def release_held(self, tenant: str, message: str, act: str) -> dict[str, Any]:
        """``shares`` (object → S_o) and ``secret`` (R) for an officer's recorded act; repeatable until `held_done`.

        ``act`` says which it was: ``release`` (as a secure message) or ``release-as-is``.
        """
        return cast("dict[str, Any]", self._call("release_held", tenant=tenant, message=message, act=act))

    def held_done(self, tenant: str, message: str) -> None:
        """Destroy every R of a held message: its release is settled or it was dropped. Idempotent."""
        self._call("held_done", tenant=tenant, message=message)


class PortalClient(Serving, RetentionDesk, RecoveryDesk, UsesPasskeys, KeepsInboxes, AsksToResend):
    """What the portal may ask, nearly all of it with a person's session."""

    def keys(self) -> dict[str, Any]:
        """As WorkerClient.keys."""
        return cast("dict[str, Any]", self._call("keys"))

    def grant_info(self, grant: str) -> dict[str, Any]:
        """``state`` (live revoked expired frozen destroyed unknown), tenant, message, person, floor, expires_us,
        revoked_us, ``doors`` (of text staff totp remembered passkey), tries_left, locked_until_us, phone_last (None).
        """
        return cast("dict[str, Any]", self._call("grant_info", grant=grant))

    def standing(self, session: str, grant: str) -> str:
        """The grant's state while that session lives. Denied("no-session")."""
        return str(self._call("standing", session=session, grant=grant)["state"])

    def ask_text(self, grant: str, last4: str, visitor: str, network: str) -> dict[str, Any]:
        """Queue a text code for this browser. Denied: last-four, too-many, too-soon, no-phone, or the grant's state."""
        return cast(
            "dict[str, Any]", self._call("ask_text", grant=grant, last4=last4, visitor=visitor, network=network)
        )

    def verify(self, grant: str, code: str, visitor: str, network: str) -> Session:
        """A session for a text code, staff code or TOTP. Denied: wrong, used, expired, too-many, or the state."""
        return cast("Session", self._call("verify", grant=grant, code=code, visitor=visitor, network=network))

    def use_device(self, grant: str, device: bytes, visitor: str) -> Session:
        """A session for a remembered device. Denied: unknown-device, too-new, or the grant's state."""
        return cast("Session", self._call("use_device", grant=grant, device=b64(device), visitor=visitor))

    def remember(self, session: str) -> dict[str, Any]:
        """``device`` (32 bytes, base64, for the cookie) and ``expires_us``. Denied("not-allowed") where it is off."""
        return cast("dict[str, Any]", self._call("remember", session=session))

    def forget_devices(self, session: str) -> int:
        """Forget every remembered device of the session's person; how many there were."""
        return cast("int", self._call("forget_devices", session=session))

    def session(self, handle: str) -> Session:
        """The live session of that handle. Denied("no-session")."""
        return cast("Session", self._call("session", handle=handle))

    def end_session(self, handle: str) -> None:
        """Sign out. Idempotent."""
        self._call("end_session", handle=handle)

    def totp_begin(self, session: str) -> dict[str, str]:
        """``uri`` and ``secret`` (base32) of a new authenticator, not yet in force."""
        return cast("dict[str, str]", self._call("totp_begin", session=session))

    def totp_confirm(self, session: str, code: str) -> dict[str, str]:
        """``factor``: id of the factor that this first code puts in force. Denied: wrong, none-begun, too-many."""
        return cast("dict[str, str]", self._call("totp_confirm", session=session, code=code))

    def release(self, session: str, grant: str, object: str, purpose: str, request: str) -> Released:
        """One object's share and the receipt of its release. `purpose` is one lower-case word."""
        return cast(
            "Released",
            self._call("release", session=session, grant=grant, object=object, purpose=purpose, request=request),
        )

    def release_meta(self, session: str, message: str) -> dict[str, Any]:
        """``key`` (the message's meta key) and ``receipt``."""
        return cast("dict[str, Any]", self._call("release_meta", session=session, message=message))

    def release_metas(self, session: str, messages: Sequence[str]) -> dict[str, dict[str, Any]]:
        """As `release_meta` for up to 200 messages in one commit; those not allowed are missing from the answer, and
        one whose row or share at the keyholder does not hold is there with ``tampered`` and no key.
        """
        return cast("dict[str, dict[str, Any]]", self._call("release_metas", session=session, messages=list(messages)))

    def staff_login(self, tenant: str, user: str, password: str, code: str, network: str) -> Session:
        """A staff session for password and TOTP. Denied: wrong (whatever was), too-many, busy."""
        return cast(
            "Session",
            self._call("staff_login", tenant=tenant, user=user, password=password, code=code, network=network),
        )

    def staff_code(self, session: str, grant: str, how_sure: str) -> dict[str, Any]:
        """``code`` (eight digits) and ``expires_us``. `how_sure` is a fixed word such as ``called``."""
        return cast("dict[str, Any]", self._call("staff_code", session=session, grant=grant, how_sure=how_sure))

    def print_card(self, session: str, person: str, how_sure: str) -> dict[str, Any]:
        """``code`` (twelve letters) and ``expires_us``; an older card of that person is void. Shown once."""
        return cast("dict[str, Any]", self._call("print_card", session=session, person=person, how_sure=how_sure))

    def register_people(self, session: str, totp: str, people: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
        """Phone numbers as factors (None leaves one, "" removes it), proved by a fresh TOTP spent on this list.

        ``digest``, ``changed`` and ``first`` (ids of those to be told), ``receipt``. Denied: role, phone, bad-list, or
        what became of the code.
        """
        rows = [{"person": person, "phone": phone} for person, phone in people]
        return cast("dict[str, Any]", self._call("register_people", session=session, totp=totp, people=rows))

    def unfreeze(self, session: str, grant: str) -> Receipt:
        """Thaw a frozen grant; its staff codes are void."""
        return cast("Receipt", self._call("unfreeze", session=session, grant=grant))

    def narrow(self, session: str, message: str, grant: str | None, change: Mapping[str, Any], request: str) -> Receipt:
        """As WorkerClient.narrow, for the sender, the office or an officer."""
        return cast(
            "Receipt",
            self._call(
                "narrow_as", session=session, message=message, grant=grant, change=dict(change), request=request
            ),
        )

    def officer_act(self, session: str, totp: str, act: str, tenant: str, message: str, reason: str) -> dict[str, Any]:
        """``act``: id of a recorded decision on one held message, proved by a fresh TOTP; ``complete``; ``receipt``.

        Decisions: release, release-as-is, drop (which the message's sender may decide as well). ``complete`` is False
        while the policy wants a second officer, whose own call for the same decision completes it.
        """
        return cast(
            "dict[str, Any]",
            self._call(
                "officer_act", session=session, totp=totp, act=act, tenant=tenant, message=message, reason=reason
            ),
        )

    def changes(self, session: str, tenant: str) -> dict[str, Any]:
        """What officers see: changes ``waiting`` and ``ended``, each whole, and new ``accounts``. Denied: no-session,
        another-tenant, role.
        """
        return cast("dict[str, Any]", self._call("changes", session=session, tenant=tenant))

    def changes_waiting(self, session: str, tenant: str) -> dict[str, int]:
        """How many of them: ``waiting``, ``accounts``."""
        return cast("dict[str, int]", self._call("changes_waiting", session=session, tenant=tenant))

    def decide_change_as(self, session: str, totp: str, act: str, proposal: str, reason: str) -> dict[str, Any]:
        """As `decide_change`, by somebody who is signed in: a fresh code is spent on it, and the reason is kept."""
        return cast(
            "dict[str, Any]",
            self._call("decide_change_as", session=session, totp=totp, act=act, proposal=proposal, reason=reason),
        )

    def vkeys(self, tenant: str) -> dict[str, str]:
        """As OperatorClient.vkeys: keys that anyone may have."""
        return cast("dict[str, str]", self._call("vkeys", tenant=tenant))

    def release_log(self, session: str, tenant: str, start: int = 0) -> dict[str, Any]:
        """As OperatorClient.release_log, for an officer or auditor who exports. Denied: no-session, role."""
        return cast("dict[str, Any]", self._call("release_log", session=session, tenant=tenant, start=start))

    def raise_budget(self, session: str, totp: str) -> dict[str, int]:
        """An officer lifts the tenant's hourly limit of releases for an hour: ``until_us``."""
        return cast("dict[str, int]", self._call("raise_budget", session=session, totp=totp))
