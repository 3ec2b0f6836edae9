"""Changes that wait, on the officer's pages: what they would make different, and who decides with what proof."""

from __future__ import annotations

import re

import pytest

from gateway.flow.officer_changes import Differs
from gateway.portal.pages.officer_changes import row_of, words_of_value
from keys import kit, recovery
from tests.support.keyholder import PASSWORD, TENANT
from tests.unit.portal.test_staff import member
from tests.unit.portal.world import Browser, World

BODY = {"domains": ["clinic.test"], "networks": [], "limits": {}, "display_name": "Elm Street Clinic"}


@pytest.fixture(scope="module")
def people(world: World) -> dict[str, Browser]:
    """All sign in before any change: an officer who joined later would have to wait for a day."""
    names = {f"{role}{n}": member(world, role) for n in (1, 2) for role in ("officer", "admin", "auditor", "office")}
    world.keyholder.operator.put_settings(TENANT, BODY)
    found = {name: world.staff_browser(address) for name, address in names.items()}
    world.__dict__["names"] = names
    return found


def code(world: World, who: str) -> str:
    return world.staff[world.__dict__["names"][who]].code()


def ask(world: World, **changes: object) -> str:
    """The id of a change of the clinic's settings that an operator asked for; only one can wait."""
    return str(world.keyholder.operator.put_settings(TENANT, BODY | changes)["proposal"]["id"])


def decide(browser: Browser, change: str, act: str, given: str, reason: str = "Known to us") -> tuple[int, str]:
    where = f"/audit/changes/{change}"
    answer = browser.post(where, browser.get(where).text, act=act, reason=reason, code=given)
    return answer.status_code, answer.text


def test_nothing_waits_is_said_plainly_and_no_page_has_a_notice(world: World, people: dict[str, Browser]) -> None:
    assert "Nothing waits" in people["officer1"].get("/audit/changes").text
    for path in ("/audit", "/audit/overview", "/staff"):
        assert 'data-part="changes"' not in people["officer1"].get(path).text


def test_a_change_is_announced_shown_in_words_and_refused_with_a_reason(
    world: World, people: dict[str, Browser]
) -> None:
    change = ask(world, smarthost="mail.elsewhere.test:25", networks=["0.0.0.0/0"])
    officer = people["officer1"]
    for path in ("/audit", "/staff"):
        assert "1 change of this clinic" in officer.get(path).text, path
    assert "1 change of this clinic" in people["admin1"].get("/audit/overview").text
    assert 'data-part="changes"' not in people["office1"].get("/staff").text
    page = officer.get("/audit/changes").text
    assert f'data-change="{change}"' in page
    assert "Trusted networks, Mail server that sends onward" in page
    page = officer.get(f"/audit/changes/{change}").text
    assert "Computers in these networks send mail as the clinic, without a password." in page
    assert "<dd>nothing</dd>" in page
    assert "<dd>mail.elsewhere.test:25</dd>" in page
    assert decide(officer, change, "withdraw", "")[0] == 422
    assert decide(officer, change, "withdraw", "123456", reason="")[0] == 422
    assert decide(officer, change, "", "123456")[0] == 422
    status, page = decide(officer, change, "withdraw", "000000")
    assert (status, "The code is not right" in page) == (422, True)
    assert decide(officer, change, "withdraw", code(world, "officer1"), "Nobody asked for it")[0] == 303
    page = officer.get(f"/audit/changes/{change}").text
    assert "Nothing was changed" in page
    assert "Nobody asked for it" in page
    assert 'data-action="decide-change"' not in page
    refused = world.events("settings:refused", change)
    assert [(one["outcome"], one["reason"]) for one in refused] == [("refused", "wrong"), ("ok", "withdraw")]
    assert refused[1]["receipt"]
    assert not [one for one in world.events() if "Nobody asked" in str(one)]


def test_an_officer_approves_and_an_administrator_cannot_refuse(world: World, people: dict[str, Browser]) -> None:
    change = ask(world, message_days=91)
    page = people["admin1"].get(f"/audit/changes/{change}").text
    assert 'value="withdraw"' not in page
    assert decide(people["admin1"], change, "withdraw", code(world, "admin1"))[0] == 403
    assert decide(people["admin1"], change, "approve", code(world, "admin1"))[0] == 303
    assert "one more person" in people["officer2"].get(f"/audit/changes/{change}").text
    assert decide(people["officer2"], change, "approve", code(world, "officer2"))[0] == 303
    page = people["officer2"].get(f"/audit/changes/{change}").text
    assert "It counts when its day is over" in page
    assert 'value="withdraw"' in page
    assert 'value="approve"' not in page.replace('name="act" value="approve"', "")
    (accepted, _) = world.events("settings:accepted", change)
    assert accepted["actor"]["id"] == world.staff[world.__dict__["names"]["admin1"]].user
    assert world.keyholder.operator.waiting(TENANT)[0]["approved"]


