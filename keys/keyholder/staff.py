"""Workforce members: their records, app passwords and sign-in by password and TOTP.

Promises: an unknown user costs the same work and gets the same answer as a wrong password; failures are counted before
hashing, so that parallel tries gain nothing; hashing is bounded and never holds the store; a password rests as
Argon2id (19 MiB, t=2, p=1) over an HMAC under a key the KEK wraps. RFC 9106, NIST SP 800-63B-4 3.1.1; DESIGN §4a.
"""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from typing import Any, Protocol

import argon2
import pyotp

from keys import access
from keys.errors import Denied
from keys.keyholder import closing, custody, factors, grants, proposals, sessions, tries
from keys.keyholder.config import KeyholderConfig, Limits
from keys.keyholder.custody import SYSTEM, Custody
from keys.keyholder.database import Database, Tx
from keys.keyholder.releaselog import Actor, record, refused
from keys.keyholder.sessions import SECOND_US
from keys.keyholder.tenants import body_of

ROLES = frozenset({"staff", "office", "officer", "admin", "auditor"})
NETWORK_SECONDS = 60
"""The longest for which failures of others keep somebody out of a network's door."""

NEEDS_APPROVAL = frozenset({"officer", "admin"})
_OPERATOR: Actor = ("operator", "operator")
_ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"


class Hasher:
    """Argon2id with a bounded number of workers and waiting callers."""

    def __init__(self, limits: Limits) -> None:
        self._argon = _argon()
        self._admitted = threading.BoundedSemaphore(limits.hashers + limits.hash_queue)
        self._working = threading.BoundedSemaphore(limits.hashers)
        self.dummy = _dummy()

    def hash(self, peppered: bytes) -> str:
        """The PHC string to keep. Denied("busy") when too many wait."""
        with self._slot():
            return self._argon.hash(peppered)

    def holds(self, kept: str, peppered: bytes) -> bool:
        """Whether it is the password. Denied("busy") when too many wait."""
        with self._slot():
            try:
                return self._argon.verify(kept, peppered)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False

    def _slot(self) -> _Slot:
        return _Slot(self._admitted, self._working)


def _argon() -> argon2.PasswordHasher:
    return argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@functools.cache
def _dummy() -> str:
    """The hash of a password nobody has: made at start, so that the first unknown user costs no more than the next."""
    return _argon().hash(os.urandom(16))


class _Slot:
    def __init__(self, admitted: threading.BoundedSemaphore, working: threading.BoundedSemaphore) -> None:
        self._admitted, self._working = admitted, working

    def __enter__(self) -> None:
        if not self._admitted.acquire(blocking=False):
            raise Denied("busy")
        self._working.acquire()

    def __exit__(self, *exception: object) -> None:
        self._working.release()
        self._admitted.release()


class House(Protocol):
    """What the handlers here need of the keyholder around them: they hash outside any transaction."""

    config: KeyholderConfig
    custody: Custody
    database: Database
    hasher: Hasher


def add_user(holder: House, *, tenant: str, user: str, role: str, password: str, name: str) -> dict[str, Any]:
    """A new workforce member; the TOTP secret leaves once, in ``totp_uri``.

    ``waiting`` is None, or the proposal of an officer or administrator who is new after the first officer signed in:
    until it counts, nobody signs in with the account. Any other that is new by then counts at once, and every officer
    is told. Denied: role, password (too short), taken, no-tenant, closed.
    """
    if role not in ROLES:
        raise Denied("role")
    kept = _new_password(holder, tenant, user, password)
    secret = pyotp.random_base32()

    def work(tx: Tx) -> dict[str, Any]:
        row = tx.one("SELECT name, officer_seen_us FROM tenants WHERE id = ?", tenant)
        if row is None:
            raise Denied("no-tenant")
        closing.need_open(tx, tenant, "user:refused")
        if tx.one("SELECT 1 FROM users WHERE tenant = ? AND id = ?", tenant, user) is not None:
            raise Denied("taken")
        sealed = custody.values(tx, tenant).seal(_totp_context(user), secret.encode("ascii"))
        wait = row["officer_seen_us"] is not None and role in NEEDS_APPROVAL
        state = "proposed" if wait else "active"
        tx.run("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, 0, ?)", tenant, user, role, state, kept, sealed, tx.now_us)
        record(tx, tenant, "user:added", object=user, actor=_OPERATOR, reason=role)
        issuer = str(body_of(tx, tenant).get("display_name") or row["name"])
        waiting = proposals.describe(tx, proposals.open_one(tx, tenant, proposals.USER, user, role)) if wait else None
        if row["officer_seen_us"] is not None and not wait:  # it counts at once, so every officer is told
            grants.tell(tx, tenant, proposals.OPERATOR, "account", user)
        uri = pyotp.TOTP(secret).provisioning_uri(name=name or user, issuer_name=issuer)
        return {"totp_uri": uri, "waiting": waiting}

    return holder.database.run(work)


