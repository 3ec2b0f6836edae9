"""A role's own key file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.spool import nodekey


def test_key_is_made_once_and_read_back(tmp_path: Path) -> None:
    key = nodekey.create(tmp_path / "node.key")
    assert (tmp_path / "node.key").stat().st_mode & 0o777 == 0o400
    assert nodekey.load(tmp_path / "node.key").public == key.public
    with pytest.raises(Misconfigured, match="never overwritten"):
        nodekey.create(tmp_path / "node.key")


def test_missing_short_or_open_key_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"node\.key"):
        nodekey.load(tmp_path / "node.key")
    (tmp_path / "short.key").write_bytes(b"x" * 31)
    (tmp_path / "short.key").chmod(0o400)
    with pytest.raises(Misconfigured, match="31 bytes"):
        nodekey.load(tmp_path / "short.key")
    nodekey.create(tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o440)
    with pytest.raises(Misconfigured, match="readable by others"):
        nodekey.load(tmp_path / "open.key")


def test_pinned_key_is_read_back_and_never_replaced(tmp_path: Path) -> None:
    nodekey.pin(tmp_path / "keyholder.pub", b"p" * 32)
    assert nodekey.pinned(tmp_path / "keyholder.pub") == b"p" * 32
    with pytest.raises(Misconfigured):
        nodekey.pin(tmp_path / "keyholder.pub", b"q" * 32)
    (tmp_path / "bad.pub").write_text("zz")
    with pytest.raises(Misconfigured, match=r"bad\.pub"):
        nodekey.pinned(tmp_path / "bad.pub")
