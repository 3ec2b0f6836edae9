"""The shipped policies keep the table of DESIGN §3, and a broken policy file is refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.assets import policies_dir
from gateway.detect.model import Assessment, PartVerdict
from gateway.errors import Misconfigured
from gateway.policy import MailFacts, Policy, RecipientFacts, decide, load, shipped
from gateway.policy.cases import check, mail_of
from gateway.policy.files import parse


def test_the_three_shipped_policies_are_found_by_name() -> None:
    assert shipped() == ["clinic", "observe", "strict"]


@pytest.mark.parametrize("name", ["clinic", "strict", "observe"])
def test_every_example_of_a_shipped_policy_comes_out_as_written(name: str) -> None:
    assert check(load(name), (policies_dir() / f"{name}.cases.toml").read_text("utf-8")) == []


def test_an_example_with_another_outcome_is_reported() -> None:
    text = '[[cases]]\nname = "x"\nmail = { body = "phi" }\nexpect = { then = "as-is" }\n'
    assert check(load("clinic"), text) == ["x: then is 'secure', expected 'as-is'"]


TABLE = {
    "clean": {"attachments": ["clean"]},
    "attachment": {"attachments": ["phi", "clean"]},
    "body": {"body": "phi", "attachments": ["clean"]},
    "subject": {"subject": "phi"},
    "zip": {"attachments": ["unread"]},
    "mime": {"malformed": True},
    "internal": {"body": "phi"},
    "null clean": {"null_sender": True},
    "null phi": {"null_sender": True, "body": "phi"},
}
EXPECTED = {
    "clinic": {
        "clean": "as-is",
        "attachment": "attachments 2",
        "body": "secure",
        "subject": "attachments neutral",
        "zip": "attachments 2",
        "mime": "secure",
        "internal": "as-is",
        "null clean": "as-is",
        "null phi": "hold",
    },
    "strict": {
        "clean": "attachments 2",
        "attachment": "attachments 2 3",
        "body": "secure",
        "subject": "attachments neutral",
        "zip": "hold",
        "mime": "hold",
        "internal": "as-is",
        "null clean": "as-is",
        "null phi": "hold",
    },
    "observe": dict.fromkeys(TABLE, "as-is"),
}


@pytest.mark.parametrize("column", TABLE)
@pytest.mark.parametrize("name", EXPECTED)
def test_each_cell_of_the_shipped_policy_table_holds(name: str, column: str) -> None:
    made = decide(load(name), mail_of(TABLE[column]), RecipientFacts(internal=column == "internal"))
    said = " ".join([made.treatment, *sorted(made.sealed_parts), *(["neutral"] if made.neutral_subject else [])])
    assert said == EXPECTED[name][column]


def test_a_mail_that_no_rule_knows_is_held() -> None:
    policy = parse("own", b'[[rules]]\nname = "internal"\nwhen = ["internal"]\nthen = "as-is"\n')
    made = decide(policy, mail_of({}), RecipientFacts())
    assert (made.treatment, made.rule) == ("hold", "default")


def test_the_first_matching_rule_decides_even_when_a_later_one_matches_too() -> None:
    rules = b'[[rules]]\nname = "a"\nthen = "hold"\n[[rules]]\nname = "b"\nthen = "as-is"\n'
    assert decide(parse("own", rules), mail_of({}), RecipientFacts()).rule == "a"


def test_phi_that_no_part_owns_counts_as_the_bodys() -> None:
    mail = MailFacts(Assessment((PartVerdict("body", "the message text", "clean", 0.2, ()),), 0.9, True, (), "x"))
    assert decide(load("clinic"), mail, RecipientFacts()).treatment == "secure"


def test_another_form_of_the_text_goes_where_the_files_go_and_never_alone() -> None:
    forms = frozenset({"2"})
    found = replace(mail_of({"attachments": ["clean", "phi"]}), other_forms=forms)
    assert decide(load("clinic"), found, RecipientFacts()).sealed_parts == {"2", "3"}
    neutral = replace(mail_of({"attachments": ["clean"], "subject": "phi"}), other_forms=forms)
    assert decide(load("clinic"), neutral, RecipientFacts()).sealed_parts == {"2"}
    clean = replace(mail_of({"attachments": ["clean"]}), other_forms=forms)
    assert decide(load("clinic"), clean, RecipientFacts()).treatment == "as-is"


def test_a_rule_for_domains_matches_these_alone() -> None:
    policy = parse("own", b'[[rules]]\nname = "a"\ndomains = ["Lab.example"]\nthen = "as-is"\n')
    assert decide(policy, mail_of({}), RecipientFacts(domain="lab.example")).treatment == "as-is"
    assert decide(policy, mail_of({}), RecipientFacts(domain="other.example")).treatment == "hold"


def test_reasons_name_kinds_and_places_in_words() -> None:
    made = decide(load("clinic"), mail_of({"attachments": ["clean", "phi", "unread"]}), RecipientFacts())
    assert made.reasons == (
        "a person's name and health details in attachment 2",
        "attachment 3 could not be read: an example",
    )


def test_the_policy_label_changes_when_one_byte_of_the_file_changes() -> None:
    text = (policies_dir() / "clinic.toml").read_bytes()
    assert parse("clinic", text).label != parse("clinic", text + b"\n").label
    assert parse("clinic", text).label == load("clinic").label


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rules]]\nname='a'\nthen='hold'\nwenn=['clean']", "'when'"),
        ("[[rules]]\nname='a'\nthen='hold'\nwhen=['phi_boddy']", "'phi_body'"),
        ("[[rules]]\nname='a'\nthen='as_is'", "'as-is'"),
        ("[[rules]]\nname='a'\nthen='attachments'\nseal='al'", "'all'"),
        ("[[rules]]\nthen='hold'", "needs a name"),
        ("[[rules]]\nname='a'\nthen='hold'\n[[rules]]\nname='a'\nthen='hold'", "two rules"),
        ("about='x'", "at least one"),
        ("rule=1\n[[rules]]\nname='a'\nthen='hold'", "'rules'"),
        ("[[rules]]\nname='a'\nthen='hold'\nwhen='clean'", "not a list"),
        ("[[", "not TOML"),
        ("[[rules]]\nname='a'\nthen='hold'\n[release]\nsecond='x'", "'second_person'"),
        ("release=1\n[[rules]]\nname='a'\nthen='hold'", "not a table"),
        ("[[rules]]\nname='a'\nthen='hold'\n[release]\nsecond_person='yes'", "write true or false"),
    ],
)
def test_a_mistake_in_a_policy_file_is_refused_and_named(text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse("own", text.encode(), "own.toml")
    assert "own.toml" in caught.value.detail
    assert said in caught.value.detail


def test_an_unknown_policy_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(Misconfigured, match="clinic"):
        load("clinik")
    with pytest.raises(Misconfigured, match="cannot be read"):
        load("/nowhere/own.toml")


def test_a_policy_says_whether_two_officers_release() -> None:
    rule = "[[rules]]\nname='a'\nthen='hold'\n"
    assert not parse("own", rule.encode()).second_person
    assert parse("own", (rule + "[release]\nsecond_person = true\n").encode()).second_person


def test_policy_is_a_value() -> None:
    assert isinstance(load("strict"), Policy)
    assert load("strict") == load("strict")
