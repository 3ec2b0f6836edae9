"""The bench runs, and every figure in its file is a real number. What the numbers are is nobody's promise here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from gateway.bench import detect, letters, report
from gateway.bench.measure import Area, Figure, Spread, cpu_seconds, percentile, pss_bytes
from gateway.cli import main
from gateway.cli.bench import AREAS
from gateway.errors import Misconfigured


def _figures(data: dict[str, Any], area: str) -> list[dict[str, Any]]:
    return list(data["areas"][area]["figures"])


def _run(area: str, folder: Path) -> dict[str, Any]:
    file = folder / "figures.json"
    assert main(["bench", area, "--quick", "--json", str(file)]) == 0
    return report.read(file)


@pytest.mark.full
@pytest.mark.parametrize("area", [area for area in AREAS if area != "relay"])
def test_every_figure_of_a_quick_run_is_a_real_number(area: str, tmp_path: Path) -> None:
    data = _run(area, tmp_path)
    assert data["quick"]
    assert _figures(data, area)
    for figure in _figures(data, area):
        assert next(iter(figure["values"])) == "Sealgate", figure["what"]
        for name, spread in figure["values"].items():
            assert all(math.isfinite(value) and value >= 0 for value in spread.values()), (figure["what"], name)
            assert spread["low"] <= spread["median"] <= spread["high"], (figure["what"], name)


@pytest.mark.full
@pytest.mark.postfix
@pytest.mark.root
def test_the_relay_is_measured_beside_the_plain_relay_and_postfix(tmp_path: Path) -> None:
    figures = _figures(_run("relay", tmp_path), "relay")
    beside = {figure["what"]: set(figure["values"]) for figure in figures}
    assert {"Sealgate", "plain relay", "Postfix"} <= beside["5 KB clean, 10 connections"]
    assert {"8 MB clean: memory above idle", "8 MB sealed: memory above idle"} <= set(beside)
    assert all(math.isfinite(spread["median"]) for figure in figures for spread in figure["values"].values())


def test_a_bench_file_of_another_form_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    file.write_text(json.dumps({"schema": "other/1"}))
    with pytest.raises(Misconfigured):
        report.read(file)


def test_what_is_not_a_number_does_not_get_into_a_bench_file() -> None:
    area = Area([Figure("rate", "msgs/s", {"Sealgate": Spread(math.nan, 0.0, 1.0)})])
    with pytest.raises(ValueError, match="not a number"):
        report.as_json({"relay": area}, {}, quick=True)


def test_the_machine_is_described_without_its_name() -> None:
    import platform

    from gateway.bench.measure import machine

    text = json.dumps(machine())
    assert platform.node() not in text
    assert "/" not in text.replace("sha256_mb_per_s", "")


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_a_tree_counts_processor_time_and_memory() -> None:
    import os

    assert cpu_seconds([os.getpid()]) > 0
    assert pss_bytes([os.getpid()]) > 1_000_000


def test_the_interval_holds_the_share() -> None:
    found = detect.interval(9, 10)
    assert found.low < 0.9 < found.high <= 1.0


def test_the_reference_has_twenty_expressions() -> None:
    assert len(detect.REFERENCE) == 20
    assert detect.said_by_regexes("MRN: 4471920")
    assert not detect.said_by_regexes("Lunch at noon?")


def test_the_made_report_has_as_many_pages_as_asked() -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(letters.report(pages=3, bytes_wanted=30_000))
    try:
        assert len(document) == 3
        assert "Oyelaran" in document[2].get_textpage().get_text_range()
    finally:
        document.close()


@pytest.mark.parametrize("words", [["detect", "--only", "rates"], ["relay", "--only", "everything"]])
def test_a_part_that_an_area_has_not_is_refused_before_anything_starts(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 78
    assert "rates, latency, durable, report, large" in capsys.readouterr().err


def test_sigterm_leaves_as_an_error_does_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from gateway.cli import bench

    set_to: list[object] = []
    monkeypatch.setattr(signal, "signal", lambda number, what: set_to.append((number, what)))
    with pytest.raises(SystemExit) as left:
        bench._end(signal.SIGTERM, None)
    assert left.value.code == 143
    assert set_to == [(signal.SIGTERM, signal.SIG_IGN)]
