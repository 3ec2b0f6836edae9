"""Releases: state read at each one, recorded first, resumed for nothing, within budgets, and nothing taken on trust."""

from __future__ import annotations

import pytest

from keys import merkle, notes
from keys.client import unb64
from keys.derive import meta_key, object_share
from keys.errors import Tampered
from keys.keyholder.calls import BadCall
from keys.signing import verify_signature
from tests.support.keyholder import TENANT
from tests.unit.keyholder.conftest import PERSON, SECOND, House, refusal, set_up_house

OTHER = "tnt_Other0000000001"


def test_a_release_gives_the_share_of_one_object_and_a_signed_receipt_of_its_entry(house: House) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    released = house.portal.release(house.enter(grant), grant, thing, "download", "req_1")
    expected = object_share(deposit.share, tenant=TENANT, message=deposit.message, object_id=thing)
    assert unb64(released["share"]) == expected
    assert "secret" not in released
    receipt = released["receipt"]
    entry = house.entries()[receipt["index"]]
    assert (entry["action"], entry["object"], entry["actor"]["id"]) == ("share:released", thing, PERSON)
    assert (entry["proof"], entry["request"], entry["outcome"]) == (2, "req_1", "ok")
    page = house.worker.release_log(TENANT)
    assert merkle.leaf_hash(unb64(page["entries"][receipt["index"]])) == unb64(receipt["leaf_hash"])
    verifier = notes.parse_vkey(house.worker.vkeys(TENANT)["release_vkey"])
    verify_signature(
        verifier.public, unb64(receipt["signature"]), "sealgate/receipt/v1", receipt["log"], receipt["index"],
        unb64(receipt["leaf_hash"]),
    )  # fmt: skip
    assert receipt["log"] == verifier.name


def test_the_release_log_is_a_merkle_tree_under_a_signed_checkpoint(house: House) -> None:
    grant = house.deposit().grants[0].id
    house.enter(grant)
    page = house.worker.release_log(TENANT)
    vkeys = house.worker.vkeys(TENANT)
    checkpoint = notes.parse_checkpoint(notes.open_note(page["checkpoint"], notes.parse_vkey(vkeys["release_vkey"])))
    nodes: dict[tuple[int, int], bytes] = {}
    for index, entry in enumerate(page["entries"]):
        leaf = merkle.leaf_hash(unb64(entry))
        for level, position, digest in merkle.append(index, leaf, lambda level, position: nodes[level, position]):
            nodes[level, position] = digest
    assert checkpoint.size == len(page["entries"]) == page["size"]
    assert checkpoint.root == merkle.root(checkpoint.size, lambda level, position: nodes[level, position])
    first = house.entries()[0]
    assert (first["action"], first["reason"]) == ("log:opened", vkeys["log_vkey"])
    assert [entry["nseq"] for entry in house.entries()] == list(range(page["size"]))
    rest = house.worker.release_log(TENANT, 3)
    assert rest["entries"] == page["entries"][3:]


def test_the_same_release_resumes_with_the_same_receipt_and_costs_nothing(tmp_path) -> None:  # type: ignore[no-untyped-def]
    house = House(tmp_path, person_releases_per_hour=1)
    set_up_house(house)
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    session = house.enter(grant)
    first = house.portal.release(session, grant, thing, "download", "req_1")
    again = house.portal.release(session, grant, thing, "download", "req_2")
    assert again["share"] == first["share"]
    assert again["receipt"] == first["receipt"] | {"resumed": True}
    assert house.actions()[-1] == ("share:resumed", "download")
    assert house.portal.release(session, grant, thing, "preview", "req_3")["receipt"]["resumed"] is False
    house.reopen()
    assert house.portal.release(session, grant, thing, "download", "req_4")["receipt"] == again["receipt"]
    with refusal("person-budget"):
        house.portal.release(session, grant, deposit.objects[1].id, "download", "req_5")
    house.close()


def test_a_repeated_request_id_is_a_retry_for_a_minute_and_refused_later(house: House) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    session = house.enter(grant)
    first = house.portal.release(session, grant, thing, "download", "req_1")
    size = len(house.entries())
    house.wait(60)
    assert house.portal.release(session, grant, thing, "download", "req_1") == first
    assert len(house.entries()) == size
    house.wait(1)
    with refusal("request-reused"):
        house.portal.release(session, grant, thing, "download", "req_1")
    with refusal("request-reused"):
        house.portal.release(session, grant, thing, "preview", "req_1")


def test_a_request_id_never_serves_another_object_session_or_purpose(house: House) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    session = house.enter(grant)
    house.portal.release(session, grant, thing, "download", "req_1")
    with refusal("request-reused"):
        house.portal.release(session, grant, deposit.objects[1].id, "download", "req_1")
    house.wait(31)
    with refusal("request-reused"):
        house.portal.release(house.enter(grant), grant, thing, "download", "req_1")


