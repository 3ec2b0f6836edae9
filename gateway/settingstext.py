"""The configuration file as text: its sections by name, where a line stands, values as TOML, the example that ships."""

from __future__ import annotations

import re
from dataclasses import Field, fields
from typing import Any

from gateway.section_audit import Audit
from gateway.section_dkim import Dkim
from gateway.section_keys import Keys
from gateway.section_smtp import Smtp
from gateway.sections import (
    Courier,
    Metrics,
    Node,
    Notify,
    Policy,
    Portal,
    Scan,
    Spool,
    Store,
    Tenant,
    Vault,
    Worker,
)
from gateway.senders import TABLES as LISTS
from gateway.tenancies import TABLE, Tenancy

SECTIONS: dict[str, type[Any]] = {
    "tenant": Tenant,
    "smtp": Smtp,
    "portal": Portal,
    "courier": Courier,
    "dkim": Dkim,
    "policy": Policy,
    "store": Store,
    "vault": Vault,
    "keys": Keys,
    "spool": Spool,
    "audit": Audit,
    "scan": Scan,
    "metrics": Metrics,
    "notify": Notify,
    "node": Node,
    "worker": Worker,
}
Places = dict[tuple[str, str], int]


def line_numbers(source: str) -> Places:
    """Where each plain `[section]` and `key =` stands; tomllib does not say. Unusual spellings simply have no line.

    The tables of `[[tenants]]` are named `tenants#0`, `tenants#1` and so on, those of other lists alike.
    """
    found: Places = {}
    section = ""
    tables = dict.fromkeys((TABLE, *LISTS), 0)
    for index, line in enumerate(source.splitlines(), 1):
        if (table := re.match(r"\s*\[\[\s*([a-z]+)\s*\]\]", line)) and table[1] in tables:
            section = table_name(tables[table[1]], table[1])
            tables[table[1]] += 1
            found[section, ""] = index
        elif header := re.match(r"\s*\[\s*([A-Za-z0-9_-]+)\s*\]", line):
            section = header[1]
            found.setdefault((section, ""), index)
        elif pair := re.match(r"\s*([A-Za-z0-9_-]+)(?:\.([A-Za-z0-9_-]+))?\s*=", line):
            place = (section, pair[1]) if section else (pair[1], pair[2] or "")
            found.setdefault(place, index)
            found.setdefault((place[0], ""), index)
    return found


def table_name(index: int, name: str = TABLE) -> str:
    """How a table of `[[tenants]]`, or of another list, is named among the places."""
    return f"{name}#{index}"


def render_value(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(render_value(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    shown = "" if value is None else str(value)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def example() -> str:
    """The text of `deploy/gateway.toml`: every setting with its sentence; what has a default stands commented out."""
    lines = [
        "# Sealgate's settings. Made from gateway/sections.py by: python -m gateway check --example",
        "#",
        '# What is commented out shows its default, or after "e.g." an example. Each key can be set by the',
        "# environment too: [smtp] listen is SEALGATE_SMTP__LISTEN. Secrets come as …_file only.",
    ]
    for name, section in SECTIONS.items():
        lines += ["", f"# {(section.__doc__ or '').strip()}", f"[{name}]"]
        for item in fields(section):
            lines.append(f"# {item.metadata['doc']}")
            lines.append(_shown(item))
    listed: dict[str, type[Any]] = {TABLE: Tenancy, **LISTS}
    for name, table in listed.items():
        lines += ["", *(f"# {one.strip()}" for one in (table.__doc__ or "").strip().splitlines() if one.strip())]
        lines.append(f"#   [[{name}]]")
        for item in fields(table):
            lines += [f"# {item.metadata['doc']}", "#   " + _shown(item).removeprefix("#")]
    return "\n".join(lines) + "\n"


def _shown(item: Field[Any]) -> str:
    if item.metadata["required"]:
        return f"{item.name} = {render_value(item.metadata['example'])}"
    if item.default in (None, "", ()) and item.metadata["example"] is not None:
        return f"#{item.name} = {render_value(item.default)}   # e.g. {render_value(item.metadata['example'])}"
    return f"#{item.name} = {render_value(item.default)}"
