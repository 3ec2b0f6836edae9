"""keys.providers.file: a root key made whole or not at all, and refused when others may reach it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keys import providers
from keys.errors import Tampered, Unusable, WrongKek
from keys.providers import KeyProvider
from keys.providers.file import FileProvider
from tests.unit.keys.conftest import flips


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kek"


def put(path: Path, content: bytes, mode: int = 0o400) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def test_a_created_key_is_read_again_by_its_owner_alone(path: Path) -> None:
    provider: KeyProvider = FileProvider.open(path, create=True)
    assert path.stat().st_mode & 0o7777 == 0o400
    assert os.listdir(path.parent) == ["kek"]
    again = FileProvider.open(path)
    assert again.check_value == provider.check_value
    assert again.unwrap(provider.wrap(b"k" * 32, b"day 1"), b"day 1") == b"k" * 32
    assert provider.name == f"file {path}"


def test_an_existing_key_is_never_replaced(path: Path) -> None:
    first = FileProvider.open(path, create=True).check_value
    content = path.read_bytes()
    assert FileProvider.open(path, create=True).check_value == first
    assert path.read_bytes() == content


def test_two_creators_at_once_end_with_one_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process links its file in first: ours gives way and reads that one."""
    link = os.link
    other = path.with_name("other")
    expected = FileProvider.open(other, create=True).check_value

    def late(source: Path, target: Path) -> None:
        if not path.exists():
            link(other, path)
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    assert FileProvider.open(path, create=True).check_value == expected
    assert sorted(os.listdir(path.parent)) == ["kek", "other"]


def test_a_crash_while_creating_leaves_no_half_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Unusable):
        FileProvider.open(path, create=True)
    assert os.listdir(path.parent) == []


def test_the_key_is_synced_before_it_has_its_name_and_its_directory_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("sync"), sync(fd))[1])
    monkeypatch.setattr(os, "link", lambda a, b: (order.append("link"), link(a, b))[1])
    FileProvider.open(path, create=True)
    assert order == ["sync", "link", "sync"]


def test_a_missing_key_is_said_and_not_made(path: Path) -> None:
    with pytest.raises(Unusable, match="missing"):
        FileProvider.open(path)
    assert not path.exists()


def test_a_dangling_link_is_not_written_through(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(Unusable):
        FileProvider.open(path, create=True)
    assert not path.with_name("elsewhere").exists()


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o420, 0o402, 0o410, 0o777])
def test_a_key_that_others_may_reach_is_refused_with_the_remedy(path: Path, mode: int) -> None:
    FileProvider.open(path, create=True)
    path.chmod(mode)
    with pytest.raises(Unusable, match="chmod 0400"):
        FileProvider.open(path)
    path.chmod(0o400)
    FileProvider.open(path)


def test_a_strangers_key_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileProvider.open(path, create=True)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(Unusable, match="belongs to"):
        FileProvider.open(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"sealgate-kek-v1",
        b"sealgate-kek-v1 \n",
        b"sealgate-kek-v2 " + b"0" * 64 + b"\n",
        b"sealgate-kek-v1 " + b"0" * 63 + b"\n",
        b"sealgate-kek-v1 " + b"0" * 65 + b"\n",
        b"sealgate-kek-v1 " + b"g" * 64 + b"\n",
        b"sealgate-kek-v1 " + b"A" * 64 + b"\n",
        b"\xff" * 300,
        os.urandom(32),
    ],
    ids=range(10),
)
def test_a_file_that_is_no_key_is_refused_without_showing_it(path: Path, content: bytes) -> None:
    put(path, content)
    with pytest.raises(Unusable) as caught:
        FileProvider.open(path)
    assert "0" * 60 not in str(caught.value)
    assert "A" * 60 not in str(caught.value)


def test_a_directory_or_pipe_is_no_key_and_does_not_block(path: Path) -> None:
    path.mkdir()
    with pytest.raises(Unusable):
        FileProvider.open(path)
    path.rmdir()
    os.mkfifo(path, 0o400)
    with pytest.raises(Unusable):
        FileProvider.open(path)


def test_a_wrap_opens_under_its_key_and_context_alone(path: Path) -> None:
    provider = FileProvider.open(path, create=True)
    stranger = FileProvider.open(path.with_name("other"), create=True)
    wrapped = provider.wrap(b"k" * 32, b"context")
    assert provider.unwrap(wrapped, b"context") == b"k" * 32
    assert provider.wrap(b"k" * 32, b"context") != wrapped
    assert stranger.check_value != provider.check_value
    for other, context in ((provider, b"other"), (provider, b""), (stranger, b"context")):
        with pytest.raises(Tampered):
            other.unwrap(wrapped, context)
    for changed in flips(wrapped):
        with pytest.raises(Tampered):
            provider.unwrap(changed, b"context")
    for length in range(len(wrapped)):
        with pytest.raises(Tampered):
            provider.unwrap(wrapped[:length], b"context")


def test_the_check_value_is_not_part_of_the_key(path: Path) -> None:
    provider = FileProvider.open(path, create=True)
    assert provider.check_value not in path.read_text()
    assert len(provider.check_value) == 16


def test_a_wrong_kek_is_refused_by_name() -> None:
    error = WrongKek("file /etc/kek", expected="aaaa", found="bbbb")
    assert all(word in str(error) for word in ("file /etc/kek", "aaaa", "bbbb"))


def test_providers_are_found_by_name_and_a_name_is_taken_once() -> None:
    assert providers.provider_class("file") is FileProvider
    with pytest.raises(Unusable, match="known: aws-kms, file"):
        providers.provider_class("fille")
    with pytest.raises(ValueError):
        providers.register("file")(object)
