"""The page of the drills is true: each row of the threat table has its drills and twins, and each of them is there."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT

FOLDER = ROOT / "tests" / "drills"
ROWS = (
    "one recipient's mailbox",
    "one mailbox, and everything of ours at rest, root key included",
    "database, blobs (their backups, a copied bucket)",
    "all our stores at rest, root key included",
    "the disk of a one-machine set-up",
    "write access to the database and blob store",
    "the running smtp node",
    "the running portal",
    "the clinic's own mail system, its archive or journal",
    "an administrator's or MSP operator's account",
    "swap, core dump, memory of a running machine",
)
"""DESIGN §4: "a thief has", row by row."""

TABLE = {
    cells[0]: cells
    for line in (FOLDER / "README.md").read_text().splitlines()
    if (cells := [cell.strip() for cell in line.strip("|").split(" | ")]) and len(cells) == 4
}
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_threat_table_has_a_drill_and_a_twin_that_exist(row: str) -> None:
    _, opens, drills, twins = TABLE[row]
    named = NAMED.findall(drills)
    assert opens
    assert named, "a row needs its drill"
    own = re.search(r"at (their|its) end|before and after|a second code", twins)
    assert own or NAMED.findall(twins), "a drill needs its twin: in itself, or a test of its own"
    for file, test in (*named, *NAMED.findall(twins)):
        assert f"def {test}(" in (FOLDER / file).read_text(), f"{file}::{test}"


def test_the_page_has_no_other_rows() -> None:
    assert set(TABLE) - {"a thief has", "---"} == set(ROWS)
