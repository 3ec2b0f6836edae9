"""The table of permissions: reads `roles.toml`, from which guards are made (`guards.py`) and commands are checked.

Promises: a line that cannot be understood, an unknown role, a page or command without a line and a line without a page
or command are refused by name at start. 45 CFR 164.308(a)(4), 164.312(a)(1); DESIGN §7.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway.errors import Misconfigured
from gateway.registry import nearest

FILE = Path(__file__).with_name("roles.toml")
PARTIES = ("anyone", "link", "reader", "inbox", "operator")
"""Who may ask besides workforce members in their roles."""
OTHERS = ("none", "message", "role", "one", "counts", "all")
_KEYS = frozenset({"who", "proof", "others", "code", "as"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Either `party` is one of `PARTIES`, or it is empty and `roles` says which workforce members.

    `named` are the roles of a person whose password and code a command wants besides.
    """

    party: str
    roles: frozenset[str]
    proof: int
    others: str
    code: bool = False
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Table:
    """The whole file. Keys of `routes` are method and path, as in `GET /staff`."""

    roles: tuple[str, ...]
    sees: Mapping[str, Mapping[str, str]]
    refused: Mapping[str, int | str]
    routes: Mapping[str, Line]
    control: Mapping[str, Line]
    commands: Mapping[str, Line]
    acts: Mapping[str, frozenset[str]]

    def may(self, role: str | None, route: str) -> bool:
        """Whether a workforce member in that role may use a staff route. Raises KeyError for a route without a line."""
        return role in self.routes[route].roles


def parse(text: str) -> Table:
    """Raises Misconfigured naming the line that is wrong."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"roles.toml: is not TOML: {error}") from error
    known = tuple(value.get("roles", ()))
    sections = {name: value.get(name, {}) for name in ("routes", "control", "commands")}
    lines = {
        name: {key: _line(f"[{name}] {key}", one, known) for key, one in part.items()}
        for name, part in sections.items()
    }
    acts = {
        key: _roles(f"[keyholder.acts] {key}", one, known)
        for key, one in value.get("keyholder", {}).get("acts", {}).items()
    }
    return Table(known, value.get("sees", {}), value.get("refused", {}), acts=acts, **lines)


def _line(where: str, value: Any, known: tuple[str, ...]) -> Line:
    if not isinstance(value, dict) or not {"who", "proof", "others"} <= set(value) <= _KEYS:
        raise Misconfigured(f"roles.toml: {where}: write who, proof and others")
    who, proof, others = value["who"], value["proof"], value["others"]
    if who not in PARTIES and not isinstance(who, list):
        raise Misconfigured(f"roles.toml: {where}: who: {nearest(str(who), list(PARTIES))}, or a list of roles")
    if proof not in (0, 1, 2, 3):
        raise Misconfigured(f"roles.toml: {where}: proof must be 0 to 3")
    if others not in OTHERS:
        raise Misconfigured(f"roles.toml: {where}: others: {nearest(str(others), list(OTHERS))}")
    named = _roles(where, value["as"], known) if "as" in value else frozenset[str]()
    if isinstance(who, list):
        return Line("", _roles(where, who, known), proof, others, bool(value.get("code")), named)
    return Line(who, frozenset(), proof, others, bool(value.get("code")), named)


def _roles(where: str, value: Any, known: tuple[str, ...]) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise Misconfigured(f"roles.toml: {where}: must be a list of roles, such as ['officer']")
    for role in value:
        if role not in known:
            raise Misconfigured(f"roles.toml: {where}: unknown role '{role}': {nearest(str(role), list(known))}")
    return frozenset(value)


@lru_cache(maxsize=1)
def table() -> Table:
    """The table that ships. Raises Misconfigured."""
    return parse(FILE.read_text("utf-8"))


def same(what: str, lines: Mapping[str, Line], there: Iterable[str]) -> None:
    """Raises Misconfigured for something without a line, or a line without its thing."""
    names = set(there)
    for name in sorted(names - set(lines)):
        raise Misconfigured(f"roles.toml: {what} '{name}' has no line; say who may use it")
    for name in sorted(set(lines) - names):
        raise Misconfigured(f"roles.toml: '{name}' is no {what}; {nearest(name, sorted(names))}")
