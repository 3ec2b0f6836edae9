"""Nodes of one installation on a real PostgreSQL: each a `sealgate serve` of its own with its own spool and doors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from gateway.demo.certificate import make as certificate
from tests.support.faulty import Faulty
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[2]
ROLES = {"owner_url": "owner", "url": "worker", "portal_url": "portal"}
_clusters = count(1)


def roles(server: Postgres) -> dict[str, str]:
    """A fresh, empty database and three roles of its own, made by the statements of deploy/README.md; `[store]`."""
    number = next(_clusters)
    section = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8").split("\n## PostgreSQL\n")[1]
    statements = section.split("```sql\n")[1].split("```")[0]
    names = {key: f"sealgate-{role}-{number}" for key, role in ROLES.items()}
    for key, role in ROLES.items():
        statements = statements.replace(f'"sealgate-{role}"', f'"{names[key]}"')
    statements = statements.replace("DATABASE sealgate ", f"DATABASE clinic_{number} ")
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=tester dbname=postgres", autocommit=True) as conn:
        for statement in filter(str.strip, statements.split(";")):
            conn.execute(statement.encode())
    return {key: f"postgresql+psycopg://{name}@127.0.0.1:{server.port}/clinic_{number}" for key, name in names.items()}


class Node(Faulty):
    """One node. The first one starts the keyholder and seeds users and people; `of` names it for the others."""

    def __init__(self, data: Path, name: str, store: dict[str, str], *, of: Node | None = None, **more: Any) -> None:
        super().__init__(data, **more)
        self.name = name
        self.store = store
        self.first = of or self
        if of is not None:
            self.sink = of.sink
            self.phone_file = of.phone_file
            self._numbers = count(100_000)

    def prepare(self) -> None:
        """Leave the configuration."""
        self.data.mkdir(mode=self.folder_mode, parents=True, exist_ok=True)
        certificate(self.certificate, self.key)
        self.config.write_text(self._toml(self.sink.port))

    def join(self) -> str:
        """A further node: its configuration, `sealgate node add`, and serve; what the command said."""
        self.prepare()
        answer = self.command("node", "add", self.name, *self.options)
        self.serve()
        return answer

    @contextmanager
    def rows(self) -> Iterator[psycopg.Connection[Any]]:
        """The database, as its administrator, whom no policy holds."""
        parts = urlsplit(self.store["url"])
        with psycopg.connect(
            f"host=127.0.0.1 port={parts.port} user=tester dbname={parts.path[1:]}", autocommit=True
        ) as conn:
            yield conn

    def waiting(self) -> int:
        with self.rows() as conn:
            found = conn.execute("SELECT count(*) FROM deliveries WHERE state IN ('ready', 'deferred')").fetchone()
        assert found is not None
        return int(found[0])

    def open_queues(self) -> set[str]:
        """Queue ids with a delivery whose outcome is not committed."""
        with self.rows() as conn:
            return {str(queue) for (queue,) in conn.execute(
                "SELECT DISTINCT m.queue FROM deliveries d JOIN messages m ON m.id = d.message "
                "WHERE d.state IN ('ready', 'deferred')"
            )}  # fmt: skip

    def known_queues(self) -> set[str]:
        """Queue ids whose message is committed."""
        with self.rows() as conn:
            return {str(queue) for (queue,) in conn.execute("SELECT queue FROM messages")}

    def _toml(self, sink_port: int) -> str:
        first = self.first.data
        text = super()._toml(sink_port)
        shared = "own" if self.first is self else "shared"
        for before, after in (
            (f'url = "sqlite:///{self.data}/db/sealgate.db"', "\n".join(f'{k} = "{v}"' for k, v in self.store.items())),
            (f'url = "file://{self.data}/vault"', f'url = "file://{first}/vault"'),
            (f'directory = "{self.data}/keys"', f'directory = "{first}/keys"\nsockets_directory = "{first}/run"'),
            (f'kek_file = "{self.data}/kek"', f'kek_file = "{first}/kek"'),
            (f'public_url = "{self.portal}"', f'public_url = "{self.first.portal}"'),
        ):
            assert before in text
            text = text.replace(before, after)
        return text + f'[node]\nname = "{self.name}"\nkeyholder = "{shared}"\n'
