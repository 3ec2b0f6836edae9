"""What root does to another user's files it does to those and to nothing that a link points to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.errors import Misconfigured
from gateway.install import _folder
from gateway.quickstart.belongings import give, only_one, opened
from gateway.roles import Identities, Identity, number_as
from gateway.spool import layout

OLD, NEW = 61_001, 61_002
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of an ordinary user below one that only root may write to; beside it a file that is root's."""
    with TemporaryDirectory(dir="/var/lib") as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "roots").write_text("secret")
        (top / "data" / "inner").mkdir(parents=True)
        (top / "data" / "inner" / "file").write_text("mine")
        for one in (top / "data", *(top / "data").rglob("*")):
            os.chown(one, OLD, OLD)
        yield top


def owners(top: Path) -> set[int]:
    return {one.lstat().st_uid for one in (top, *top.rglob("*"))}


def test_a_tree_is_given_whole(place: Path) -> None:
    (place / "data/twice").hardlink_to(place / "data/inner/file")  # its own, under two names: a crash leaves such
    give(place / "data", NEW, NEW)
    assert owners(place / "data") == {NEW}
    assert (place / "roots").stat().st_uid == 0


@pytest.mark.parametrize("how", ["file", "folder", "hard", "way", "pipe"])
def test_what_leads_elsewhere_is_refused_by_name_and_changes_nothing_there(place: Path, how: str) -> None:
    data, top = place / "data", place / "data"
    if how == "file":
        (data / "inner/link").symlink_to(place / "roots")
    elif how == "folder":
        (data / "link").symlink_to(place)
    elif how == "hard":
        (data / "inner/link").hardlink_to(place / "roots")
    elif how == "pipe":
        os.mkfifo(data / "inner/link")
    else:
        (data / "link").symlink_to(place)
        top = data / "link" / "roots"
    with pytest.raises(Misconfigured, match="link"):
        give(top, NEW, NEW)
    assert (place / "roots").stat().st_uid == 0
    assert place.stat().st_uid == 0


def test_a_link_that_only_root_can_have_made_is_a_way(place: Path) -> None:
    (place / "key").symlink_to("roots")
    (place / "way").symlink_to(place / "data")
    with opened(place / "key") as file:
        only_one(file, place / "key")
        assert os.fstat(file).st_ino == (place / "roots").stat().st_ino
    give(place / "way" / "inner", NEW, NEW)
    assert owners(place / "data" / "inner") == {NEW}


def test_a_folder_of_a_role_that_is_a_link_is_refused(place: Path) -> None:
    (place / "data/log").symlink_to(place)
    who = Identities({"smtp": Identity(NEW, NEW)}, enforced=True)
    with pytest.raises(Misconfigured, match="link or a file"):
        _folder(place / "data/log", who, "smtp", 0o777)
    assert (place.stat().st_uid, place.stat().st_mode & 0o777) == (0, 0o755)


def test_a_spool_folder_that_is_a_link_is_refused(place: Path) -> None:
    layout.create(place / "in")
    (place / "in/large").rmdir()
    (place / "in/large").symlink_to(place)
    with pytest.raises(Misconfigured, match="link"):
        layout.create(place / "in", mode=0o2770)
    assert place.stat().st_mode & 0o7777 == 0o755


def test_what_a_role_can_write_to_is_looked_at_as_that_role(place: Path) -> None:
    (place / "roots").chmod(0o600)
    assert number_as(Identity(NEW, NEW), os.geteuid) == NEW
    assert number_as(Identity(NEW, NEW), lambda: len((place / "roots").read_text())) is None
