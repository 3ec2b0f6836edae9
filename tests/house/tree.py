"""The files that belong to the project."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_BUILT = {".git", ".venv", ".uv", "build", "dist"}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file under version control; outside a checkout every file that no tool made."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.decode().split("\0")
        return tuple(ROOT / name for name in names if name and (ROOT / name).is_file())
    return tuple(path for path in ROOT.rglob("*") if path.is_file() and not _BUILT & set(path.relative_to(ROOT).parts))


def product() -> list[Path]:
    """The Python files that ship."""
    return [
        path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in ("gateway", "keys")
    ]


def text_of(path: Path) -> str:
    """The file as text; nothing for what is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
