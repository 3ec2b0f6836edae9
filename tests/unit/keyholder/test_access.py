"""Every line of `keys.access`: one arrangement that is permitted, and each single change that is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keys import access
from keys.access import BudgetFacts, Denial, GrantFacts, Permit, SessionFacts

NOW = 1_000
GRANT = GrantFacts("tnt_a", "msg_1", "per_1", "link", 2, 2_000, None, None, None)
HELD = replace(GRANT, kind="review", person=None, held=True)
SESSION = SessionFacts("tnt_a", 2, person="per_1", message="msg_1")
OFFICER = SessionFacts("tnt_a", 2, user="usr_1", role="officer")
BUDGET = BudgetFacts(True, 0, 60, 0, 500, False)


@pytest.mark.parametrize(
    ("grant", "session", "of_message", "now", "reason"),
    [
        (GRANT, replace(SESSION, tenant="tnt_b"), "msg_1", NOW, "another-tenant"),
        (GRANT, SESSION, None, NOW, "unknown-object"),
        (GRANT, SESSION, "msg_2", NOW, "another-message"),
        (replace(GRANT, destroyed_us=1), SESSION, "msg_1", NOW, "destroyed"),
        (replace(GRANT, revoked_us=1), SESSION, "msg_1", NOW, "revoked"),
        (replace(GRANT, frozen_us=1), SESSION, "msg_1", NOW, "frozen"),
        (GRANT, SESSION, "msg_1", 2_000, "expired"),
        (GRANT, replace(SESSION, proof=1), "msg_1", NOW, "proof-too-low"),
        (replace(GRANT, floor=3), SESSION, "msg_1", NOW, "proof-too-low"),
        (replace(GRANT, floor=1), replace(SESSION, proof=1), "msg_1", NOW, "proof-too-low"),
        (GRANT, OFFICER, "msg_1", NOW, "not-a-recipient"),
        (GRANT, replace(SESSION, person="per_2"), "msg_1", NOW, "another-person"),
        (GRANT, replace(SESSION, message="msg_2"), "msg_1", NOW, "another-message"),
        (replace(GRANT, kind="staff"), SESSION, "msg_1", NOW, "not-this-kind"),
        (HELD, SESSION, "msg_1", NOW, "not-staff"),
        (HELD, replace(OFFICER, role="admin"), "msg_1", NOW, "not-an-officer"),
        (replace(HELD, held=False), OFFICER, "msg_1", NOW, "not-held"),
    ],
)
def test_a_release_is_refused_for_exactly_this_reason(
    grant: GrantFacts, session: SessionFacts, of_message: str | None, now: int, reason: str
) -> None:
    assert access.may_release(grant, session, of_message, now) == Denial(reason)


def test_the_recipient_after_a_factor_and_an_officer_on_held_mail_are_permitted() -> None:
    assert access.may_release(GRANT, SESSION, "msg_1", NOW) == Permit(counts=True)
    assert access.may_release(GRANT, SESSION, "msg_1", 1_999) == Permit(counts=True)
    assert access.may_release(HELD, OFFICER, "msg_1", NOW) == Permit()


@pytest.mark.parametrize(
    ("change", "proof", "verdict"),
    [
        ({}, 2, Permit(counts=True)),
        ({"person_hour": 59}, 2, Permit(counts=True)),
        ({"person_hour": 60}, 2, Denial("person-budget")),
        ({"person_hour": 60}, 3, Denial("person-budget")),
        ({"person_hour": 60, "first": False}, 2, Permit()),
        ({"tenant_hour": 499}, 2, Permit(counts=True)),
        ({"tenant_hour": 500}, 2, Denial("tenant-budget")),
        ({"tenant_hour": 500}, 3, Permit(counts=True)),
        ({"tenant_hour": 500, "raised": True}, 2, Permit(counts=True)),
        ({"tenant_hour": 500, "first": False}, 2, Permit()),
    ],
)
def test_budgets_stop_first_releases_only(change: dict[str, int], proof: int, verdict: Permit | Denial) -> None:
    assert access.within_budget(replace(BUDGET, **change), proof) == verdict


@pytest.mark.parametrize(
    ("session", "sender", "live", "verdict"),
    [
        (SESSION, None, True, Permit()),
        (SESSION, None, False, Denial("no-live-grant")),
        (replace(SESSION, proof=1), None, True, Denial("proof-too-low")),
        (replace(SESSION, message="msg_2"), None, True, Denial("another-message")),
        (replace(SESSION, tenant="tnt_b"), None, True, Denial("another-tenant")),
        (OFFICER, None, False, Permit()),
        (replace(OFFICER, role="office"), None, False, Permit()),
        (replace(OFFICER, role="auditor"), None, False, Permit()),
        (replace(OFFICER, role="staff"), "usr_1", False, Permit()),
        (replace(OFFICER, role="staff"), "usr_2", False, Denial("not-your-message")),
        (replace(OFFICER, role="admin"), "usr_1", False, Denial("not-your-message")),
        (replace(OFFICER, role="operator"), "usr_1", False, Denial("not-your-message")),
    ],
)
def test_meta_is_for_the_sender_the_desks_and_the_recipient(
    session: SessionFacts, sender: str | None, live: bool, verdict: Permit | Denial
) -> None:
    assert access.may_read_meta(session, "tnt_a", "msg_1", sender, live) == verdict


@pytest.mark.parametrize(
    ("session", "sender", "verdict"),
    [
        (OFFICER, None, Permit()),
        (replace(OFFICER, role="office"), None, Permit()),
        (replace(OFFICER, role="staff"), "usr_1", Permit()),
        (replace(OFFICER, role="staff"), None, Denial("not-your-message")),
        (replace(OFFICER, role="auditor"), "usr_1", Denial("not-your-message")),
        (replace(OFFICER, tenant="tnt_b"), None, Denial("another-tenant")),
        (SESSION, None, Denial("not-staff")),
    ],
)
def test_recall_is_for_sender_office_and_officer(
    session: SessionFacts, sender: str | None, verdict: Permit | Denial
) -> None:
    assert access.may_narrow(session, "tnt_a", sender) == verdict


@pytest.mark.parametrize(
    ("session", "grant", "verdict"),
    [
        (OFFICER, GRANT, Permit()),
        (replace(OFFICER, role="staff"), GRANT, Permit()),
        (replace(OFFICER, role="auditor"), GRANT, Denial("not-staff")),
        (replace(OFFICER, tenant="tnt_b"), GRANT, Denial("another-tenant")),
        (SESSION, GRANT, Denial("not-staff")),
        (OFFICER, HELD, Denial("not-this-kind")),
        (OFFICER, replace(GRANT, person=None), Denial("not-this-kind")),
        (OFFICER, replace(GRANT, revoked_us=1), Denial("revoked")),
        (OFFICER, replace(GRANT, frozen_us=1), Denial("frozen")),
    ],
)
def test_staff_codes_are_made_by_signed_in_staff_for_live_links(
    session: SessionFacts, grant: GrantFacts, verdict: Permit | Denial
) -> None:
    assert access.may_make_code(session, grant, NOW) == verdict


@pytest.mark.parametrize(
    ("session", "grant", "verdict"),
    [
        (OFFICER, replace(GRANT, frozen_us=1), Permit()),
        (OFFICER, GRANT, Denial("not-frozen")),
        (OFFICER, replace(GRANT, frozen_us=1, revoked_us=1), Denial("revoked")),
        (replace(OFFICER, role="auditor"), replace(GRANT, frozen_us=1), Denial("not-staff")),
        (replace(OFFICER, tenant="tnt_b"), replace(GRANT, frozen_us=1), Denial("another-tenant")),
        (SESSION, replace(GRANT, frozen_us=1), Denial("not-staff")),
    ],
)
def test_only_staff_thaw_and_only_what_is_frozen(
    session: SessionFacts, grant: GrantFacts, verdict: Permit | Denial
) -> None:
    assert access.may_unfreeze(session, grant, NOW) == verdict


@pytest.mark.parametrize(
    ("session", "held", "verdict"),
    [
        (OFFICER, True, Permit()),
        (OFFICER, False, Denial("not-held")),
        (replace(OFFICER, role="office"), True, Denial("not-an-officer")),
        (replace(OFFICER, tenant="tnt_b"), True, Denial("another-tenant")),
        (SESSION, True, Denial("not-staff")),
    ],
)
def test_held_mail_is_decided_by_an_officer(session: SessionFacts, held: bool, verdict: Permit | Denial) -> None:
    assert access.may_act(session, "tnt_a", held) == verdict


def test_a_young_factor_opens_only_the_message_it_was_enrolled_for() -> None:
    assert access.may_enter_by_factor("msg_1", 2_000, "msg_1", NOW) == Permit()
    assert access.may_enter_by_factor("msg_1", 2_000, "msg_2", NOW) == Denial("too-new")
    assert access.may_enter_by_factor("msg_1", 2_000, "msg_2", 2_000) == Permit()


def test_the_strongest_end_of_a_grant_is_named_first() -> None:
    ended = replace(GRANT, destroyed_us=1, revoked_us=1, frozen_us=1)
    assert access.grant_state(ended, 5_000) == "destroyed"
    assert access.grant_state(replace(ended, destroyed_us=None), 5_000) == "revoked"
    assert access.grant_state(replace(ended, destroyed_us=None, revoked_us=None), 5_000) == "expired"
    assert access.grant_state(replace(GRANT, frozen_us=1), NOW) == "frozen"
    assert access.grant_state(GRANT, NOW) == "live"
