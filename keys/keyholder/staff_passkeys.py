"""Passkeys of workforce members: instead of the code app beside the password, at sign-in.

Promises: the password is asked for all the same, and both are checked in one call, so that neither alone can be tried
out; the challenge names nobody, so that asking tells nothing of an account; setting one up or taking one away costs a
fresh code of the app, and its owner is told past the portal. The code app stays: a passkey is never the only way in.
DESIGN §4b 1, §7; decision 0041.
"""

from __future__ import annotations

from typing import Any

from keys import access
from keys.keyholder import assertions, challenges, closing, grants, held, passkeys, sessions, staff, tries
from keys.keyholder.challenges import Bound
from keys.keyholder.database import Tx
from keys.keyholder.passkey_rows import USER, Owner, owned
from keys.keyholder.releaselog import refused
from keys.keyholder.sessions import Live

METHOD = "password+passkey"
MADE = "staff-passkey"
"""News that an account has a new passkey, for its owner."""


def staff_passkey_ask(tx: Tx, *, tenant: str, visitor: str) -> dict[str, Any]:
    """What the browser needs to offer the passkeys it has for this portal. Denied: no-host."""
    here = passkeys.site(tx, tenant)
    if here is None:
        raise refused(tx, tenant, "session:refused", "no-host")
    return passkeys.asked(tx, here, _signing_in(tx, tenant, visitor), [], None)


def staff_passkey_login(
    holder: staff.House, *, tenant: str, user: str, password: str, network: str, visitor: str, ticket: bytes,
    answer: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """A staff session. Denied as `staff.staff_login` says, and expired, used (of the challenge)."""
    assertions.ready()
    kept = holder.database.run(lambda tx: staff.enter(tx, holder, tenant, user, network))
    right = holder.hasher.holds(kept, staff.pepper(holder, tenant, user, password))

    def work(tx: Tx) -> dict[str, Any]:
        closing.need_open(tx, tenant, "session:refused", user)

        def second(row: Any) -> str:
            bound = _signing_in(tx, tenant, visitor)
            found = passkeys.check(tx, Owner(tenant, USER, str(row["id"])), bound, ticket, answer)
            return found if isinstance(found, str) else ""

        return staff.admitted(tx, tenant, user, network, right, second, access.PASSKEY, METHOD)

    return holder.database.run(work)


def staff_passkey_begin(tx: Tx, *, session: str) -> dict[str, Any]:
    """What the browser needs for `navigator.credentials.create`. Denied: not-staff, enough, no-host."""
    live, owner = _member(tx, session)
    here, rows = passkeys.site(tx, owner.tenant), owned(tx, owner)
    if here is None or len(rows) >= tx.limits.passkeys_per_owner:
        reason = "no-host" if here is None else "enough"
        raise refused(tx, owner.tenant, "factor:refused", reason, object=owner.id, actor=live.actor)
    return passkeys.asked(tx, here, _enrolling(live, owner), rows, owner)


def staff_passkey_enrol(
    holder: staff.House, *, session: str, totp: str, ticket: bytes, answer: dict[str, Any], name: str
) -> dict[str, str]:
    """Keep it: its id as ``passkey``. The code is spent first."""
    assertions.ready()

    def work(tx: Tx) -> dict[str, str]:
        live, owner = _member(tx, session)
        _proved(tx, live, totp, owner.id)
        made = passkeys.keep(
            tx, live, owner, _enrolling(live, owner), ticket, answer, name,
            first_method=str(live.row["first_method"]), message="", wide_from_us=0,
        )  # fmt: skip
        grants.tell(tx, owner.tenant, owner.id, MADE, owner.id)
        return {"passkey": made}

    return holder.database.run(work)


def staff_passkey_remove(tx: Tx, *, session: str, totp: str, passkey: str) -> None:
    """Take one of one's own away, with a code spent on it."""
    live, owner = _member(tx, session)
    _proved(tx, live, totp, passkey)
    passkeys.remove(tx, live, owner, passkey)


def _member(tx: Tx, session: str) -> tuple[Live, Owner]:
    live = sessions.need(tx, session, "factor:refused")
    if live.facts.user is None:
        raise refused(tx, live.facts.tenant, "factor:refused", "not-staff", actor=live.actor)
    return live, passkeys.owner_of(live)


def _proved(tx: Tx, live: Live, code: str, object: str) -> None:
    failure = held.prove(tx, live, code)
    if failure is not None:
        left = tries.left(tx, live.facts.tenant, held.subject(live))
        raise refused(
            tx, live.facts.tenant, "factor:refused", failure, data={"tries_left": left}, object=object,
            actor=live.actor,
        )  # fmt: skip


def _signing_in(tx: Tx, tenant: str, visitor: str) -> Bound:
    return Bound(challenges.SIGN_IN, tenant, "", "", tx.custody.mac("visitor", visitor))


def _enrolling(live: Live, owner: Owner) -> Bound:
    return Bound(challenges.ENROL, owner.tenant, "", owner.id, live.mac)
