"""Who may do what in a PostgreSQL database: the owner's tables, the worker's role, the portal's role.

Promises: the two roles own nothing and may neither change nor delete an entry of a log, nor one that waits for its
number there (a worker lets it go when it stands in the log, by the database's own check); the portal's role sees and
writes the rows of the tenant that `scope.acting` names, and none while none is named; the worker's serves every tenant.
A role that could step over this (a superuser, BYPASSRLS, the owner, a member of either) is refused by name before
anything is served. Clauses: DESIGN §5, §7; 45 CFR 164.312(a)(1), 164.312(b).
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import Misconfigured, TryLater
from gateway.store import engines, migrations, scope
from gateway.store.schema import (
    LOG_TABLES,
    deliveries,
    log_checkpoints,
    log_leaves,
    log_nodes,
    messages,
    metadata,
    notice_marks,
    objects,
    outbox,
    outbox_faults,
    outbox_heads,
    outside_checkpoints,
    settings,
    store_probe,
    tenants,
    users,
)

EVERY, ONE = "every_tenant", "one_tenant"
_LOOK = ("SELECT",)
_ADD = ("SELECT", "INSERT")
_ALL = ("SELECT", "INSERT", "UPDATE")
_SHARED = (log_leaves, log_nodes, log_checkpoints)
_SYSTEM = f"log = 'system' AND current_setting('{scope.SETTING}', true) <> ''"
"""The system log is part of every tenant's export: it holds nodes and heads of logs, and no tenant's entries."""
_PORTAL: dict[Table, tuple[str, ...]] = {
    log_leaves: _LOOK,  # what a portal writes waits in the outbox; a worker puts it into the log
    log_nodes: _LOOK,
    log_checkpoints: _LOOK,
    outbox: _ADD,
    outbox_heads: _LOOK,
    outbox_faults: (),
    outside_checkpoints: _LOOK,
    messages: _LOOK,  # what a message, its deliveries and its end are is the worker's: a portal in the wrong hands
    objects: _LOOK,  # has the keys of rows and could write sound ones
    deliveries: _LOOK,
    users: _LOOK,
    notice_marks: _LOOK,
    tenants: _LOOK,
    settings: _LOOK,
    store_probe: ("SELECT", "UPDATE"),
}


_WORKER: dict[Table, tuple[str, ...]] = {
    outbox: (*_ADD, "DELETE"),  # of what stands in the log only: the database's trigger sees to it
    outbox_heads: _ALL,
    outbox_faults: _ADD,
}


def rights(table: Table, *, portal: bool) -> tuple[str, ...]:
    """What one of the two roles may do with a table. Log tables are added to; a row is deleted nowhere but in the
    outbox, by the worker, when it stands in the log.
    """
    if portal:
        return _PORTAL.get(table, _ALL if tenant_column(table) else ())
    if table in _WORKER:
        return _WORKER[table]
    return _ADD if table in LOG_TABLES else _ALL


def tenant_column(table: Table) -> str | None:
    """The column that says whose a row is; None for the few tables that are nobody's."""
    if table is tenants:
        return "id"
    return next((name for name in ("tenant", "log") if name in table.c), None)


def apply(owner_url: str, worker: str, portal: str) -> None:
    """Give both roles their rights and policies, and take away every other. May be repeated.

    Raises Misconfigured for a role that is missing or is the owner, TryLater when the database refuses.
    """
    engine = migrations.engine_of(owner_url)
    try:
        with engine.connect() as conn, conn.begin():
            owner = str(conn.execute(text("SELECT current_user")).scalar())
            if len({owner, worker, portal}) != 3:
                raise Misconfigured(
                    f"[store] owner_url, url and portal_url must name three different roles; found {owner}, {worker}, "
                    f"{portal}"
                )
            for role in (worker, portal):
                _need(conn, role)
                _grant(conn, role, portal=role == portal)
    except SQLAlchemyError as error:
        raise TryLater(f"grants: {type(error).__name__}") from error
    finally:
        engine.dispose()


