"""Where the files that people see, the shipped policies and units lie: inside the wheel, or beside the packages in a
checkout.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_CARRIED = _PACKAGE / "_assets"


def web_dir() -> Path:
    """Folder with `templates/`, `static/` and `text/`."""
    carried = _CARRIED / "web"
    return carried if carried.is_dir() else _PACKAGE.parent / "web"


def policies_dir() -> Path:
    """Folder with the shipped policies."""
    carried = _CARRIED / "policies"
    return carried if carried.is_dir() else _PACKAGE.parent / "deploy" / "policies"


def units_dir() -> Path:
    """Folder with the shipped systemd units."""
    carried = _CARRIED / "systemd"
    return carried if carried.is_dir() else _PACKAGE.parent / "deploy" / "systemd"
