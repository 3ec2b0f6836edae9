"""The demo takes the pictures that the README shows, each at the end of a step that really happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.demo.clinic import Clinic
from gateway.demo.pictures import NAMES, take
from tests.support import needs

pytestmark = [pytest.mark.full, pytest.mark.browser]


def test_every_picture_is_taken_of_a_page_that_says_what_it_must(clinic: Clinic, tmp_path: Path) -> None:
    chromium = needs.chromium()
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    assert take(clinic, chromium, tmp_path / "pictures") == list(NAMES)
    for name in NAMES:
        assert (tmp_path / "pictures" / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
