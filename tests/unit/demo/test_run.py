"""What the demo refuses, where it puts its data, which ports it takes, how a broken proof ends the check."""

from __future__ import annotations

import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.demo import browser, check
from gateway.demo.ports import choose, free_port
from gateway.demo.run import Wanted, folder, refuse_production, told
from gateway.demo.story import Broken, Story, expect
from gateway.errors import Misconfigured, TryLater


def test_refuses_where_a_real_gateway_is_configured(tmp_path: Path) -> None:
    refuse_production({}, tmp_path / "absent")
    refuse_production({}, tmp_path)
    with pytest.raises(Misconfigured, match="SEALGATE_CONFIG"):
        refuse_production({"SEALGATE_CONFIG": "/x.toml"}, tmp_path)
    (tmp_path / "gateway.toml").touch()
    with pytest.raises(Misconfigured, match=r"gateway\.toml exists"):
        refuse_production({}, tmp_path)


def test_throwaway_folder_is_private_and_goes() -> None:
    with folder(Wanted()) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        (path / "x").touch()
    assert not path.exists()


def test_folder_goes_after_a_failure_too() -> None:
    with pytest.raises(ZeroDivisionError), folder(Wanted()) as path:
        raise ZeroDivisionError
    assert not path.exists()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Sockets have short paths; those that pytest makes for several processes are long."""
    with tempfile.TemporaryDirectory(prefix="sg", dir="/tmp") as path:
        yield Path(path)


def test_named_or_wanted_folder_is_kept(short_path: Path) -> None:
    named = short_path / "d"
    with folder(Wanted(data=named)) as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert named.is_dir()
    with folder(Wanted(keep=True)) as path:
        pass
    assert path.is_dir()
    path.rmdir()


def test_folder_with_something_in_it_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(Misconfigured, match="empty folder"), folder(Wanted(data=tmp_path)):
        pass
    assert (tmp_path / "mine").read_text() == "kept"


def test_path_too_long_for_sockets_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="too long"), folder(Wanted(data=tmp_path / ("x" * 80))):
        pass


def test_taken_usual_port_is_said_and_taken_named_port_refused() -> None:
    usual = free_port()
    assert choose(None, usual, "mail goes in", "--smtp-port") == (usual, "")
    with socket.create_server(("127.0.0.1", usual)):
        port, note = choose(None, usual, "mail goes in", "--smtp-port")
        assert port != usual
        assert note == f"Port {usual} is taken, so mail goes in on {port}."
        with pytest.raises(Misconfigured, match=f"--smtp-port {usual}"):
            choose(usual, 2525, "mail goes in", "--smtp-port")
    with pytest.raises(Misconfigured, match="--web-port 70000"):
        choose(70000, 8080, "", "--web-port")


def test_fewer_than_twenty_lines_are_printed() -> None:
    clinic: Any = SimpleNamespace(
        portal="http://localhost:8080", config=Path("/x"), smtp_port=2525, data=Path("/x"),
        amy=SimpleNamespace(address="amy@riverside.test"),
    )  # fmt: skip
    lines = told(clinic, SimpleNamespace(url="http://127.0.0.1:8090"), ["taken"] * 3, None)  # type: ignore[arg-type]
    assert len(lines) < 20
    assert "  swaks -s localhost:2525 -f amy@riverside.test -t you@example.org --attach @any.pdf" in lines


class Still:
    """A clinic that does nothing, for the runner alone."""

    def __init__(self, *arguments: object) -> None:
        self.stopped = 0

    def start(self) -> None:
        """Up."""

    def stop(self) -> None:
        """Down."""
        self.stopped += 1

    def left_behind(self) -> list[int]:
        """Nothing."""
        return []


def broken(story: Story) -> str:
    expect(False, "the sky is green")
    return "never"


def late(story: Story) -> str:
    raise TryLater("nobody answers")


def absent(story: Story) -> str:
    raise KeyError("/verify")


def unsaid(story: Story) -> str:
    return "this one holds"


@pytest.mark.parametrize(
    ("step", "words"), [(broken, "the sky is green"), (late, "nobody answers"), (absent, "KeyError: '/verify'")]
)
def test_a_broken_proof_ends_the_check_and_names_its_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], step: check.Step, words: str
) -> None:
    monkeypatch.setattr(check, "Clinic", Still)
    steps = (("grass", unsaid), ("sky", step), ("sea", unsaid))
    assert check.check(Wanted(), {}, browser=False, steps=steps) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "ok   2 grass: this one holds"
    assert lines[2] == f"FAILED at 3 sky: {words}"
    assert len(lines) == 3


def test_all_proofs_holding_gives_zero(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(check, "Clinic", Still)
    assert check.check(Wanted(), {}, browser=False, steps=(("grass", unsaid),)) == 0
    assert "The whole story holds: 3 steps" in capsys.readouterr().out


def test_without_chromium_it_says_so_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "Clinic", Still)
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    assert check.check(Wanted(), {}, browser=True, steps=(("grass", unsaid),)) == 69
    assert "apt-get install chromium" in capsys.readouterr().err
    assert check.check(Wanted(), {}, browser=False, steps=(("grass", unsaid),)) == 0


def test_expect_raises_only_when_it_does_not_hold() -> None:
    expect(True, "never")
    with pytest.raises(Broken, match="seen"):
        expect(False, "seen")
