"""Who may open what: the decisions behind every release, narrowing, staff code and officer's act.

Pure: facts as the keyholder read them in this very transaction and a time in; `Permit` or `Denial` out. One condition
a line, so that coverage shows every case. Facts never come from a caller. Times are microseconds since 1970 UTC.
Clauses: 45 CFR 164.312(a)(1), 164.312(d), 164.502(b) (minimum necessary); DESIGN §4, §4b.
"""

from __future__ import annotations

from dataclasses import dataclass

LINK_ONLY, MAILBOX_CODE, SECOND_FACTOR, PASSKEY = 0, 1, 2, 3
LINK_FLOOR = SECOND_FACTOR

STAFF_ROLES = frozenset({"staff", "office", "officer"})
META_ROLES = frozenset({"office", "officer", "auditor"})
NARROW_ROLES = frozenset({"office", "officer"})
EXPORT_ROLES = frozenset({"officer", "auditor"})
APPROVE_ROLES = frozenset({"officer", "admin"})
WATCH_ROLES = frozenset({"officer", "admin", "auditor"})
PEOPLE_ROLES = frozenset({"office", "officer", "admin"})
KINDS = frozenset({"link", "inbox", "recovery", "review", "staff"})


@dataclass(frozen=True, slots=True)
class GrantFacts:
    """A grant with its message's state."""

    tenant: str
    message: str
    person: str | None
    kind: str
    floor: int
    expires_us: int
    revoked_us: int | None
    frozen_us: int | None
    destroyed_us: int | None
    held: bool = False


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A live session. A person's covers one message, or one inbox; a user's covers the staff pages of the tenant."""

    tenant: str
    proof: int
    person: str | None = None
    message: str | None = None
    user: str | None = None
    role: str | None = None
    inbox: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """First releases in the last hour. `first` is whether this one would be the person's first of that object."""

    first: bool
    person_hour: int
    person_limit: int
    tenant_hour: int
    tenant_limit: int
    raised: bool


@dataclass(frozen=True, slots=True)
class Permit:
    """Yes. `counts`: the release costs budget."""

    counts: bool = False


@dataclass(frozen=True, slots=True)
class Denial:
    """No, with the reason as one machine word; people are shown one and the same page."""

    reason: str


def grant_state(grant: GrantFacts, now_us: int) -> str:
    """``live`` or what ended it; the strongest end first."""
    if grant.destroyed_us is not None:
        return "destroyed"
    if grant.revoked_us is not None:
        return "revoked"
    if now_us >= grant.expires_us:
        return "expired"
    if grant.frozen_us is not None:
        return "frozen"
    return "live"


def may_release(grant: GrantFacts, session: SessionFacts, of_message: str | None, now_us: int) -> Permit | Denial:
    """One object's share for one session. `of_message` is the message the object belongs to, None when unknown."""
    if session.tenant != grant.tenant:
        return Denial("another-tenant")
    if of_message is None:
        return Denial("unknown-object")
    if of_message != grant.message:
        return Denial("another-message")
    state = grant_state(grant, now_us)
    if state != "live":
        return Denial(state)
    if session.proof < grant.floor:
        return Denial("proof-too-low")
    if grant.kind == "review":
        return _may_review(grant, session)
    if grant.kind not in ("link", "inbox"):
        return Denial("not-this-kind")
    if session.person is None:
        return Denial("not-a-recipient")
    if session.person != grant.person:
        return Denial("another-person")
    if grant.kind == "inbox":
        return _may_open_inbox(session)
    if session.message != grant.message:
        return Denial("another-message")
    if session.proof < LINK_FLOOR:
        return Denial("proof-too-low")
    return Permit(counts=True)


def may_recover(grant: GrantFacts, on_hold: bool, now_us: int) -> Permit | Denial:
    """Opening a message by its recovery grant for an officer's proved act: while the grant lives or a hold keeps it."""
    if grant.kind != "recovery":
        return Denial("not-this-kind")
    if grant.destroyed_us is not None:
        return Denial("destroyed")
    if on_hold:
        return Permit()
    if grant_state(grant, now_us) != "live":
        return Denial("not-live")
    return Permit()


def _may_open_inbox(session: SessionFacts) -> Permit | Denial:
    if session.inbox is None:
        return Denial("no-inbox")
    if session.proof < LINK_FLOOR:
        return Denial("proof-too-low")
    return Permit(counts=True)


def _may_review(grant: GrantFacts, session: SessionFacts) -> Permit | Denial:
    if session.user is None:
        return Denial("not-staff")
    if session.role != "officer":
        return Denial("not-an-officer")
    if not grant.held:
        return Denial("not-held")
    return Permit()


def within_budget(budget: BudgetFacts, proof: int) -> Permit | Denial:
    """Whether an allowed release may happen now. Only first releases count, and only successes were counted."""
    if not budget.first:
        return Permit()
    if budget.person_hour >= budget.person_limit:
        return Denial("person-budget")
    if budget.tenant_hour < budget.tenant_limit:
        return Permit(counts=True)
    if proof >= PASSKEY:
        return Permit(counts=True)
    if budget.raised:
        return Permit(counts=True)
    return Denial("tenant-budget")


