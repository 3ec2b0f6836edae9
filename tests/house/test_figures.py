"""The README's table of figures is the one that the committed bench file makes."""

from __future__ import annotations

from gateway.bench import report
from tests.house.tree import ROOT


def test_the_readme_shows_the_figures_of_the_bench_file() -> None:
    made = report.table(report.read(ROOT / "deploy/bench/figures.json"))
    assert made in (ROOT / "README.md").read_text("utf-8"), (
        "run: sealgate bench --table deploy/bench/figures.json --readme README.md"
    )
