"""The findings as people and as programs read them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from gateway.doctor import GREEN, RED, YELLOW, Result

WIDTH = 118


def as_text(results: Sequence[Result]) -> str:
    """Green checks take a line, the others four; the sum stands last."""
    lines: list[str] = []
    for one in results:
        check, finding = one.check, one.finding
        if finding.level == GREEN:
            lines.append(f"green   {check.id:<20}{finding.found}")
            continue
        lines.append(f"{finding.level:<8}{check.id:<20}{check.what}")
        for word, text in (("why", check.why), ("found", finding.found)):
            lines += textwrap.wrap(text, WIDTH, initial_indent=f"        {word:<8}", subsequent_indent=" " * 16)
        lines.append(f"        {'repair':<8}{finding.repair}")  # one line, so that it can be copied
    counts = {level: sum(one.finding.level == level for one in results) for level in (RED, YELLOW, GREEN)}
    return "\n".join([*lines, ", ".join(f"{count} {level}" for level, count in counts.items())])


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """`ok` is True when nothing is red."""
    return {
        "ok": all(one.finding.level != RED for one in results),
        "checks": [
            {
                "id": one.check.id,
                "what": one.check.what,
                "why": one.check.why,
                "level": one.finding.level,
                "found": one.finding.found,
                "repair": one.finding.repair,
            }
            for one in results
        ],
    }
