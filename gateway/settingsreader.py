"""One configuration file and one environment, read and refused by name, then turned into sections.

Promises: those of `gateway.settings`; each clinic's table of `[[tenants]]` lies over the sections, so that everything
after sees one clinic at a time.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

from gateway import senders, tenancies
from gateway import settingtypes as kinds
from gateway.errors import Misconfigured
from gateway.registry import nearest
from gateway.settingstext import SECTIONS, line_numbers, render_value, table_name
from gateway.settingtypes import SecretFile

PREFIX = "SEALGATE_"
_OUTSIDE_SECTIONS = ("SEALGATE_CONFIG",)  # variables that are ours and no setting; also SEALGATE_TEST_…


class Reader:
    """One configuration file and one environment, turned into sections."""

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.path = path
        self.file = path.name if path else "the environment"
        self.origins: dict[str, str] = {}
        self.tables: list[dict[str, Any]] = []
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self.at_table, self.networks_shared = "", False
        self._lines: dict[tuple[str, str], int] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._values: dict[tuple[str, str], tuple[Any, str, Path]] = {}
        if path is not None:
            self._read_file(path)
        self._read_environment(environ)
        self._tables_alone()

    def overlaid(self, index: int) -> Reader:
        """The same with one clinic's table over the sections."""
        table, name = self.tables[index], table_name(index)
        found = copy(self)
        found.origins, found._values, found._names = {}, dict(self._values), {}
        found.at_table = self._at(name, "")
        base = (self.path or Path()).absolute().parent
        known = {item.name: item for item in fields(tenancies.Tenancy)}
        for key in table:
            if key not in known:
                raise Misconfigured(
                    f"{self._at(name, key)}: [[tenants]] {key} is no setting of a clinic; {nearest(key, list(known))}"
                )
        smarthost = [key for key in table if key.startswith("smarthost")]
        if smarthost and "smarthost" not in table:
            raise Misconfigured(f"{found.at_table}: [[tenants]] smarthost is missing beside {smarthost[0]}")
        for place in tenancies.SMARTHOST if smarthost else ():
            found._values.pop(place, None)  # a password is for the server that it was given for
        for key, item in known.items():
            own = tenancies.PLACES.get(key)
            if own is not None:
                found._names[own] = f"[[tenants]] {key}"
            if own is not None and key in table:
                found._values[own] = (table[key], self._at(name, key), base)
            elif item.metadata["required"]:
                shown = f"{key} = {render_value(item.metadata['example'])}"
                raise Misconfigured(f"{found.at_table}: [[tenants]] {key} is missing; write for example: {shown}")
        try:
            found.networks_shared = kinds.flag(table.get("networks_shared", False))
        except ValueError as error:
            raise Misconfigured(f"{self._at(name, 'networks_shared')}: [[tenants]] networks_shared {error}") from error
        return found

    def named(self, section: str, key: str) -> str:
        """The key as the person who wrote the file knows it."""
        return self._names.get((section, key), f"[{section}] {key}")

    def _tables_alone(self) -> None:
        for (section, key), (_, where, _) in self._values.items() if self.tables else ():
            if section == "tenant" or (section, key) in tenancies.OWN:
                raise Misconfigured(f"{where}: [{section}] {key} belongs into each clinic's table of [[tenants]]")

    def listed(self, name: str) -> list[tuple[Any, str]]:
        """The tables of `[[name]]` with where each stands."""
        known = {item.name: item for item in fields(senders.TABLES[name])}
        base = (self.path or Path()).absolute().parent
        found = []
        for index, table in enumerate(self._lists.get(name, ())):
            place, values = table_name(index, name), {}
            for key, raw in table.items():
                where = self._at(place, key)
                if key not in known:
                    raise Misconfigured(f"{where}: [[{name}]] {key} is no setting; {nearest(key, list(known))}")
                try:
                    values[key] = _anchored(known[key].metadata["parse"](raw), base)
                except ValueError as error:
                    raise Misconfigured(f"{where}: [[{name}]] {key} {error}") from error
            for key, item in known.items():
                if item.metadata["required"] and key not in values:
                    shown = f"{key} = {render_value(item.metadata['example'])}"
                    raise Misconfigured(
                        f"{self._at(place, '')}: [[{name}]] {key} is missing; write for example: {shown}"
                    )
            found.append((senders.TABLES[name](**values), self._at(place, "")))
        return found

    def section(self, name: str) -> Any:
        """The section's class, filled in."""
        values: dict[str, Any] = {}
        for item in fields(SECTIONS[name]):
            key = f"{name}.{item.name}"
            raw, where, base = self._values.get((name, item.name), (None, "default", Path("/")))
            self.origins[key] = where
            if where == "default":
                if item.metadata["required"]:
                    raise Misconfigured(
                        f"{self.file}: {self.named(name, item.name)} is missing; write for example: "
                        f"{item.name} = {render_value(item.metadata['example'])}   # {item.metadata['doc']}"
                    )
                continue
            try:
                empty = raw == "" and item.default in (None, "") and not item.metadata["required"]
                values[item.name] = item.default if empty else _anchored(item.metadata["parse"](raw), base)
            except ValueError as error:
                raise Misconfigured(f"{where}: {self.named(name, item.name)} {error}") from error
        return SECTIONS[name](**values)

    def where(self, section: str, key: str) -> str:
        """`file:line` or the variable's name, of a value that stands somewhere, else the file."""
        origin = self.origins.get(f"{section}.{key}", "default")
        return self.file if origin == "default" else origin

    def _read_file(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            source = data.decode("utf-8")
            document = tomllib.loads(source)
        except OSError as error:
            raise Misconfigured(
                f"configuration file {path} cannot be read: {error.strerror}. Name yours with --config, or in "
                "SEALGATE_CONFIG; 'sealgate quickstart DOMAIN --admin ADDRESS' writes a first one"
            ) from error
        except UnicodeDecodeError as error:
            raise Misconfigured(f"{path.name}: is not UTF-8 text") from error
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"{path.name}: is not TOML: {error}") from error
        self._lines = line_numbers(source)
        base = path.absolute().parent
        for name, table in document.items():
            if name == tenancies.TABLE:
                if not isinstance(table, list) or not table or not all(isinstance(one, dict) for one in table):
                    raise Misconfigured(f"{self._at(name, '')}: write [[tenants]] above each clinic's keys")
                self.tables = table
                continue
            if name in senders.TABLES:
                if not isinstance(table, list) or not all(isinstance(one, dict) for one in table):
                    raise Misconfigured(f"{self._at(name, '')}: write [[{name}]] above each table's keys")
                self._lists[name] = table
                continue
            if name not in SECTIONS:
                raise Misconfigured(f"{self._at(name, '')}: [{name}] is not a section; {nearest(name, list(SECTIONS))}")
            if not isinstance(table, dict):
                raise Misconfigured(f"{self._at(name, '')}: {name} must be a section; write [{name}] above its keys")
            for key, value in table.items():
                self._take(name, key, value, self._at(name, key), base)

    def _read_environment(self, environ: Mapping[str, str]) -> None:
        ours = {name: value for name, value in environ.items() if name.startswith(PREFIX)}
        for variable, value in sorted(ours.items()):
            if variable in _OUTSIDE_SECTIONS or variable.startswith("SEALGATE_TEST_"):
                continue
            name, _, key = variable.removeprefix(PREFIX).lower().partition("__")
            if name not in SECTIONS or not key:
                known = [f"{PREFIX}{part}__{item.name}".upper() for part in SECTIONS for item in fields(SECTIONS[part])]
                close = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
                hint = f"did you mean '{close[0]}'?" if close else "settings are named SEALGATE_SECTION__KEY"
                raise Misconfigured(f"environment variable {variable} is not a setting; {hint}")
            self._take(name, key, value, f"environment variable {variable}", Path.cwd())

    def _take(self, name: str, key: str, value: Any, where: str, base: Path) -> None:
        known = [item.name for item in fields(SECTIONS[name])]
        if key not in known:
            raise Misconfigured(f"{where}: [{name}] {key} is not a setting; {nearest(key, known)}")
        self._values[name, key] = (value, where, base)

    def _at(self, name: str, key: str) -> str:
        line = self._lines.get((name, key)) or self._lines.get((name, ""))
        return f"{self.file}:{line}" if line else self.file


def _anchored(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return base / value
    if isinstance(value, SecretFile):
        return SecretFile(base / value.path)
    return value
