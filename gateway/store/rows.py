"""Rows under a MAC: what somebody changed, swapped or invented in the database is refused and named.

Promises: a row read here was written here, under its tenant's row-MAC key, for this table, with exactly these values;
otherwise Tampered names table and id. A MAC does not show age: an old row put back in its own place passes, so what
may end (revoked, expiry, floor) is asked of the keyholder. Clauses: DESIGN §4a, 45 CFR 164.312(c)(1).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, insert, select, update

from gateway.errors import NotFound, Tampered
from gateway.logs import Log
from gateway.store.database import Tx
from gateway.store.schema import MACED_TABLES
from gateway.store.statement import Statement
from keys.datakey import ValueKey
from keys.encoding import lp

_FIXED = ("id", "tenant")
_MACED = frozenset(MACED_TABLES)
_U32 = struct.Struct(">I")
_OCTETS = (bytes, memoryview)
_WHICH = "which_id"  # a parameter's name that no column has

log = Log("sealgate.store")


class Row(Mapping[str, Any]):
    """One verified row, read by column name. Its repr names table and id only."""

    __slots__ = ("_values", "table")

    def __init__(self, table: str, values: dict[str, Any]) -> None:
        self.table = table
        self._values = values

    def __getitem__(self, column: str) -> Any:
        return self._values[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Row({self.table}, {self._values.get('id')})"


class Lookup:
    """A statement for whole rows of one table, made once; its bindparams get their values at each call."""

    __slots__ = ("prepared", "table")

    def __init__(self, statement: Select[Any]) -> None:
        self.table = _table(statement)
        self.prepared = Statement(statement)


class Rows:
    """Reads and writes rows with `row_mac`. `mac_key` gives a tenant's row-MAC key; it may raise Tampered."""

    def __init__(self, mac_key: Callable[[str], ValueKey]) -> None:
        self._mac_key = mac_key

    def insert(self, tx: Tx, table: Table, **values: Any) -> Row:
        """Write a new row; columns not named are NULL. Raises IntegrityError for a taken id."""
        shape = _shape(table)
        full = {name: values.pop(name, None) for name in shape.names}
        if values:
            raise ValueError(f"{table.name} has no column {', '.join(sorted(values))}")
        shape.insert.do(tx.conn, {**full, "row_mac": self._mac(table, full)})
        return Row(table.name, full)

    def get(self, conn: Connection, table: Table, id: str) -> Row | None:
        """The row of that id, or None. Raises Tampered when its MAC does not hold."""
        found = _shape(table).get.first(conn, {_WHICH: id})
        return None if found is None else self._verified(table, found)

    def find(self, conn: Connection, statement: Select[Any] | Lookup, **parameters: Any) -> list[Row]:
        """The rows of a statement that selects every column of one table. Raises Tampered when one MAC does not hold.

        What is asked for every message is a `Lookup`, with its `parameters`: much cheaper than a statement made anew.
        A MAC proves each row given, not that none is missing: an empty answer is no proof of absence.
        """
        if isinstance(statement, Lookup):
            table = statement.table
            return [self._verified(table, found) for found in statement.prepared.all(conn, parameters)]
        table = _table(statement)
        return [self._verified(table, tuple(found)) for found in conn.execute(statement, parameters)]

    def sift(self, conn: Connection, statement: Select[Any]) -> tuple[list[Row], list[str]]:
        """As `find`, but one changed row keeps nobody else waiting: the sound rows, and the ids of the others."""
        table = _table(statement)
        sound: list[Row] = []
        changed: list[str] = []
        for found in conn.execute(statement):
            try:
                sound.append(self._verified(table, tuple(found)))
            except Tampered:
                changed.append(str(found.id))
        return sound, changed

    def update(self, tx: Tx, table: Table, id: str, **values: Any) -> Row:
        """Verify the row as it is, change these columns, write it with a new MAC.

        Raises NotFound for no such row, Tampered when the old MAC does not hold.
        """
        found = _shape(table).lock.first(tx.conn, {_WHICH: id})
        if found is None:
            raise NotFound(f"no row in {table.name}")
        return self._rewrite(tx, table, self._verified(table, found), values)

    def change(self, tx: Tx, table: Table, id: str, decide: Callable[[Row], Mapping[str, Any] | None]) -> Row | None:
        """As `update`, with the columns that `decide` names once it has seen the row; None from it changes nothing.

        Returns the row as it is then, or None when there is none. Raises Tampered.
        """
        found = _shape(table).lock.first(tx.conn, {_WHICH: id})
        if found is None:
            return None
        row = self._verified(table, found)
        values = decide(row)
        return row if values is None else self._rewrite(tx, table, row, values)

    def _rewrite(self, tx: Tx, table: Table, row: Row, values: Mapping[str, Any]) -> Row:
        if any(name in values for name in _FIXED):
            raise ValueError("id and tenant of a row never change")
        full = {**row, **values}
        if len(full) != len(row):
            raise ValueError(f"{table.name} has no such column")
        changed = {**values, "row_mac": self._mac(table, full)}
        _update(table, tuple(changed)).do(tx.conn, {**changed, _WHICH: row["id"]})
        return Row(table.name, full)

    def _verified(self, table: Table, found: tuple[Any, ...]) -> Row:
        values = dict(zip(_shape(table).columns, found, strict=True))
        mac = values.pop("row_mac")
        try:
            key = self._mac_key(values["tenant"])
        except (KeyError, NotFound) as error:  # the row names a tenant that is none
            raise self._alarm(table, values) from error
        if not isinstance(mac, bytes) or not key.check(_context(table), encode(values), mac):
            raise self._alarm(table, values)
        return Row(table.name, values)

    @staticmethod
    def _alarm(table: Table, values: Mapping[str, Any]) -> Tampered:
        log.error("store:row-tampered", kind=table.name, tenant=values["tenant"])
        return Tampered(f"row of {table.name}, id {values['id']}: its MAC does not hold")

    def _mac(self, table: Table, values: Mapping[str, Any]) -> bytes:
        return self._mac_key(values["tenant"]).mac(_context(table), encode(values))


