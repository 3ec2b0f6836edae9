"""The bench file and the README's table that is made from it.

The file is JSON: `schema`, `quick`, `machine` (no host name, no path), and `areas` with their figures; every figure has
what, unit, floor and for each contender median, least and greatest of its takings. Numbers are rounded to four figures.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.bench.measure import Area, Figure, Spread
from gateway.errors import Misconfigured

SCHEMA = "sealgate-bench/1"
BEGIN = "<!-- figures: made by `sealgate bench --table deploy/bench/figures.json` -->"
END = "<!-- /figures -->"


def as_json(areas: dict[str, Area], machine: dict[str, object], *, quick: bool) -> str:
    """The bench file's text."""
    data = {
        "schema": SCHEMA,
        "quick": quick,
        "machine": machine,
        "areas": {name: _area(area) for name, area in areas.items()},
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """A bench file. Raises Misconfigured for one that is none, or of another version."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} is not a bench file") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise Misconfigured(f"{path} is not a bench file of the form {SCHEMA}")
    return data


def table(data: dict[str, Any]) -> str:
    """The README's lines, markers included."""
    machine = data["machine"]
    lines = [
        BEGIN,
        f"Taken on {machine['cores']} cores ({machine['architecture']}), Python {machine['python']}, where a turn of "
        f"an empty Python loop takes {machine['python_loop_ns']:g} ns and SHA-256 runs at "
        f"{machine['sha256_mb_per_s']:g} MB/s; "
        f"load at the start {machine['load_at_start']:g}."
        + (" A quick run: one short taking each, good for the shape alone." if data["quick"] else ""),
        "",
        "| | figure | Sealgate | beside it, in the same run | asked for |",
        "|---|---|---|---|---|",
    ]
    notes: list[str] = []
    for name, area in data["areas"].items():
        for figure in area["figures"]:
            ours, *others = figure["values"].items()
            beside = " · ".join(f"{other} {_cell(values, '')}" for other, values in others)
            cells = [name, figure["what"], _cell(ours[1], figure["unit"]), beside, figure["floor"]]
            lines.append("| " + " | ".join(cells) + " |")
        notes += [f"* {name}: {note}" for note in area["notes"]]
    return "\n".join([*lines, *([""] if notes else []), *notes, END])


def _area(area: Area) -> dict[str, Any]:
    return {
        "seconds": _round(area.seconds),
        "figures": [_figure(figure) for figure in area.figures],
        "notes": list(area.notes),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "what": figure.what,
        "unit": figure.unit,
        "floor": figure.floor,
        "more_is_better": figure.more_is_better,
        "values": {name: _spread(spread) for name, spread in figure.values.items()},
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {name: _round(value) for name, value in asdict(spread).items()}


def _round(value: float) -> float:
    """To four figures. Raises ValueError for what is no real number."""
    if not math.isfinite(value):
        raise ValueError("a figure is not a number")
    return float(f"{value:.4g}")


def _cell(values: dict[str, float], unit: str) -> str:
    middle, low, high = (_short(values[name]) for name in ("median", "low", "high"))
    spread = "" if low == high else f" ({low} to {high})"
    return f"{middle}{' ' + unit if unit else ''}{spread}"


def _short(value: float) -> str:
    """Three figures at most, and no exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
