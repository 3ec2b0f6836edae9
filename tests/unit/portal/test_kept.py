"""Compiled templates beside the program: taken for exactly their source, and never needed."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from gateway.portal.kept import Kept
from gateway.portal.render import Renderer

PAGE, PART = "page.html", "parts/part.html"


def environment(templates: Path, folder: Path, *, trim_blocks: bool = True) -> tuple[jinja2.Environment, Kept]:
    made = jinja2.Environment(loader=jinja2.FileSystemLoader(templates), autoescape=True, trim_blocks=trim_blocks)
    made.bytecode_cache = kept = Kept(templates, made, folder)
    return made, kept


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    (folder / "parts").mkdir(parents=True)
    (folder / PAGE).write_text("{% include 'parts/part.html' %} {{ name }}\n")
    (folder / PART).write_text("Dear\n")
    return folder


@pytest.fixture
def kept(templates: Path, tmp_path: Path) -> Path:
    made, kept = environment(templates, tmp_path)
    for name in (PAGE, PART):
        made.get_template(name)
    kept.keep()
    return kept.path


def compiled(made: jinja2.Environment, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The templates that are compiled from now on."""
    names: list[str] = []
    compile = made.compile

    def noted(source: str, name: str | None = None, filename: str | None = None) -> object:
        names.append(name or "")
        return compile(source, name, filename)

    monkeypatch.setattr(made, "compile", noted)
    return names


def test_what_is_kept_is_not_compiled_again(
    templates: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = environment(templates, tmp_path)
    names = compiled(made, monkeypatch)
    assert made.get_template(PAGE).render(name="<Ann>") == "Dear &lt;Ann&gt;"
    assert names == []


def test_another_source_or_option_is_another_file(templates: Path, kept: Path, tmp_path: Path) -> None:
    assert environment(templates, tmp_path, trim_blocks=False)[1].path != kept
    (templates / PART).write_text("Good day\n")
    made, after = environment(templates, tmp_path)
    assert after.path != kept
    assert made.get_template(PAGE).render(name="Ann") == "Good day Ann"
    after.keep()
    assert list(tmp_path.glob("*.code")) == [after.path]


def test_template_that_changes_under_a_running_portal_is_compiled(templates: Path, kept: Path, tmp_path: Path) -> None:
    made, _ = environment(templates, tmp_path)
    (templates / PART).write_text("Good day\n")
    assert made.get_template(PAGE).render(name="Ann") == "Good day Ann"


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "absent"])
def test_damaged_file_is_as_none(
    damage: str, templates: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kept.read_bytes()
    kept.write_bytes({"cut": whole[:-1], "flipped": whole[:-1] + bytes([whole[-1] ^ 1])}.get(damage, b""))
    if damage == "absent":
        kept.unlink()
    made, _ = environment(templates, tmp_path)
    names = compiled(made, monkeypatch)
    assert made.get_template(PAGE).render(name="Ann") == "Dear Ann"
    assert set(names) == {PAGE, PART}


def test_the_portal_takes_what_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Kept.__init__, "__defaults__", (tmp_path,))
    first = Renderer()
    first.load_all()
    first.kept.keep()
    again = Renderer()
    names = compiled(again._environment, monkeypatch)
    again.load_all()
    assert names == []
    assert len(again.kept._codes) > 30