def test_no_share_of_a_release_stays_in_the_store(house: House) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    released = house.portal.release(house.enter(grant), grant, thing, "download", "req_1")
    house.close()
    stored = b"".join(path.read_bytes() for path in house.config.directory.iterdir())
    house.holder = type(house.holder).open(house.config, now_us=lambda: house.now)
    assert unb64(released["share"]) not in stored
    assert released["share"].encode() not in stored
    assert deposit.share not in stored


@pytest.mark.parametrize("end", ["revoke", "expire", "destroy", "shorten"])
def test_the_end_of_a_grant_is_read_at_the_next_release(house: House, end: str) -> None:
    deposit = house.deposit(days=1)
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    session = house.enter(grant)
    house.portal.release(session, grant, thing, "download", "req_1")
    if end == "revoke":
        house.worker.narrow(TENANT, deposit.message, grant, {"revoke": True}, "usr_1", "req_n")
    elif end == "destroy":
        house.worker.destroy_message(TENANT, deposit.message)
    elif end == "shorten":
        house.worker.narrow(TENANT, deposit.message, grant, {"expires_us": house.now}, "usr_1", "req_n")
    else:
        for _ in range(96):
            house.wait(900 - 1)
            house.portal.session(session) if house.now < deposit.expires_us - 60_000 * SECOND else None
    reasons = {"revoke": "no-session", "destroy": "no-session", "shorten": "expired", "expire": "no-session"}
    with refusal(reasons[end]):
        house.portal.release(session, grant, thing, "download", "req_2")
    assert house.actions()[-1] == ("share:refused", reasons[end])
    states = {"revoke": "revoked", "destroy": "destroyed", "shorten": "expired", "expire": "live"}
    assert house.portal.grant_info(grant)["state"] == states[end]


def test_a_session_opens_its_own_message_and_no_other(house: House) -> None:
    mine, other = house.deposit(), house.deposit()
    session = house.enter(mine.grants[0].id)
    with refusal("another-message"):
        house.portal.release(session, other.grants[0].id, other.objects[0].id, "download", "req_1")
    with refusal("another-message"):  # a swapped object under my own grant
        house.portal.release(session, mine.grants[0].id, other.objects[0].id, "download", "req_2")
    with refusal("unknown-object"):
        house.portal.release(session, mine.grants[0].id, "obj_made_up", "download", "req_3")
    with refusal("unknown-grant"):
        house.portal.release(session, "lnk_made_up", mine.objects[0].id, "download", "req_4")
    with refusal("no-session"):
        house.portal.release("made-up", mine.grants[0].id, mine.objects[0].id, "download", "req_5")


def test_another_persons_grant_on_the_same_message_is_refused(house: House) -> None:
    from dataclasses import replace

    from keys.client import DepositGrant

    made = house.deposit()
    both = replace(
        made, message="msg_both", grants=[DepositGrant("lnk_both00000001", "link", 2, PERSON),
                                          DepositGrant("lnk_both00000002", "link", 2, "per_other")],
        objects=[replace(made.objects[0], id="obj_both")],
    )  # fmt: skip
    house.worker.deposit([both])
    session = house.enter("lnk_both00000001")
    with refusal("another-person"):
        house.portal.release(session, "lnk_both00000002", "obj_both", "download", "req_1")
    house.portal.release(session, "lnk_both00000001", "obj_both", "download", "req_2")


def test_another_tenants_session_sees_nothing(house: House) -> None:
    house.operator.create_tenant(OTHER, "Other Clinic", f"portal.test/log/{OTHER}")
    house.operator.register_person(OTHER, PERSON, "+15005550123")
    mine, theirs = house.deposit(), house.deposit(tenant=OTHER)
    session = house.enter(mine.grants[0].id)
    with refusal("another-tenant"):
        house.portal.release(session, theirs.grants[0].id, theirs.objects[0].id, "download", "req_1")
    with refusal("another-tenant"):
        house.portal.release_meta(session, theirs.message)
    officer = house.staff("usr_o", "officer").sign_in()
    with refusal("another-tenant"):
        house.portal.narrow(officer, theirs.message, None, {"revoke": True}, "req_2")
    with refusal("unknown"):
        house.worker.narrow(TENANT, theirs.message, None, {"revoke": True}, "usr_1", "req_3")


