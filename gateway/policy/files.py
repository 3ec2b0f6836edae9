"""Policies as TOML files: shipped ones by name, own ones by path.

Promises: an unknown key, fact, treatment or name is refused with the nearest known one and the file's name; a policy
without rules is refused; the version is the beginning of the SHA-256 of the file's bytes, and of those of the shipped
policy that it extends.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from gateway.assets import policies_dir
from gateway.errors import Misconfigured
from gateway.policy.exceptions import partners, plain
from gateway.policy.facts import FACTS
from gateway.policy.model import SEALS, TREATMENTS, Policy, Rule
from gateway.registry import nearest

_KEYS = ("name", "when", "then", "seal", "say", "domains")
_TABLES = ("about", "extends", "rules", "release", "partners", "plain")


def shipped() -> list[str]:
    """Names of the policies that come with Sealgate."""
    return sorted(
        path.name.removesuffix(".toml")
        for path in policies_dir().glob("*.toml")
        if not path.name.endswith(".cases.toml")
    )


def load(path_or_name: str | Path) -> Policy:
    """A policy by path ("…/own.toml") or shipped name ("clinic"). Raises Misconfigured."""
    name, data, where = source(path_or_name)
    return parse(name, data, where)


def source(path_or_name: str | Path) -> tuple[str, bytes, str]:
    """Name, bytes and path of a policy's file. Raises Misconfigured."""
    text = str(path_or_name)
    if "/" in text or text.endswith(".toml"):
        path = Path(text)
    elif text in shipped():
        path = policies_dir() / f"{text}.toml"
    else:
        raise Misconfigured(f"[policy] file: unknown policy '{text}': {nearest(text, shipped())}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"[policy] file: {path} cannot be read ({error.strerror})") from error
    return path.stem, data, str(path)


def parse(name: str, data: bytes, where: str = "policy") -> Policy:
    """A policy from the bytes of its file. Raises Misconfigured naming `where` and the rule."""
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{where}: not TOML: {error}") from error
    for key in table:
        if key not in _TABLES:
            raise Misconfigured(f"{where}: unknown key '{key}': {nearest(key, list(_TABLES))}")
    base = _base(table.get("extends"), where)
    rows = table.get("rules", [])
    if not isinstance(rows, list) or not (rows or base):
        raise Misconfigured(f'{where}: a policy needs at least one [[rules]], or extends = "clinic"')
    rules = tuple(_rule(row, number, where) for number, row in enumerate(rows, 1))
    rules += base.rules if base else ()
    names = [rule.name for rule in rules]
    for rule_name in names:
        if names.count(rule_name) > 1:
            raise Misconfigured(f"{where}: two rules are named '{rule_name}'")
    second, staff = _release(table.get("release", {}), where)
    roles, reasons = plain(table.get("plain", {}), where)
    if roles and not any("plain_word" in rule.when for rule in rules):
        raise Misconfigured(f"{where}: [plain]: no rule asks for plain_word, so it would do nothing")
    digest = hashlib.sha256(data + (base.version.encode() if base else b"")).hexdigest()[:8]
    return Policy(name, digest, rules, second, partners(table.get("partners", []), where), roles, reasons, staff)


def _base(named: Any, where: str) -> Policy | None:
    """The shipped policy whose rules come after those of the file; its [release] does not."""
    if named is None:
        return None
    if named not in shipped():
        raise Misconfigured(f"{where}: extends = {named!r}: {nearest(str(named), shipped())}")
    return load(named)


_RELEASE = ("second_person", "staff_grant")


def _release(release: Any, where: str) -> tuple[bool, bool]:
    """`[release] second_person`: whether held mail goes out only when two officers say so. `staff_grant`: whether staff
    may send delivered mail again without its sender. The keyholder sees to both.
    """
    if not isinstance(release, dict):
        raise Misconfigured(f"{where}: release is not a table")
    for key in release:
        if key not in _RELEASE:
            raise Misconfigured(f"{where}: [release]: unknown key '{key}': {nearest(key, list(_RELEASE))}")
    values = [release.get(name, False) for name in _RELEASE]
    for name, value in zip(_RELEASE, values, strict=True):
        if not isinstance(value, bool):
            raise Misconfigured(f"{where}: [release] {name} = {value!r}: write true or false")
    return values[0], values[1]


def _rule(row: Any, number: int, where: str) -> Rule:
    if not isinstance(row, dict):
        raise Misconfigured(f"{where}: rule {number} is not a table")
    at = f"{where}: rule {number} ('{row.get('name', '?')}')"
    for key in row:
        if key not in _KEYS:
            raise Misconfigured(f"{at}: unknown key '{key}': {nearest(key, list(_KEYS))}")
    name, then, seal, say = row.get("name"), row.get("then"), row.get("seal", "found"), row.get("say", "")
    if not isinstance(name, str) or not name:
        raise Misconfigured(f"{at}: needs a name")
    if then not in TREATMENTS:
        raise Misconfigured(f"{at}: then = {then!r}: {nearest(str(then), list(TREATMENTS))}")
    if seal not in SEALS:
        raise Misconfigured(f"{at}: seal = {seal!r}: {nearest(str(seal), list(SEALS))}")
    if not isinstance(say, str):
        raise Misconfigured(f"{at}: say is not a text")
    when = _words(row.get("when", []), f"{at}: when")
    for word in when:
        fact = word.removeprefix("not ")
        if fact not in FACTS:
            raise Misconfigured(f"{at}: unknown fact '{fact}': {nearest(fact, list(FACTS))}")
    domains = tuple(domain.lower() for domain in _words(row.get("domains", []), f"{at}: domains"))
    return Rule(name, when, then, seal, say, domains)


def _words(value: Any, at: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise Misconfigured(f"{at} is not a list of texts")
    return tuple(value)
