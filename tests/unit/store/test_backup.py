"""PostgreSQL in a backup: a copy shows one moment, and comes back whole or not at all, with rows hidden as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from gateway.backup import database
from gateway.backup.manifest import Changed, Manifest, part_of
from gateway.errors import Misconfigured
from gateway.settings import Settings, load
from gateway.store import grants, migrations, presence, schema
from gateway.store.database import Store
from tests.support import nodes
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres


def settings_on(urls: dict[str, str]) -> Settings:
    settings = load(Path("deploy/gateway.toml").resolve(), {})
    return replace(settings, store=replace(settings.store, **urls))


def tenant(number: int) -> dict[str, Any]:
    return {"id": f"tnt_{number}", "name": f"clinic-{number}", "origin": f"portal.test/{number}", "created_at": number}


def test_a_copy_shows_one_moment_and_comes_back_whole_with_the_roles_rights(server: Postgres, tmp_path: Path) -> None:
    urls, others = nodes.roles(server), nodes.roles(server)
    migrations.create(urls["owner_url"])
    roles = [url.split("//")[1].split("@")[0].split(":")[0] for url in (urls["url"], urls["portal_url"])]
    grants.apply(urls["owner_url"], *roles)
    store = Store.open(urls["url"], lease="a")
    try:
        store.run(lambda tx: tx.conn.execute(insert(schema.tenants).values(tenant(1))) and None)
        with database.copied(settings_on(urls), tmp_path, lambda words: None) as (names, conn):
            store.run(lambda tx: tx.conn.execute(insert(schema.tenants).values(tenant(2))) and None)
            seen = list(conn.execute(select(schema.tenants.c.id)).scalars())
            heads = database.heads(conn)
    finally:
        store.close()
    assert seen == ["tnt_1"]
    assert set(heads) == {"tnt_1", "system"}
    parts = tuple(part_of(tmp_path, name) for name in names)
    manifest = Manifest("content", "bkp_1", 1, None, "", "", "", parts)
    database.bring_back(settings_on(others), tmp_path, manifest, lambda words: None)
    migrations.check(others["url"])
    grants.check(others["url"], one_tenant=False)
    grants.check(others["portal_url"], one_tenant=True)
    back = Store.open(others["url"], writing=False)
    try:
        with back.reading() as conn:
            assert list(conn.execute(select(schema.tenants.c.id)).scalars()) == ["tnt_1"]
            assert database.heads(conn) == heads
    finally:
        back.close()
    changed = tmp_path / database.TABLES / "tenants"
    changed.write_bytes(changed.read_bytes().replace(b"clinic-1", b"clinic-7"))
    third = nodes.roles(server)
    with pytest.raises(Changed, match="tenants"):
        database.bring_back(settings_on(third), tmp_path, manifest, lambda words: None)
    assert presence.absent(third["owner_url"]), "nothing of it is kept"
    with pytest.raises(Misconfigured, match="owner_url"):
        database.bring_back(settings_on(third | {"owner_url": ""}), tmp_path, manifest, lambda words: None)
