"""Who may import whom: the contracts of pyproject.toml, and which room may touch which library."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.house.tree import ROOT, product

ONLY = {
    "aiosmtpd": ("gateway.smtp",),
    "uvicorn": ("gateway.portal",),
    "fastapi": ("gateway.portal",),
    "starlette": ("gateway.portal",),
    "jinja2": ("gateway.portal",),
    "smtplib": ("gateway.courier",),
    "alembic": ("gateway.store",),
    "pydicom": ("gateway.detect",),
    "pypdfium2": ("gateway.detect",),
    "hyperscan": ("gateway.detect",),
    "prometheus_client": ("gateway.metrics",),
    "nacl": ("keys",),
    "cryptography": ("keys", "gateway.doctor", "gateway.quickstart"),
    "dns": ("gateway.doctor",),
    "argon2": ("keys.keyholder", "keys.inboxes"),
    "pyotp": ("keys.keyholder",),
}
"""A library and the only rooms that know it; gateway.demo and gateway.bench play the world outside and may use any."""


def imported() -> list[tuple[str, str]]:
    """(module, top of what it imports), for every import statement of the product."""
    found = []
    for path in product():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [(module, alias.name.split(".")[0]) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.append((module, node.module.split(".")[0]))
    return found


def test_import_contracts_hold() -> None:
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("library", sorted(ONLY))
def test_library_is_known_to_its_rooms_only(library: str) -> None:
    rooms = (*ONLY[library], "gateway.demo", "gateway.bench")
    others = {module for module, top in imported() if top == library and not module.startswith(rooms)}
    assert not others, f"{library} is imported by {sorted(others)}; allowed: {rooms}"


def test_product_imports_only_what_it_depends_on() -> None:
    import importlib.metadata
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for name, lines in extras.items() if name != "test" for line in lines)]
    ours = {re.split(r"[\[<>=~! ]", line)[0].lower().replace("_", "-") for line in wanted}
    packages = importlib.metadata.packages_distributions()
    missing = {
        (module, top)
        for module, top in imported()
        if top in packages and top not in ("gateway", "keys")
        if not {_plain(name) for name in packages[top]} & ours
        # Halves that fastapi, jinja2, boto3 and hvac promise to bring.
        if top not in ("starlette", "markupsafe", "botocore", "requests")
    }
    assert not missing


def _plain(name: str) -> str:
    """A distribution's name as package indexes compare it."""
    return name.lower().replace("_", "-")
