"""Every limit and time-out of the way a mail goes is a setting with bounds, or stands on the page with its reason."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.cli._limits import FIXED, numbers, page
from gateway.errors import Misconfigured
from gateway.processes import smtp_config
from gateway.settings import load
from gateway.settingsfit import unfit
from gateway.settingtypes import Number
from gateway.smtp.config import Limits
from tests.house.tree import ROOT

LEAST = """\
[tenant]
name = "riverside"
domains = ["clinic.example"]
[portal]
public_url = "https://mail.clinic.example"
[courier]
smarthost = "smarthost.example:25"
"""
NO_LIMITS = {
    ("gateway.smtp.data", "_DOT"),  # a letter
    ("gateway.courier.connection", "SUBMISSIONS_PORT"),  # RFC 8314
}


def test_page_is_in_step_with_the_code() -> None:
    shipped = (ROOT / "deploy/mail/limits.md").read_text(encoding="utf-8")
    assert shipped == page(), "run: python -m gateway check --limits > deploy/mail/limits.md"


@pytest.mark.parametrize("room", ["smtp", "courier"])
def test_every_number_of_the_door_and_the_courier_is_on_the_page(room: str) -> None:
    """A constant added there is made a setting, or is named with its reason."""
    named = {(module, name) for module, name, _ in FIXED} | NO_LIMITS
    found = {
        (f"gateway.{room}.{file.stem}", name)
        for file in sorted((ROOT / "gateway" / room).glob("*.py"))
        for name in _numbers(file)
    }
    assert found, "the search finds nothing any more"
    assert found - named == set()


def _numbers(file: Path) -> list[str]:
    """Names of constants of a module that are numbers, however they are written (1 << 20, 64 * 1024)."""
    names = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = [
                one for target in node.targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])
            ]
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = getattr(node, "value", None)
        values = value.elts if isinstance(value, ast.Tuple) and len(value.elts) == len(targets) else [value]
        for target, one in zip(targets, values, strict=False):
            if isinstance(target, ast.Name) and target.id.isupper() and one is not None and _number(one):
                names.append(target.id)
    return names


def _number(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _number(node.left) and _number(node.right)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def test_every_limit_of_the_door_follows_its_setting(tmp_path: Path) -> None:
    """With every number of [smtp] and [spool] at another value, no limit of the door is what it was."""
    changed = {
        (section, name): default + 1 for section, name, default, _, _ in numbers() if section in ("smtp", "spool")
    }
    text = LEAST
    for section in ("smtp", "spool"):
        text += f"[{section}]\n" + "".join(f"{name} = {n}\n" for (of, name), n in changed.items() if of == section)
    (tmp_path / "gateway.toml").write_text(text)
    config = smtp_config(load(tmp_path / "gateway.toml", {}))
    same = [one.name for one in fields(Limits) if getattr(config.limits, one.name) == getattr(Limits(), one.name)]
    assert same == []
    assert config.max_message_bytes == changed["smtp", "max_message_bytes"]
    assert config.max_recipients == changed["smtp", "max_recipients"]


NUMBERS = [(f"{section}.{name}", default, bounds) for section, name, default, bounds, _ in numbers()]


@pytest.mark.parametrize(("name", "default", "bounds"), NUMBERS, ids=[name for name, _, _ in NUMBERS])
def test_default_lies_within_its_bounds(name: str, default: int, bounds: Number) -> None:
    assert bounds(default) == default, name
    for beyond in (bounds.least - 1, bounds.most + 1):
        with pytest.raises(ValueError, match="must be a whole number from"):
            bounds(beyond)


def test_defaults_fit_together(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(LEAST)
    settings = load(tmp_path / "gateway.toml", {})
    assert unfit(settings.smtp, settings.courier, settings.worker) is None


@pytest.mark.parametrize(
    ("values", "place", "sentence"),
    [
        ("[smtp]\nmax_connections = 10", "max_connections_per_host", "must be at most max_connections, which is 10"),
        ("[smtp]\nmessage_timeout_seconds = 60", "message_timeout_seconds", "at least command_timeout_seconds"),
        ("[smtp]\nstranger_timeout_seconds = 900", "stranger_timeout_seconds", "at most command_timeout_seconds"),
        ("[smtp]\nmax_failed_logins_per_connection = 20\nmax_failed_logins_per_host = 5",
         "max_failed_logins_per_host", "at least max_failed_logins_per_connection, which is 20"),
        ("[smtp]\nmax_errors_per_connection = 2", "max_errors_per_connection", "max_failed_logins_per_connection"),
        ("[courier]\ntimeout_seconds = 700", "end_timeout_seconds", "at least timeout_seconds, which is 700"),
        ("[worker]\nretry_first_seconds = 60\nretry_most_seconds = 30", "retry_most_seconds", "retry_first_seconds"),
        ("[worker]\ngive_up_hours = 12\nretry_most_seconds = 86400", "retry_most_seconds", "give_up_hours (12 h)"),
        ("[worker]\ngive_up_hours = 4", "delay_notice_seconds", "less than [worker] give_up_hours (4 h)"),
    ],
    ids=["per-host", "message", "stranger", "logins", "errors", "end", "first", "most", "notice"],
)  # fmt: skip
def test_values_that_contradict_each_other_are_refused(tmp_path: Path, values: str, place: str, sentence: str) -> None:
    text = LEAST.rstrip() + "\n" + values.removeprefix("[courier]\n") + "\n"
    (tmp_path / "gateway.toml").write_text(text)
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path / "gateway.toml", {})
    assert caught.value.public.startswith("gateway.toml")
    assert f"] {place} must be " in caught.value.public
    assert sentence in caught.value.public
