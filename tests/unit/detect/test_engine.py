"""The compiled patterns: kept for later processes, and never trusted when they are not what would be compiled now."""

from __future__ import annotations

from pathlib import Path

from gateway.detect.engine import Engine

TEXT = "patient anna oyelaran, mrn 00482915, dob 03/04/1961, anna@example.org"


def test_kept_patterns_find_what_fresh_ones_find(tmp_path: Path) -> None:
    fresh = Engine(tmp_path)
    kept = fresh.keep()
    before = kept.stat().st_mtime_ns
    found = Engine(tmp_path).scan(TEXT)
    assert found == fresh.scan(TEXT)
    assert found.anchors
    assert found.emails
    assert kept.stat().st_mtime_ns == before


def test_damaged_patterns_are_compiled_anew_and_older_ones_removed(tmp_path: Path) -> None:
    fresh = Engine(tmp_path)
    kept = fresh.keep()
    raw = bytearray(kept.read_bytes())
    raw[len(raw) // 2] ^= 1
    kept.write_bytes(raw)
    (tmp_path / "patterns-0.hsdb").write_bytes(b"of another version")
    again = Engine(tmp_path)
    assert again.scan(TEXT) == fresh.scan(TEXT)
    assert again.keep() == kept
    assert list(tmp_path.iterdir()) == [kept]