def set_password(holder: House, *, tenant: str, user: str, password: str) -> None:
    """Replace the password; sessions end. The second factor stays as it is.

    Once an officer has signed in, the account's owner and every officer are told.
    """
    kept = _new_password(holder, tenant, user, password)

    def work(tx: Tx) -> None:
        if not tx.run("UPDATE users SET password = ? WHERE tenant = ? AND id = ?", kept, tenant, user):
            raise Denied("no-user")
        sessions.end_of_user(tx, tenant, user)
        record(tx, tenant, "user:password", object=user, actor=_OPERATOR)
        _tell_of(tx, tenant, "password", user)

    holder.database.run(work)


def disable_user(tx: Tx, *, tenant: str, user: str) -> None:
    """End sessions, app passwords and sign-in. Idempotent."""
    row = tx.one("SELECT state FROM users WHERE tenant = ? AND id = ?", tenant, user)
    if row is None:
        raise Denied("no-user")
    if row["state"] == "disabled":
        return
    waits = proposals.current(tx, tenant, proposals.USER, user)
    if waits is not None:
        proposals.end(tx, waits, "withdrawn")
    tx.run("UPDATE users SET state = 'disabled' WHERE tenant = ? AND id = ?", tenant, user)
    tx.run("DELETE FROM app_passwords WHERE tenant = ? AND user = ?", tenant, user)
    sessions.end_of_user(tx, tenant, user)
    record(tx, tenant, "user:disabled", object=user, actor=_OPERATOR)


def app_password(tx: Tx, *, tenant: str, user: str, username: str) -> dict[str, str]:
    """A generated submission password. 98 bits, so a salted SHA-256 is enough for smtp to check it quickly.

    Whoever reads it where it is printed can send as that member, so it is told like a new password.
    """
    row = tx.one("SELECT state FROM users WHERE tenant = ? AND id = ?", tenant, user)
    if row is None or row["state"] != "active" or not username:
        raise Denied("no-user")
    closing.need_open(tx, tenant, "user:refused", user)
    password = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(5))
    salt = os.urandom(16)
    verifier = hashlib.sha256(salt + password.encode("ascii")).digest()
    sealed = custody.values(tx, tenant).seal(b"username", username.encode("utf-8"))
    name = "app_" + secrets.token_hex(12)
    tx.run(
        "INSERT INTO app_passwords VALUES (?, ?, ?, ?, ?, ?, ?)", name, tenant, user, sealed, salt, verifier, tx.now_us
    )
    record(tx, tenant, "user:app-password", object=user, actor=_OPERATOR)
    _tell_of(tx, tenant, "app-password", user)
    return {"password": password}


def _tell_of(tx: Tx, tenant: str, kind: str, user: str) -> None:
    """News of what an operator did to an account, as of accounts that are new: not before an officer has signed in."""
    row = tx.one("SELECT officer_seen_us FROM tenants WHERE id = ?", tenant)
    if row is not None and row["officer_seen_us"] is not None:
        grants.tell(tx, tenant, proposals.OPERATOR, kind, user)


