"""The accessibility rules of axe-core in a page that is open in Chromium, by day and by night.

The sheet changes nothing but colours at night (tests/unit/portal/test_small.py holds it to that), so at night the rules
about colour are asked again and no others: most of the time goes into the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

SCHEMES = ("light", "dark")
_HERE = "typeof axe === 'object'"
_RUN = """options => axe.run(options).then(
    found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"""
_COLOURS = {"runOnly": ["cat.color"]}


def violations(page: Page) -> Iterator[tuple[str, str, list[str]]]:
    """Scheme, rule and the elements that break it; the page is left as it is at night."""
    if not page.evaluate(_HERE):
        page.evaluate(AXE_SCRIPT)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        options: dict[str, Any] = {"resultTypes": ["violations"]} | (_COLOURS if scheme == "dark" else {})
        for rule, nodes in page.evaluate(_RUN, options):
            yield scheme, rule, nodes
