"""The portal's database role sees one tenant at a time, the worker's all of them, and neither may touch the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Table, delete, func, insert, select, text, update

from gateway.errors import Misconfigured, TryLater
from gateway.store import grants, migrations, schema
from gateway.store.database import Store
from gateway.store.scope import acting
from tests.support import nodes
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres
OURS, THEIRS = "tnt_ours", "tnt_theirs"
OWNED = [table for table in schema.metadata.sorted_tables if grants.tenant_column(table)]
SEEN = [table for table in OWNED if grants.rights(table, portal=True)]
WRITTEN = [table for table in SEEN if "UPDATE" in grants.rights(table, portal=True)]


@dataclass
class Database:
    """Two tenants' rows in every table, and both roles."""

    urls: dict[str, str]
    worker: Store
    portal: Store


@pytest.fixture(scope="module")
def database(server: Postgres) -> Iterator[Database]:
    urls = nodes.roles(server)
    migrations.create(urls["owner_url"])
    names = [url.split("//")[1].split("@")[0] for url in (urls["url"], urls["portal_url"])]
    grants.apply(urls["owner_url"], *names)
    grants.apply(urls["owner_url"], *names)  # may be repeated
    worker = Store.open(urls["url"], lease="a")
    portal = Store.open(urls["portal_url"], lease="a.portal", one_tenant=True)
    for tenant in (OURS, THEIRS):
        for table in OWNED:
            worker.run(
                lambda tx, table=table, tenant=tenant: (
                    tx.conn.execute(insert(table).values(row(table, tenant))) and None
                )
            )  # type: ignore[misc]
    yield Database(urls, worker, portal)
    worker.close()
    portal.close()


def row(table: Table, tenant: str) -> dict[str, Any]:
    """Some row of that tenant that the table takes."""
    values: dict[str, Any] = {}
    for column in table.c:
        if column.identity is not None:
            continue
        kind = column.type.python_type
        if column.foreign_keys:
            values[column.name] = f"id_{tenant}"
        elif kind is int:
            values[column.name] = 1 if table.name == "log_checkpoints" else 0
        else:
            values[column.name] = b"x" if kind is bytes else f"{column.name}_{tenant}"
    return (
        values
        | {str(grants.tenant_column(table)): tenant}
        | ({"id": f"id_{tenant}"} if "id" in table.c and table is not schema.tenants else {})
        | ({"node": "a.portal"} if table is schema.outbox else {})
    )


def count(store: Store, table: Table) -> int:
    with store.reading() as conn:
        return int(conn.execute(select(func.count()).select_from(table)).scalar_one())


def did(store: Store, statement: Any) -> int:
    return store.run(lambda tx: int(tx.conn.execute(statement).rowcount))


@pytest.mark.parametrize("table", OWNED, ids=lambda table: table.name)
def test_the_worker_serves_every_tenant(database: Database, table: Table) -> None:
    assert count(database.worker, table) == 2


@pytest.mark.parametrize("table", SEEN, ids=lambda table: table.name)
def test_the_portal_sees_the_tenant_it_acts_for_and_nothing_when_it_forgot_to_say(
    database: Database, table: Table
) -> None:
    assert count(database.portal, table) == 0
    for tenant in (OURS, THEIRS):
        with acting(tenant):
            assert count(database.portal, table) == 1
    with acting("tnt_nobody"):
        assert count(database.portal, table) == 0
    assert count(database.portal, table) == 0


@pytest.mark.parametrize("table", WRITTEN, ids=lambda table: table.name)
def test_the_portal_changes_no_row_of_another_tenant_and_makes_none(database: Database, table: Table) -> None:
    column = table.c[str(grants.tenant_column(table))]
    change = update(table).where(column == THEIRS).values({column: THEIRS})
    assert did(database.portal, change) == 0
    with acting(OURS):
        assert did(database.portal, change) == 0
        with pytest.raises(TryLater):  # nor is a row of ours given away
            did(database.portal, update(table).where(column == OURS).values({column: THEIRS}))
        new = {**row(table, THEIRS), **({"id": "id_new"} if "id" in table.c else {})}
        with pytest.raises(TryLater):
            did(database.portal, insert(table).values(new))
    with acting(THEIRS):
        assert did(database.portal, change) == 1


def test_works_of_two_tenants_in_one_commit_do_not_see_each_other(database: Database) -> None:
    seen: dict[str, set[str]] = {}

    def look(tenant: str) -> Any:
        def work(tx: Any) -> None:
            seen[tenant] = set(tx.conn.execute(select(schema.people.c.tenant)).scalars())

        return work

    futures = []
    for tenant in (OURS, THEIRS, ""):
        with acting(tenant):
            futures.append(database.portal.submit(look(tenant)))
    for future in futures:
        future.result(5)
    assert seen == {OURS: {OURS}, THEIRS: {THEIRS}, "": set()}