def staff_login(holder: House, *, tenant: str, user: str, password: str, code: str, network: str) -> dict[str, Any]:
    """A staff session. Denied: wrong, used (right but spent TOTP), too-many, busy, closed."""
    kept = holder.database.run(lambda tx: enter(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        closing.need_open(tx, tenant, "session:refused", user)  # it may have been closed while the password was hashed
        return finish(tx, tenant, user, code, network, right)

    return holder.database.run(work)


def enter(tx: Tx, holder: House, tenant: str, user: str, network: str) -> str:
    """`admit` for those who would sign in: nobody does in a closed clinic, and tries are counted all the same."""
    kept = admit(tx, holder, tenant, user, network)
    closing.need_open(tx, tenant, "session:refused", user)
    return kept


def admit(tx: Tx, holder: House, tenant: str, user: str, network: str) -> str:
    """Count this try as failed before any hashing; the hash to compare with, a dummy for nobody."""
    where = _where(tx, tenant)
    if _left(tx, where, user, network) == 0:
        raise refused(
            tx, where, "session:refused", "too-many", data={"tries_left": 0}, object=user, actor=("user", user)
        )
    # Not against the tenant as a whole, as `tries.failed` does: here anybody may ask, without a link or an account, and
    # strangers must not be able to spend the tries of its patients.
    for subject, _ in _counted(tx, user, network):
        tries.mark(tx, where, tries.FAILED, subject)
    _join(tx, tenant, user)
    row = tx.one("SELECT password FROM users WHERE tenant = ? AND id = ? AND state = 'active'", tenant, user)
    return holder.hasher.dummy if row is None else str(row["password"])


def _join(tx: Tx, tenant: str, user: str) -> None:
    """An account that waited counts from the first sign-in after its proposal does."""
    waits = proposals.current(tx, tenant, proposals.USER, user)
    if waits is None or not proposals.ripe(tx, waits):
        return
    proposals.end(tx, waits, "acted")
    tx.run("UPDATE users SET state = 'active' WHERE tenant = ? AND id = ? AND state = 'proposed'", tenant, user)
    record(tx, tenant, "user:joined", object=user, request=waits["id"])


def finish(tx: Tx, tenant: str, user: str, code: str, network: str, right: bool) -> dict[str, Any]:
    """The session, once the password was right and the code is spent. Denied and recorded otherwise."""

    def second(row: Any) -> str:
        secret = custody.values(tx, tenant).open(_totp_context(user), bytes(row["totp"])).decode("ascii")
        outcome = factors.accept(secret, factors.digits(code), row["last_step"], tx.now_us)
        if isinstance(outcome, str):
            return outcome
        tx.run("UPDATE users SET last_step = ? WHERE tenant = ? AND id = ?", outcome, tenant, user)
        return ""

    return admitted(tx, tenant, user, network, right, second, access.SECOND_FACTOR, "password+totp")


def admitted(
    tx: Tx, tenant: str, user: str, network: str, right: bool, second: Callable[[Any], str], proof: int, method: str
) -> dict[str, Any]:
    """The session of a member whose password was `right`. `second` spends the second factor on the member's row, or
    says what became of it. Denied and recorded otherwise.
    """
    row = tx.one("SELECT * FROM users WHERE tenant = ? AND id = ? AND state = 'active'", tenant, user)
    outcome = second(row) if row is not None and right else "wrong"
    if row is None or outcome:
        left = _left(tx, _where(tx, tenant), user, network)
        raise refused(
            tx, tenant, "session:refused", outcome, data={"tries_left": left}, object=user, actor=("user", user)
        )
    for subject, _ in _counted(tx, user, network):
        tries.clear(tx, tenant, subject)
    tries.remember(tx, tenant, f"{user} {network}")
    if row["role"] == "officer":
        tx.run("UPDATE tenants SET officer_seen_us = ? WHERE id = ? AND officer_seen_us IS NULL", tx.now_us, tenant)
    return sessions.make(tx, tenant=tenant, proof=proof, method=method, user=user, role=row["role"])


def _counted(tx: Tx, user: str, network: str) -> tuple[tuple[str, int], ...]:
    """What a try counts against, and how many failures each may have in the window.

    Few for one user from one network: who knows a colleague's or officer's address and fails on purpose locks out that
    network alone. More for the user over all networks, so that guessing from many of them ends as well.
    """
    limits = tx.limits
    return (
        (f"sign-in:{user} {network}", limits.tries),
        (f"sign-in:{user}", limits.login_user_tries),
        (_network(network), limits.login_network_tries),
    )


def _network(network: str) -> str:
    return f"net:{network}"


def _left(tx: Tx, where: str, user: str, network: str) -> int:
    """How many tries remain for this user from this network.

    What strangers spoil for a network ends after a minute, and does not touch who signed in from there before: behind a
    clinic's one address there may be a waiting room (DESIGN §4b 5).
    """
    since = tx.now_us - tx.limits.tries_window_seconds * SECOND_US
    lately = tx.now_us - min(NETWORK_SECONDS, tx.limits.tries_window_seconds) * SECOND_US
    known = tries.count(tx, where, tries.KNOWN, f"{user} {network}", tx.now_us - tries.KNOWN_US) > 0
    left = []
    for one, most in _counted(tx, user, network):
        if one == _network(network):
            left.append(most if known else most - tries.count(tx, where, tries.FAILED, one, lately))
        else:
            left.append(most - tries.count(tx, where, tries.FAILED, one, since))
    return max(0, min(left))


def _where(tx: Tx, tenant: str) -> str:
    """Whose counters and log take a try: the tenant's, or the system's when nobody knows that tenant."""
    return tenant if tx.one("SELECT 1 FROM tenants WHERE id = ?", tenant) is not None else SYSTEM


def _new_password(holder: House, tenant: str, user: str, password: str) -> str:
    if len(password) < holder.config.limits.password_min:
        raise Denied("password")
    return holder.hasher.hash(pepper(holder, tenant, user, password))


def pepper(holder: House, tenant: str, user: str, password: str) -> bytes:
    """What is hashed instead of the password: bound to tenant and user by a key of the custody."""
    return holder.custody.mac("password", tenant, user, password.encode("utf-8"))


def _totp_context(user: str) -> bytes:
    return b"user-totp:" + user.encode("ascii")
