"""Every setting is documented, safe to print, and shown in the example file."""

from __future__ import annotations

from dataclasses import fields

import pytest

from gateway.settings import SECTIONS, example
from tests.house.tree import ROOT

FIELDS = [(name, item) for name, section in SECTIONS.items() for item in fields(section)]


@pytest.mark.parametrize(("section", "item"), FIELDS, ids=[f"{name}.{item.name}" for name, item in FIELDS])
def test_setting_has_a_sentence_and_a_unit(section: str, item: object) -> None:
    doc, kind, name = item.metadata["doc"], str(item.type), item.name  # type: ignore[attr-defined]
    assert doc.endswith("."), f"[{section}] {name}"
    assert 10 < len(doc) < 240
    if kind == "int":
        counted = ("recipients", "connections", "per_host", "per_connection", "per_message", "threads", "parsers")
        assert name.endswith(("_bytes", "_seconds", "_days", "_hours", *counted)), f"[{section}] {name} has no unit"


def test_sections_say_what_they_are() -> None:
    assert all((section.__doc__ or "").endswith(".") for section in SECTIONS.values())


def test_example_file_is_in_step() -> None:
    shipped = (ROOT / "deploy/gateway.toml").read_text(encoding="utf-8")
    assert shipped == example(), "run: python -m gateway check --example > deploy/gateway.toml"
