"""Nodes of one installation on a real PostgreSQL: each a `sealgate serve` of its own with its own spool and doors."""

from __future__ import annotations

import os
import signal
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from gateway.demo.clinic import Clinic
from tests.support.postgres import Postgres

_clusters = count(1)


def roles(server: Postgres) -> dict[str, str]:
    """A fresh, empty database and three roles of its own; the settings of `[store]`.

    The statements are those of deploy/README.md, "PostgreSQL".
    """
    number = next(_clusters)
    database = f"clinic_{number}"
    names = {key: f"sealgate-{role}-{number}" for key, role in
             (("owner_url", "owner"), ("url", "worker"), ("portal_url", "portal"))}  # fmt: skip
    with psycopg.connect(f"host=127.0.0.1 port={server.port} user=tester dbname=postgres", autocommit=True) as conn:
        for name in names.values():
            conn.execute(f'CREATE ROLE "{name}" LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE')  # type: ignore[call-overload]
        conn.execute(f'CREATE DATABASE {database} OWNER "{names["owner_url"]}" ENCODING UTF8 TEMPLATE template0')  # type: ignore[call-overload]
    return {key: f"postgresql+psycopg://{name}@127.0.0.1:{server.port}/{database}" for key, name in names.items()}


class Node(Clinic):
    """One node. The first one starts the keyholder and seeds users and people; `of` names it for the others."""

    def __init__(self, data: Path, name: str, store: dict[str, str], *, of: Node | None = None, **more: Any) -> None:
        super().__init__(data, **more)
        self.name = name
        self.store = store
        self.of = of

    def join(self) -> str:
        """A further node: its configuration, `sealgate node add`, and serve."""
        self.data.mkdir(mode=self.folder_mode, parents=True, exist_ok=True)
        self.prepare()
        answer = self.command("node", "add", self.name, *self.options)
        self.serve()
        return answer

    def prepare(self) -> None:
        """Leave the configuration."""
        from gateway.demo.certificate import make

        make(self.certificate, self.key)
        self.config.write_text(self._toml(int(self._first._smarthost.rpartition(":")[2] or self._first.sink.port)))

    def kill(self) -> None:
        """kill -9 of the whole process tree, at once."""
        assert self._process is not None
        for pid in self.left_behind():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()

    @property
    def _first(self) -> Node:
        return self.of or self

    def _toml(self, sink_port: int) -> str:
        first = self._first.data
        text = super()._toml(sink_port)
        store = "\n".join(f'{key} = "{url}"' for key, url in self.store.items())
        text = text.replace(f'url = "sqlite:///{self.data}/db/sealgate.db"', store)
        text = text.replace(f'url = "file://{self.data}/vault"', f'url = "file://{first}/vault"')
        text = text.replace(f'directory = "{self.data}/keys"', f'directory = "{first}/keys"')
        text = text.replace(
            f'kek_file = "{self.data}/kek"', f'kek_file = "{first}/kek"\nsockets_directory = "{first}/run"'
        )
        text = text.replace(self.portal, self._first.portal)
        shared = "own" if self.of is None else "shared"
        return text + f'[node]\nname = "{self.name}"\nkeyholder = "{shared}"\n'
