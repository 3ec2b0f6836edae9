"""The README says what the product says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gateway import words
from gateway.cli import command_names
from gateway.demo.pictures import NAMES

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_two_commands_stand_first() -> None:
    first = README.split("```")[1]
    assert first.split()[:2] == ["make", "demo"]
    assert "make test" in first


def test_limits_are_those_of_the_portal() -> None:
    text = tomllib.loads((ROOT / "web/text/portal.en.toml").read_text(encoding="utf-8"))["portal"]["limits"]
    shown = README.split("<!-- /limits -->")[0].split("-->")[-1]
    for key, sentence in text.items():
        if key != "title":
            assert sentence in shown, key
    assert len(re.findall(r"^\* ", shown, re.MULTILINE)) == sum(key[-1].isdigit() for key in text)
    assert words.say("portal.limits.cannot_4") in README


def test_commands_in_it_exist() -> None:
    named = set(re.findall(r"sealgate ([a-z]+)", README))
    assert named <= set(command_names()), named - set(command_names())
    for module in re.findall(r"python -m ([a-z_.]+)", README):
        parts = ROOT.joinpath(*module.split("."))
        assert parts.with_suffix(".py").exists() or (parts / "__main__.py").exists(), module


def test_pictures_in_it_are_those_the_demo_takes() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(deploy/pictures/(\w+)\.png\)", README)
    assert sorted(shown) == sorted(NAMES) == sorted(path.stem for path in (ROOT / "deploy/pictures").iterdir())
