"""The table of permissions: nothing is missing in it, nothing in it is for nothing, and others agree with it."""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from gateway.accounts.roles import ROLES
from gateway.cli import command_names, parser_for
from gateway.errors import Misconfigured
from gateway.flow.desk import MAY_RECALL_ALL
from gateway.flow.officer_changes import WATCHERS
from gateway.flow.officer_held import ALL_HELD
from gateway.flow.people import KEEPERS
from gateway.flow.sent import ALL_MAIL
from gateway.portal.app import discovered
from gateway.portal.guards import PAGES, guarded
from gateway.portal.roles import FILE, parse, same, table
from keys import access
from keys.keyholder import staff


def test_a_route_without_a_line_stops_start_up() -> None:
    discovered()
    lines = {name: line for name, line in table().routes.items() if name != "GET /audit/overview"}
    with pytest.raises(Misconfigured, match="route 'GET /audit/overview' has no line"):
        guarded(PAGES, replace(table(), routes=lines))


def test_a_line_without_a_route_stops_start_up() -> None:
    discovered()
    lines = {**table().routes, "GET /audits": table().routes["GET /audit"]}
    with pytest.raises(Misconfigured, match="'GET /audits' is no route; did you mean"):
        guarded(PAGES, replace(table(), routes=lines))


def test_a_control_command_without_a_line_stops_start_up() -> None:
    with pytest.raises(Misconfigured, match=r"control command .keys\.tell. has no line"):
        same("control command", table().control, [*table().control, "keys.tell"])


def test_methods_of_one_route_cannot_differ() -> None:
    discovered()
    wider = replace(table().routes["POST /{rest:path}"], others="all")
    with pytest.raises(Misconfigured, match="equal lines"):
        guarded(PAGES, replace(table(), routes={**table().routes, "POST /{rest:path}": wider}))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('who = ["officer"], proof = 2, others = "all"', 'who = ["offcer"], proof = 2, others = "all"', "'offcer'"),
        ('who = "link", proof', 'who = "links", proof', "did you mean 'link'"),
        ('"GET /m" = { who = "anyone", proof = 0, others = "none" }', '"GET /m" = { who = "anyone" }', "write who"),
        ('who = "reader", proof = 2', 'who = "reader", proof = 9', "0 to 3"),
        ('others = "counts"', 'others = "some"', "others"),
        ("[routes]", "[routes", "not TOML"),
    ],
    ids=["role", "party", "short", "proof", "others", "toml"],
)
def test_a_line_that_cannot_be_understood_is_named(old: str, new: str, words: str) -> None:
    text = FILE.read_text("utf-8")
    assert old in text
    with pytest.raises(Misconfigured, match=words):
        parse(text.replace(old, new, 1))


def test_every_command_of_the_program_has_its_line() -> None:
    found = []
    (choices,) = _choices(parser_for(command_names()))
    for name, parser in choices.items():
        found += _commands(name, parser)
    same("command", table().commands, found)


def _commands(name: str, parser: argparse.ArgumentParser) -> list[str]:
    below = _choices(parser)
    return (
        [one for action, under in below[0].items() for one in _commands(f"{name} {action}", under)] if below else [name]
    )


def _choices(parser: argparse.ArgumentParser) -> list[dict[str, argparse.ArgumentParser]]:
    return [
        dict(action.choices)  # type: ignore[arg-type]
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    ]


def test_the_roles_are_those_of_accounts_and_keyholder() -> None:
    assert set(table().roles) == set(ROLES) == staff.ROLES


def test_the_table_says_what_the_keyholder_allows() -> None:
    assert table().acts == {
        "staff code, card, unfreezing": access.STAFF_ROLES,
        "subjects and file names of all": access.META_ROLES,
        "recall and shorten all": access.NARROW_ROLES,
        "export of the release log": access.EXPORT_ROLES,
        "phone numbers of people": access.PEOPLE_ROLES,
        "decide on held mail": frozenset({"officer"}),
        "approve a change that waits": access.APPROVE_ROLES,
        "see changes that wait": access.WATCH_ROLES,
        "hold, lift, end sooner, erase": frozenset({"officer"}),
        "see holds and certificates": access.EXPORT_ROLES,
    }


@pytest.mark.parametrize(
    ("route", "act"),
    [
        ("POST /staff/help/{grant}", "staff code, card, unfreezing"),
        ("POST /staff/help/{grant}/card", "staff code, card, unfreezing"),
        ("POST /staff/people/{person}/card", "staff code, card, unfreezing"),
        ("POST /staff/help/{grant}/unfreeze", "staff code, card, unfreezing"),
        ("POST /audit/export", "export of the release log"),
        ("POST /staff/people/save", "phone numbers of people"),
        ("POST /staff/people/import/confirm", "phone numbers of people"),
        ("POST /audit/held/{message}", "decide on held mail"),
        ("GET /audit/changes", "see changes that wait"),
        ("GET /audit/recovery", "see changes that wait"),
        ("GET /audit/changes/{change}", "see changes that wait"),
        ("POST /audit/changes/{change}", "approve a change that waits"),
    ],
)
def test_a_page_is_for_exactly_those_whom_the_keyholder_lets_do_it(route: str, act: str) -> None:
    assert table().routes[route].roles == table().acts[act]


def test_who_sees_what_of_others_is_what_the_flows_do() -> None:
    sees = table().sees
    assert {role for role, what in sees["mail"].items() if what == "all"} == ALL_MAIL
    assert {role for role, what in sees["held"].items() if what == "all"} == ALL_HELD
    assert table().routes["GET /audit/changes"].roles == WATCHERS
    assert {role for role, what in sees["people"].items() if what == "all"} == KEEPERS
    assert set(sees["mail"]) == table().routes["GET /staff"].roles
    assert set(sees["people"]) == table().routes["GET /staff/people"].roles
    assert ALL_MAIL >= MAY_RECALL_ALL == access.NARROW_ROLES


def test_content_and_acts_need_a_second_factor() -> None:
    for name, line in table().routes.items():
        assert line.proof >= 2 or line.party in ("anyone", "link"), name
        assert line.proof == 2 or line.others == "none", name
    for name, line in {**table().control, **table().commands}.items():
        assert line.others in ("none", "one", "counts"), name
        assert bool(line.named) == line.code == (line.proof == 2), name


def test_an_operator_has_no_page() -> None:
    discovered()
    lines = {**table().routes, "GET /audit": replace(table().routes["GET /audit"], party="operator")}
    with pytest.raises(Misconfigured, match="an operator has no pages"):
        guarded(PAGES, replace(table(), routes=lines))