def may_read_meta(
    session: SessionFacts, tenant: str, message: str, sender_user: str | None, live_grant: bool
) -> Permit | Denial:
    """The meta key (subject, file names) of one message. `live_grant`: the session's person has one on it, for an
    inbox's session in that inbox.
    """
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is not None:
        if session.role in META_ROLES:
            return Permit()
        if session.role == "staff" and sender_user == session.user:
            return Permit()
        return Denial("not-your-message")
    if session.inbox is None and session.message != message:
        return Denial("another-message")
    if session.proof < SECOND_FACTOR:
        return Denial("proof-too-low")
    if not live_grant:
        return Denial("no-live-grant")
    return Permit()


def may_narrow(session: SessionFacts, tenant: str, sender_user: str | None) -> Permit | Denial:
    """Recall or shorten a message or one grant."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role in NARROW_ROLES:
        return Permit()
    if session.role == "staff" and sender_user == session.user:
        return Permit()
    return Denial("not-your-message")


def may_make_code(session: SessionFacts, grant: GrantFacts, now_us: int) -> Permit | Denial:
    """A staff code for a recipient's link: any signed-in staff member of the tenant."""
    if session.tenant != grant.tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role not in STAFF_ROLES:
        return Denial("not-staff")
    if grant.kind != "link":
        return Denial("not-this-kind")
    if grant.person is None:
        return Denial("not-this-kind")
    state = grant_state(grant, now_us)
    if state != "live":
        return Denial(state)
    return Permit()


def may_print_card(session: SessionFacts, known: bool) -> Permit | Denial:
    """A front-desk card: any signed-in staff member, for a person whom the keyholder knows in that tenant."""
    if session.user is None:
        return Denial("not-staff")
    if session.role not in STAFF_ROLES:
        return Denial("not-staff")
    if not known:
        return Denial("unknown")
    return Permit()


def may_register_people(session: SessionFacts) -> Permit | Denial:
    """Phone numbers as factors, with a fresh proof that is asked for beside this."""
    if session.user is None:
        return Denial("not-staff")
    if session.role not in PEOPLE_ROLES:
        return Denial("role")
    return Permit()


def may_unfreeze(session: SessionFacts, grant: GrantFacts, now_us: int) -> Permit | Denial:
    """Thawing what a second redeemer froze: those who may make codes."""
    if session.tenant != grant.tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role not in STAFF_ROLES:
        return Denial("not-staff")
    state = grant_state(grant, now_us)
    if state != "frozen":
        return Denial("not-frozen" if state == "live" else state)
    return Permit()


def may_act(session: SessionFacts, tenant: str, held: bool) -> Permit | Denial:
    """Deciding on held mail: an officer of that tenant, while the message is held."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role != "officer":
        return Denial("not-an-officer")
    if not held:
        return Denial("not-held")
    return Permit()


def may_cancel(session: SessionFacts, tenant: str, sender_user: str | None, held: bool) -> Permit | Denial:
    """Dropping one's own held mail: its sender, and nobody else who is not an officer."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role not in STAFF_ROLES:
        return Denial("not-staff")
    if sender_user is None:
        return Denial("not-your-message")
    if session.user != sender_user:
        return Denial("not-your-message")
    if not held:
        return Denial("not-held")
    return Permit()


def number_for_later(session: SessionFacts) -> bool:
    """Whether a number that this user registers opens only later messages: they could let nobody in otherwise."""
    return session.role not in STAFF_ROLES


def may_approve(session: SessionFacts, tenant: str, open: bool, mine: bool) -> Permit | Denial:
    """Standing behind a change that waits. `mine`: this person did already, or it is about their own account."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role not in APPROVE_ROLES:
        return Denial("role")
    if not open:
        return Denial("not-open")
    if mine:
        return Denial("same-person")
    return Permit()


def may_watch(session: SessionFacts, tenant: str) -> Permit | Denial:
    """Reading which changes wait, with the old and the new value, and which accounts are new."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role not in WATCH_ROLES:
        return Denial("role")
    return Permit()


def may_withdraw(session: SessionFacts, tenant: str, open: bool) -> Permit | Denial:
    """Ending a change that waits: any officer of that tenant."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role != "officer":
        return Denial("not-an-officer")
    if not open:
        return Denial("not-open")
    return Permit()


def may_export(session: SessionFacts, tenant: str) -> Permit | Denial:
    """Reading the release log for an export of the tenant's logs."""
    if session.tenant != tenant:
        return Denial("another-tenant")
    if session.user is None:
        return Denial("not-staff")
    if session.role not in EXPORT_ROLES:
        return Denial("role")
    return Permit()


def may_enter_by_factor(
    enrolled_message: str, wide_from_us: int, message: str, now_us: int, *, reaches: bool = True
) -> Permit | Denial:
    """A lasting factor enrolled behind a staff code opens other messages only after a day (DESIGN §4, Doors).

    `reaches`: whether what it stands on may open a message of that age, for a number is not always for all of them.
    """
    if not reaches:
        return Denial("too-new")
    if message == enrolled_message:
        return Permit()
    if now_us >= wide_from_us:
        return Permit()
    return Denial("too-new")