@pytest.mark.parametrize("extra", [{"floor": 0}, {"person": PERSON}, {"expires_us": 2**50}, {"proof": 3}])
def test_floor_person_and_expiry_are_never_taken_from_the_caller(house: House, extra: dict[str, object]) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    params = {
        "session": house.enter(grant), "grant": grant, "object": thing, "purpose": "download", "request": "req_1",
    }  # fmt: skip
    with pytest.raises(BadCall):
        house.holder.call("portal", "release", params | extra)
    assert "share" in house.holder.call("portal", "release", params)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE grants SET floor = 0", "UPDATE grants SET person = 'per_thief'", "UPDATE grants SET kind = 'inbox'",
        "UPDATE grants SET expires_us = expires_us + 1", "UPDATE grants SET revoked_us = NULL, revoked_index = NULL",
        "UPDATE messages SET expires_us = expires_us + 1", "UPDATE messages SET destroyed_us = NULL, sender_user = 'x'",
        "UPDATE messages SET tenant = 'tnt_other'", "UPDATE grants SET mac = x'00'",
    ],
)  # fmt: skip
def test_a_row_changed_behind_the_keyholders_back_is_refused_as_tampered(house: House, change: str) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    session = house.enter(grant)
    if "revoked" in change:
        house.worker.narrow(TENANT, deposit.message, grant, {"revoke": True}, "usr_1", "req_n")
    house.change(change)
    with pytest.raises(Tampered):
        house.portal.release(session, grant, thing, "download", "req_1")


def test_a_flip_in_any_byte_of_a_share_at_rest_is_refused_and_nothing_is_released(house: House) -> None:
    deposit = house.deposit()
    grant, thing = deposit.grants[0].id, deposit.objects[0].id
    session = house.enter(grant)
    ((sealed,),) = house.rows("SELECT share FROM messages WHERE id = ?", deposit.message)
    ((day_key, tenant, day),) = house.rows("SELECT wrapped, tenant, day FROM day_keys WHERE wrapped IS NOT NULL")
    for at in range(len(sealed)):
        house.change("UPDATE messages SET share = ? WHERE id = ?", flipped(sealed, at), deposit.message)
        with pytest.raises(Tampered):
            house.portal.release(session, grant, thing, "download", f"req_{at}")
    house.change("UPDATE messages SET share = ? WHERE id = ?", sealed, deposit.message)
    for at in range(len(day_key)):
        statement = "UPDATE day_keys SET wrapped = ? WHERE tenant = ? AND day = ?"
        house.change(statement, flipped(day_key, at), tenant, day)
        with pytest.raises(Tampered):
            house.portal.release(session, grant, thing, "download", f"req_k{at}")
    house.change("UPDATE day_keys SET wrapped = ? WHERE tenant = ? AND day = ?", day_key, tenant, day)
    assert [reason for action, reason in house.actions() if action == "share:released"] == []
    assert house.portal.release(session, grant, thing, "download", "req_twin")["share"]


def flipped(data: bytes, at: int) -> bytes:
    """With one bit changed in that byte."""
    return data[:at] + bytes((data[at] ^ 1 << at % 8,)) + data[at + 1 :]


def test_swapped_shares_of_two_messages_open_neither(house: House) -> None:
    first, second = house.deposit(), house.deposit()
    session = house.enter(first.grants[0].id)
    ((one,), (two,)) = (house.rows("SELECT share FROM messages WHERE id = ?", m.message)[0] for m in (first, second))
    house.change("UPDATE messages SET share = ? WHERE id = ?", two, first.message)
    with pytest.raises(Tampered):
        house.portal.release(session, first.grants[0].id, first.objects[0].id, "download", "req_1")
    house.change("UPDATE messages SET share = ? WHERE id = ?", one, first.message)
    house.portal.release(session, first.grants[0].id, first.objects[0].id, "download", "req_2")


def test_a_tenants_hourly_limit_stops_everyone_until_an_officer_lifts_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    house = House(tmp_path, tenant_releases_per_hour=4)
    set_up_house(house)
    deposit = house.deposit(objects=6)
    grant = deposit.grants[0].id
    session = house.enter(grant)
    for number in range(4):
        house.portal.release(session, grant, deposit.objects[number].id, "download", f"req_{number}")
    with refusal("tenant-budget"):
        house.portal.release(session, grant, deposit.objects[4].id, "download", "req_4")
    assert ("budget:alarm", "half-of-limit") in house.actions()
    officer = house.staff("usr_o", "officer")
    handle = officer.sign_in()
    with refusal("wrong"):
        house.portal.raise_budget(handle, "000000")
    house.portal.raise_budget(handle, officer.code())
    house.portal.release(session, grant, deposit.objects[4].id, "download", "req_5")
    house.close()


def test_budgets_count_a_sliding_hour(tmp_path) -> None:  # type: ignore[no-untyped-def]
    house = House(tmp_path, person_releases_per_hour=1, session_idle_seconds=20_000)
    set_up_house(house)
    deposit = house.deposit()
    grant = deposit.grants[0].id
    session = house.enter(grant)
    house.portal.release(session, grant, deposit.objects[0].id, "download", "req_0")
    house.wait(3599)
    with refusal("person-budget"):
        house.portal.release(session, grant, deposit.objects[1].id, "download", "req_1")
    house.wait(2)
    house.portal.release(session, grant, deposit.objects[1].id, "download", "req_2")
    house.close()