@pytest.mark.parametrize("role", ["worker", "portal"])
@pytest.mark.parametrize("table", schema.LOG_TABLES, ids=lambda table: table.name)
def test_no_role_may_change_or_delete_an_entry_of_a_log(database: Database, table: Table, role: str) -> None:
    store: Store = getattr(database, role)
    with acting(OURS):
        for statement in (update(table).values(log=table.c.log), delete(table), text(f"TRUNCATE {table.name}")):
            with pytest.raises(TryLater) as caught:
                did(store, statement)
            assert "InsufficientPrivilege" in repr(getattr(caught.value.__cause__, "orig", None))


@pytest.mark.parametrize("role", ["worker", "portal"])
def test_no_role_deletes_a_row_or_makes_a_table(database: Database, role: str) -> None:
    store: Store = getattr(database, role)
    with acting(OURS):
        for statement in (delete(schema.people), text("CREATE TABLE mine (id int)"), text("DROP TABLE people")):
            with pytest.raises(TryLater):
                did(store, statement)


def test_even_the_owner_of_the_tables_sees_no_row(database: Database) -> None:
    engine = migrations.engine_of(database.urls["owner_url"])
    try:
        with engine.connect() as conn:
            for table in OWNED:
                assert conn.execute(select(func.count()).select_from(table)).scalar() == 0, table.name
    finally:
        engine.dispose()
    assert not migrations.untouched(database.urls["owner_url"])


def test_roles_that_could_step_over_the_rules_are_refused_by_name(database: Database, server: Postgres) -> None:
    urls = database.urls
    grants.check(urls["url"], one_tenant=False)
    grants.check(urls["portal_url"], one_tenant=True)
    superuser = urls["url"].replace(urls["url"].split("//")[1].split("@")[0], "tester")
    for url, one_tenant, why in (
        (superuser, False, "superuser"),
        (urls["owner_url"], False, "owns tables"),
        (urls["url"], True, "every tenant"),
    ):
        with pytest.raises(Misconfigured, match=why):
            grants.check(url, one_tenant=one_tenant)


def test_three_roles_are_needed_and_each_must_exist(database: Database) -> None:
    owner = database.urls["owner_url"]
    with pytest.raises(Misconfigured, match="three different"):
        grants.apply(owner, "sealgate-one", "sealgate-one")
    with pytest.raises(Misconfigured, match="CREATE ROLE"):
        grants.apply(owner, "sealgate-absent", "sealgate-other")


def test_the_system_log_is_read_with_any_tenants_and_not_without(database: Database) -> None:
    store = database.worker
    store.run(lambda tx: tx.conn.execute(insert(schema.log_leaves).values(row(schema.log_leaves, "system"))) and None)
    with acting(OURS):
        with database.portal.reading() as conn:
            assert set(conn.execute(select(schema.log_leaves.c.log)).scalars()) == {OURS, "system"}
        with pytest.raises(TryLater):
            did(database.portal, insert(schema.log_leaves).values({**row(schema.log_leaves, "system"), "idx": 1}))
    assert count(database.portal, schema.log_leaves) == 0


WAITING: dict[str, Any] = {
    "log": OURS, "node": "a.portal", "nseq": 7, "ts": 1, "action": "a", "actor": "b", "object": "c", "outcome": "ok",
    "entry": b"{}", "leaf_hash": b"h", "chain": b"c",
}  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [{"log": THEIRS}, {"log": "system"}, {"node": "a"}, {"node": "portal"}],
    ids=["another tenant's log", "the system's log", "a worker's name", "a name like a portal's"],
)
def test_a_portal_puts_entries_into_its_tenants_log_under_a_portals_name_only(
    database: Database, given: dict[str, str]
) -> None:
    with acting(OURS):
        with pytest.raises(TryLater) as caught:
            did(database.portal, insert(schema.outbox).values({**WAITING, **given}))
        assert "row-level security" in str(caught.value.__cause__)
        before = count(database.portal, schema.outbox)
        did(database.portal, insert(schema.outbox).values({**WAITING, "nseq": before + 100}))
        assert count(database.portal, schema.outbox) == before + 1


@pytest.mark.parametrize("role", ["worker", "portal"])
def test_no_role_changes_an_entry_that_waits_or_takes_one_out(database: Database, role: str) -> None:
    store: Store = getattr(database, role)
    with acting(OURS):
        before = count(store, schema.outbox)
        for statement in (update(schema.outbox).values(nseq=9), delete(schema.outbox), text("TRUNCATE outbox")):
            with pytest.raises(TryLater) as caught:
                did(store, statement)
            words = f"{caught.value.__cause__}"
            assert "permission denied" in words or "append-only" in words
        assert count(store, schema.outbox) == before > 0


def test_a_portal_numbers_nothing_and_hides_no_fault(database: Database) -> None:
    with acting(OURS):
        for table in (schema.log_leaves, schema.log_nodes, schema.outbox_heads, schema.outbox_faults):
            with pytest.raises(TryLater):
                did(database.portal, insert(table).values(row(table, OURS)))
        with pytest.raises(TryLater):
            count(database.portal, schema.outbox_faults)