def _need(conn: Connection, role: str) -> None:
    if conn.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).scalar() is None:
        raise Misconfigured(
            f"the database has no role {role}; make it as the database's administrator: CREATE ROLE "
            f"{quoted(role)} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"
        )


def _grant(conn: Connection, role: str, *, portal: bool) -> None:
    name = quoted(role)
    conn.exec_driver_sql(f"GRANT USAGE ON SCHEMA public TO {name}")
    conn.exec_driver_sql(f"GRANT SELECT ON alembic_version TO {name}")
    policy = ONE if portal else EVERY
    for table in metadata.sorted_tables:
        conn.exec_driver_sql(f"REVOKE ALL ON {quoted(table.name)} FROM {name}, PUBLIC")
        given = rights(table, portal=portal)
        if given:
            conn.exec_driver_sql(f"GRANT {', '.join(given)} ON {quoted(table.name)} TO {name}")
        column = tenant_column(table)
        if column is None:
            continue
        written = f"{quoted(column)} = current_setting('{scope.SETTING}', true)" if portal else "true"
        read = f"{written} OR {_SYSTEM}" if portal and table in _SHARED else written
        if portal and table is outbox:  # no portal puts an entry under a worker's name
            written = f"{written} AND right(node, 7) = '.portal'"
        conn.exec_driver_sql(f"DROP POLICY IF EXISTS {policy} ON {quoted(table.name)}")
        conn.exec_driver_sql(
            f"CREATE POLICY {policy} ON {quoted(table.name)} TO {name} USING ({read}) WITH CHECK ({written})"
        )


_POWER = text(
    """
    SELECT r.rolsuper OR r.rolbypassrls,
      EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = 'public' AND c.relkind = 'r' AND pg_has_role(c.relowner, 'MEMBER')),
      EXISTS (SELECT 1 FROM pg_roles m WHERE m.rolname <> r.rolname AND pg_has_role(m.oid, 'MEMBER')
              AND (m.rolsuper OR m.rolbypassrls OR m.rolcreaterole)),
      EXISTS (SELECT 1 FROM pg_policies p WHERE p.policyname = 'every_tenant'
              AND EXISTS (SELECT 1 FROM unnest(p.roles) AS of WHERE of = 'public' OR pg_has_role(of, 'MEMBER'))),
      EXISTS (SELECT 1 FROM pg_tables t WHERE t.schemaname = 'public'
              AND (t.tablename LIKE 'log\\_%' OR t.tablename IN ('outbox', 'outbox_faults'))
              AND (has_table_privilege(quote_ident(t.tablename), 'UPDATE')
                   OR (has_table_privilege(quote_ident(t.tablename), 'DELETE') AND t.tablename <> 'outbox')
                   OR has_table_privilege(quote_ident(t.tablename), 'TRUNCATE')))
    FROM pg_roles r WHERE r.rolname = current_user
    """
)


def check(url: str, *, one_tenant: bool) -> None:
    """Raises Misconfigured when the role of this URL could do more than its process may; SQLite passes.

    `one_tenant`: it must be held to one tenant at a time.
    """
    parsed = engines.parse(url)
    if parsed.drivername == "sqlite":
        return
    engine = engines.reader_engine(parsed)
    try:
        with engine.connect() as conn:
            powers = conn.execute(_POWER).one()
    except SQLAlchemyError as error:
        raise TryLater(f"database: {type(error).__name__}") from error
    finally:
        engine.dispose()
    reasons = (
        "is a superuser or has BYPASSRLS",
        "owns tables or is a member of their owner",
        "is a member of a role with more rights",
        "may see every tenant's rows" if one_tenant else "",
        "may change entries of the log",
    )
    found = [reason for reason, power in zip(reasons, powers, strict=True) if power and reason]
    if found:
        key = "portal_url" if one_tenant else "url"
        raise Misconfigured(
            f"[store] {key}: database role {parsed.username} {', and '.join(found)}: then the database could not "
            "hold it back. Name a role of its own, and give it its rights with: sealgate migrate"
        )


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