def test_a_session_ends_after_idle_minutes_and_after_its_hours(house: House) -> None:
    grant = house.deposit().grants[0].id
    session = house.enter(grant)
    house.wait(899)
    house.portal.session(session)
    house.wait(899)
    house.portal.session(session)
    house.wait(900)
    with refusal("no-session"):
        house.portal.session(session)
    session = house.enter(grant)
    for _ in range(8 * 6):
        house.portal.session(session)
        house.wait(600)
    with refusal("no-session"):
        house.portal.session(session)


def test_meta_is_given_to_the_recipient_and_the_desks_only(house: House) -> None:
    sender, other = house.staff("usr_sender", "staff"), house.staff("usr_other", "staff")
    admin, auditor = house.staff("usr_admin", "admin"), house.staff("usr_audit", "auditor")
    deposit = house.deposit(sender="usr_sender")
    expected = meta_key(deposit.share, tenant=TENANT, message=deposit.message)
    recipient = house.enter(deposit.grants[0].id)
    for session in (recipient, sender.sign_in(), auditor.sign_in()):
        key = unb64(house.portal.release_meta(session, deposit.message)["key"])
        assert key == expected.raw()
    for session in (other.sign_in(), admin.sign_in()):
        with refusal("not-your-message"):
            house.portal.release_meta(session, deposit.message)
    assert house.actions()[-1] == ("meta:refused", "not-your-message")


def test_many_metas_come_in_one_commit_and_the_refused_are_missing(house: House) -> None:
    sender = house.staff("usr_sender", "staff")
    mine, theirs = house.deposit(sender="usr_sender"), house.deposit(sender="usr_other")
    answer = house.portal.release_metas(sender.sign_in(), [mine.message, theirs.message, "msg_unknown"])
    assert list(answer) == [mine.message]
    assert house.actions()[-2:] == [("meta:refused", "not-your-message"), ("meta:refused", "unknown")]


def test_narrowing_is_for_the_sender_the_office_and_an_officer_and_never_widens(house: House) -> None:
    sender, other = house.staff("usr_sender", "staff"), house.staff("usr_other", "staff")
    deposit = house.deposit(sender="usr_sender")
    grant, message = deposit.grants[0].id, deposit.message
    with refusal("not-your-message"):
        house.portal.narrow(other.sign_in(), message, grant, {"revoke": True}, "req_1")
    handle = sender.sign_in()
    for change in ({"expires_us": deposit.expires_us + 1}, {"revoke": False}, {"floor": 0}, {}, {"expires_us": "1"}):
        reason = "wider" if change == {"expires_us": deposit.expires_us + 1} else "bad-change"
        with refusal(reason):
            house.portal.narrow(handle, message, grant, change, "req_2")
    receipt = house.portal.narrow(handle, message, grant, {"revoke": True}, "req_3")
    state = house.worker.grant_state(TENANT, [grant, "lnk_unknown"])
    assert (state[grant]["state"], state[grant]["receipt"]) == ("revoked", receipt)
    assert state["lnk_unknown"]["state"] == "unknown"
    assert house.portal.grant_info(grant)["state"] == "revoked"


def test_recall_of_the_whole_message_ends_every_grant_and_keeps_the_share(house: House) -> None:
    deposit = house.deposit(sender="usr_s")
    office = house.staff("usr_office", "office").sign_in()
    house.portal.narrow(office, deposit.message, None, {"revoke": True}, "req_1")
    assert house.portal.grant_info(deposit.grants[0].id)["state"] == "revoked"
    assert house.rows("SELECT share IS NOT NULL FROM messages")[0] == (1,)


def test_a_download_learns_that_its_grant_or_its_session_ended(house: House) -> None:
    first, second = house.deposit(), house.deposit()
    one, two = first.grants[0].id, second.grants[0].id
    handle, other = house.enter(one), house.enter(two, "vis_2")
    assert house.portal.standing(handle, one) == "live"
    assert house.portal.standing(handle, two) == "live"  # whose grant it is, is the release's question
    house.worker.narrow(TENANT, second.message, None, {"revoke": True}, "operator", "req_1")
    assert house.portal.standing(handle, two) == "revoked"
    with refusal("no-session"):
        house.portal.standing(other, two)
    house.portal.end_session(handle)
    with refusal("no-session"):
        house.portal.standing(handle, one)
    house.wait(60)  # before another code
    assert house.portal.standing(house.enter(one), "lnk_000000000000") == "unknown"
