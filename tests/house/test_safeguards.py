"""`deploy/SAFEGUARDS.md` leaves no clause of the Security Rule out, and names files and tests that are there."""

from __future__ import annotations

import ast
import re

from tests.house.tree import ROOT

PAGE = (ROOT / "deploy/SAFEGUARDS.md").read_text(encoding="utf-8")
ADMINISTRATIVE = {
    "(a)(1)": "(i) (ii)(A) (ii)(B) (ii)(C) (ii)(D)",
    "(a)(2)": "",
    "(a)(3)": "(i) (ii)(A) (ii)(B) (ii)(C)",
    "(a)(4)": "(i) (ii)(A) (ii)(B) (ii)(C)",
    "(a)(5)": "(i) (ii)(A) (ii)(B) (ii)(C) (ii)(D)",
    "(a)(6)": "(i) (ii)",
    "(a)(7)": "(i) (ii)(A) (ii)(B) (ii)(C) (ii)(D) (ii)(E)",
    "(a)(8)": "",
    "(b)": "(1) (3)",
}
PHYSICAL = {
    "(a)": "(1) (2)(i) (2)(ii) (2)(iii) (2)(iv)",
    "(b)": "",
    "(c)": "",
    "(d)": "(1) (2)(i) (2)(ii) (2)(iii) (2)(iv)",
}
TECHNICAL = {
    "(a)": "(1) (2)(i) (2)(ii) (2)(iii) (2)(iv)",
    "(b)": "",
    "(c)": "(1) (2)",
    "(d)": "",
    "(e)": "(1) (2)(i) (2)(ii)",
}
ORGANIZATIONAL = {"(a)": "(1) (2)", "(b)": "(1) (2)"}
DOCUMENTATION = {"(a)": "", "(b)": "(1) (2)(i) (2)(ii) (2)(iii)"}
RULE = {"308": ADMINISTRATIVE, "310": PHYSICAL, "312": TECHNICAL, "314": ORGANIZATIONAL, "316": DOCUMENTATION}
"""Standards and implementation specifications of 45 CFR 164.308 to 164.316 (2013), below their sections."""


def _clauses() -> set[str]:
    return {
        f"164.{section}{standard}{below}"
        for section, standards in RULE.items()
        for standard, specifications in standards.items()
        for below in (specifications.split() or [""])
    }


def _named() -> set[str]:
    """Clauses named on the page; "164.308(a)(4)(ii)(B), (C)" is short for two that differ in their last part."""
    found: set[str] = set()
    for whole, further in re.findall(
        r"(164\.3\d\d(?:\([0-9A-Za-z]+\))+)((?:, (?:\([0-9A-Za-z]+\))+(?= [RA]\b))*)", PAGE
    ):
        found.add(whole)
        for short in further.split(", ")[1:]:
            parts = re.findall(r"\([0-9A-Za-z]+\)", whole)
            kept = len(parts) - len(re.findall(r"\(", short))
            found.add(whole.split("(")[0] + "".join(parts[:kept]) + short)
    return found


def test_every_clause_of_the_security_rule_stands_on_the_page() -> None:
    assert _clauses() - _named() == set()


def test_no_clause_is_invented() -> None:
    assert {one for one in _named() if one not in _clauses()} == set()


def test_tests_named_on_it_exist() -> None:
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 25
    missing = []
    for path, test in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8")) if (ROOT / path).exists() else ast.parse("")
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        missing += [] if test in defined else [f"{path}::{test}"]
    assert missing == []


def test_code_named_on_it_exists() -> None:
    named = set(re.findall(r"`((?:gateway|keys)/[A-Za-z0-9_/]+\.(?:py|md))`", PAGE))
    assert len(named) > 20
    assert {one for one in named if not (ROOT / one).exists()} == set()


def test_every_row_names_code_and_test() -> None:
    for line in PAGE.splitlines():
        if line.startswith("| 164."):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 6, line
            assert re.search(r"`[a-z]+/\S+\.(?:py|md)`", cells[3]), line
            assert "`tests/" in cells[4], line