def test_an_auditor_looks_and_decides_nothing_and_staff_see_nothing(world: World, people: dict[str, Browser]) -> None:
    change = ask(world, message_days=92)
    page = people["auditor1"].get(f"/audit/changes/{change}").text
    assert "Your account can look here, and not decide." in page
    assert people["auditor1"].post(f"/audit/changes/{change}", page, act="approve").status_code == 403
    for path in ("/audit/changes", f"/audit/changes/{change}"):
        assert people["office1"].get(path).status_code == 403
    assert people["officer1"].get("/audit/changes/prp_" + "0" * 40).status_code == 404


def test_new_accounts_are_listed_and_one_of_an_officer_waits(world: World, people: dict[str, Browser]) -> None:
    planted = member(world, "staff")
    page = people["officer1"].get("/audit/changes").text
    assert re.search(rf'data-account="staff"><th scope="row">{re.escape(planted)}</th>', page)
    user = world.clock.new_id("usr")
    world.keyholder.operator.add_user(TENANT, user, "officer", PASSWORD)
    world.store.run(lambda tx: world.users.add(tx, TENANT, "second@clinic.test", "officer", user=user, name=""))
    page = people["officer1"].get("/audit/changes").text
    assert "New compliance officer: second@clinic.test" in page


def test_values_and_texts_are_shown_as_people_read_them() -> None:
    assert [words_of_value(one) for one in (["a", "b"], {"max_bytes": 5}, 90, "x", [], None)] == [
        "a, b", "max bytes: 5", "90", "x", "nothing", "nothing",
    ]  # fmt: skip
    row = row_of(Differs("policy_toml", "a = 1\nb = 2\n", "a = 1\nb = 3\n"))
    assert row["lines"] == [("out", "b = 2"), ("in", "b = 3")]
    assert row_of(Differs("never-heard-of", 1, 2))["name"] == "Another setting"


def test_no_line_of_a_changed_policy_is_left_out_however_many_there_are() -> None:
    before = "\n".join(f"# {number}" for number in range(900))
    after = "\n".join([*(f"# now {number}" for number in range(900)), 'then = "as-is"'])
    lines = row_of(Differs("policy_toml", before, after))["lines"]
    assert lines[-1] == ("in", 'then = "as-is"')
    assert len(lines) == 1801
    small = row_of(Differs("policy_toml", before, f'{before}\nthen = "as-is"'))["lines"]
    assert ("in", 'then = "as-is"') in small


def test_what_hides_or_turns_a_line_around_is_shown() -> None:
    lines = row_of(Differs("policy_toml", "", "# calm\u2028[[rules]]\u202e\u200b"))["lines"]
    assert lines[-1] == ("in", "# calm\\u2028[[rules]]\\u202e\\u200b")
    assert words_of_value("mail\u200b.clinic.test") == "mail\\u200b.clinic.test"
    assert words_of_value("Clínica Río") == "Clínica Río"


def test_tables_of_senders_are_read_as_words_and_a_secret_is_only_marked() -> None:
    listed = [
        {"name": "m365", "verifier": "ab" * 32, "networks": ["192.0.2.0/24"], "loop": True},
        {"name": "other", "verifier": "cd" * 32, "networks": [], "loop": False},
    ]
    said = words_of_value(listed)
    assert said.startswith("name: m365, loop: yes, networks: 192.0.2.0/24, a secret (abababab…); name: other")
    assert "ab" * 5 not in said


def test_a_recovery_key_that_was_asked_for_is_shown_and_its_page_says_how_far_the_clinic_is(
    world: World, people: dict[str, Browser]
) -> None:
    officer = people["officer1"]
    page = officer.get("/audit/recovery")
    assert page.status_code == 200
    assert 'data-part="empty"' in page.text
    made = kit.make("Elm Street Clinic", "2026-11-23", 2, 3)
    marks = [recovery.check_mark(made.key, sheet.check).hex() for sheet in made.sheets]
    asked = world.keyholder.operator.propose_recovery(TENANT, made.public, 2, marks)["proposal"]["id"]
    for name in ("officer1", "admin1", "auditor1"):
        page = people[name].get("/audit/recovery")
        assert f"/audit/changes/{asked}" in page.text
        assert made.key not in page.text, "it is not in force"
    assert people["office1"].get("/audit/recovery").status_code == 403
    assert f"New recovery key {made.key} (2-of-3)" in officer.get("/audit/changes").text
    page = officer.get(f"/audit/changes/{asked}")
    assert "Compare the name of the key with the paper" in page.text
    assert 'value="approve"' in page.text
