"""Partners and [plain]: who may, why, until when; anything less is refused with what to write."""

from __future__ import annotations

from datetime import date, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.clock import to_us
from gateway.errors import Misconfigured
from gateway.flow.facts import plain_reason, recipient_facts, tags
from gateway.mail.model import Message
from gateway.mail.scan import Scanner
from gateway.policy import Policy, load, parse
from gateway.policy.model import Partner

PARTNER = '[[partners]]\ndomain = "Lakeside.Test"\nwho = "B. Ortiz"\nwhy = "referrals"\nuntil = 2027-06-30\n'
PLAIN = '[plain]\nroles = ["officer"]\nreasons = ["consent", "emergency"]\n'


def policy(text: str, base: str = "clinic") -> Policy:
    return parse("own", f'extends = "{base}"\n{text}'.encode())


def test_a_policy_that_extends_a_shipped_one_has_its_rules_behind_its_own() -> None:
    own = '[[rules]]\nname = "faxes"\nwhen = ["auto_submitted"]\nthen = "secure"\n'
    found, base = policy(own), load("clinic")
    assert [one.name for one in found.rules] == ["faxes", *(one.name for one in base.rules)]
    assert len({found.version, policy("").version, base.version, policy("", "strict").version}) == 4


def test_an_entry_ends_with_its_last_day_on_the_clinics_clock() -> None:
    found = policy(PARTNER)
    assert found.partners == (Partner("lakeside.test", "B. Ortiz", "referrals", date(2027, 6, 30)),)
    view: Any = SimpleNamespace(policy=found, domains=frozenset({"clinic.test"}), timezone="America/Chicago")
    chicago = ZoneInfo("America/Chicago")
    last, next_ = datetime(2027, 6, 30, 23, 59, tzinfo=chicago), datetime(2027, 7, 1, tzinfo=chicago)
    assert recipient_facts(view, "x@LAKESIDE.test", to_us(last)).partner
    assert recipient_facts(view, "x@lakeside.test.", to_us(last)).proof == "declared"
    assert not recipient_facts(view, "x@lakeside.test", to_us(next_)).partner
    assert not recipient_facts(view, "x@sub.lakeside.test", to_us(last)).partner
    assert not recipient_facts(view, "lakeside.test@other.test", to_us(last)).partner


@pytest.mark.parametrize("local", ["pat%other.test", '"pat@other.test"', "other.test!pat", '"a b"%other.test'])
def test_a_local_part_that_names_a_further_way_is_neither_internal_nor_a_partners(local: str) -> None:
    view: Any = SimpleNamespace(policy=policy(PARTNER), domains=frozenset({"clinic.test"}), timezone="America/Chicago")
    now = to_us(datetime(2027, 1, 1, tzinfo=ZoneInfo("America/Chicago")))
    assert not recipient_facts(view, f"{local}@clinic.test", now).internal
    assert not recipient_facts(view, f"{local}@lakeside.test", now).partner
    plain: Any = SimpleNamespace(policy=load("clinic"), domains=frozenset({"clinic.test"}))
    assert not recipient_facts(plain, f"{local}@clinic.test", now).internal
    for own in ("amy", '"amy lee"', "SRS0=x=y=other.test=pat", "amy+tag"):
        assert recipient_facts(plain, f"{own}@clinic.test", now).internal
        assert recipient_facts(view, f"{own}@lakeside.test", now).partner


def handed_in(kind: str) -> Any:
    return SimpleNamespace(identity=SimpleNamespace(kind=kind, name="olga@clinic.test"))


def mail(subject: str, fields: str = "From: Olga <olga@clinic.test>") -> Message:
    scanner = Scanner()
    scanner.feed(f"{fields}\r\nSubject: {subject}\r\n\r\nhello\r\n".encode())
    return scanner.close()


@pytest.mark.parametrize(
    ("subject", "kind", "role", "reason"),
    [
        ("[plain: consent] x", "app-password", "officer", "consent"),
        (" [urgent] [PLAIN:Emergency] x", "app-password", "officer", "emergency"),
        ("x [plain: consent]", "app-password", "officer", ""),
        ("Re: [plain: consent] x", "app-password", "officer", ""),
        ("[plain] x", "app-password", "officer", ""),
        ("[plain: hurry] x", "app-password", "officer", ""),
        ("[plain: consent] x", "app-password", "staff", ""),
        ("[plain: consent] x", "app-password", "", ""),
        ("[plain: consent] x", "network", "officer", ""),
        ("[secure: consent] x", "app-password", "officer", ""),
    ],
)
def test_plain_counts_for_a_role_that_may_with_a_reason_that_is_known(
    subject: str, kind: str, role: str, reason: str
) -> None:
    view: Any = SimpleNamespace(policy=policy(PLAIN))
    envelope, message = handed_in(kind), mail(subject)
    assert plain_reason(view, envelope, message, lambda: role) == reason
    shipped: Any = SimpleNamespace(policy=load("clinic"))
    assert plain_reason(shipped, envelope, message, lambda: role) == ""
    assert tags(message) in ({"plain"}, {"secure"}, {"plain", "urgent"})


@pytest.mark.parametrize(
    "fields",
    [
        "From: Stranger <stranger@outside.test>",  # sent on with its own From
        "From: olga@clinic.test, stranger@outside.test",
        "From: olga@clinic.test\r\nAuto-Submitted: auto-replied",
    ],
)
def test_plain_does_not_count_in_the_words_of_somebody_else(fields: str) -> None:
    view: Any = SimpleNamespace(policy=policy(PLAIN))
    envelope = handed_in("app-password")
    assert plain_reason(view, envelope, mail("[plain: consent] x"), lambda: "officer") == "consent"
    assert plain_reason(view, envelope, mail("[plain: consent] x", fields), lambda: "officer") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PARTNER.replace("Lakeside.Test", "lakeside"), "write a mail domain"),
        (PARTNER.replace('who = "B. Ortiz"\n', ""), "who is missing: write who answers for it"),
        (PARTNER.replace('"referrals"', '" "'), "why is missing: write the reason"),
        (PARTNER.replace("2027-06-30", '"2027-06-30"'), "write the last day without quotes"),
        (PARTNER.replace("until = 2027-06-30\n", ""), "write the last day"),
        (PARTNER + 'proof = "observed"\n', "declared"),
        (PARTNER + 'note = "x"\n', "unknown key 'note'"),
        (PARTNER * 2, "two partners have the domain"),
        ('partners = ["a.test"]\n', "is not a table"),
        (PLAIN.replace('"officer"', '"nurse"'), "'nurse'"),
        (PLAIN.replace('"consent"', '"Because I say so"'), "write words as"),
        ('[plain]\nroles = ["officer"]\n', "needs both"),
        ('extends = "mine"\n', "extends"),
    ],
)
def test_half_an_exception_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        parse("own", text.encode() if text.startswith("extends") else f'extends = "clinic"\n{text}'.encode())


def test_plain_without_a_rule_that_asks_for_it_is_refused() -> None:
    with pytest.raises(Misconfigured, match="no rule asks for plain_word"):
        policy(PLAIN, "strict")