def encode(values: Mapping[str, Any]) -> bytes:
    """The bytes under a MAC: name, type and value of every column that is not NULL, by name.

    NULL is left out, so that a column added later keeps old rows valid; setting a value to NULL still changes the
    bytes. Raises ValueError for a type that no column has.
    """
    parts: list[bytes] = []
    add = parts.append
    for name in sorted(values):
        value = values[name]
        if value is None:
            continue
        number, text, octets = _labels(name)
        # lp(name, type, value), written out: this runs for every column of every row read or written
        if isinstance(value, str):
            label, raw = text, value.encode("utf-8")
        elif isinstance(value, _OCTETS):
            label, raw = octets, bytes(value)
        elif type(value) is int:
            add(number)
            add(value.to_bytes(8, "big", signed=True))
            continue
        elif isinstance(value, bool):
            raise ValueError("a row holds no truth values")
        else:
            raise ValueError(f"a row holds no {type(value).__name__}")
        add(label)
        add(_U32.pack(len(raw)))
        add(raw)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def _labels(name: str) -> tuple[bytes, bytes, bytes]:
    """What stands before a column's number, text or bytes: its name and type, and a number's length."""
    label = lp(name)
    return label + lp("i") + _U32.pack(8), label + lp("s"), label + lp("b")


class _Shape:
    """A table's columns and the statements on one row of it, made once: making one costs more than running it."""

    __slots__ = ("columns", "get", "insert", "lock", "names")

    def __init__(self, table: Table) -> None:
        self.columns = tuple(column.name for column in table.c)
        self.names = tuple(name for name in self.columns if name != "row_mac")
        one = select(table).where(table.c.id == bindparam(_WHICH))
        self.insert = Statement(insert(table))
        self.get = Statement(one)
        self.lock = Statement(one.with_for_update())


@lru_cache(maxsize=256)
def _shape(table: Table) -> _Shape:
    if table not in _MACED:
        raise ValueError(f"{table.name} carries no row MAC")
    return _Shape(table)


@lru_cache(maxsize=1024)
def _update(table: Table, names: tuple[str, ...]) -> Statement:
    statement = update(table).where(table.c.id == bindparam(_WHICH))
    return Statement(statement.values({name: bindparam(name) for name in names}))


def _table(statement: Select[Any]) -> Table:
    """The one table that a statement selects the whole of. Raises ValueError."""
    tables = {column.table for column in statement.selected_columns}
    table = tables.pop()
    if tables or not isinstance(table, Table) or len(statement.selected_columns) != len(table.c):
        raise ValueError("a statement for rows selects the whole of one table")
    _shape(table)
    return table


@lru_cache(maxsize=256)
def _context(table: Table) -> bytes:
    return lp("sealgate/row/v1", table.name)
