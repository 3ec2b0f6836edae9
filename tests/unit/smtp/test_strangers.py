"""Who is on no clinic's network and has not signed in has little of the relay port's time."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.smtp.gate import Gate
from gateway.smtp.process import Server, bind
from tests.support.spool import Keyring
from tests.unit.smtp.test_promises import node


@pytest.mark.parametrize(("trusted", "cut"), [(False, True), (True, False)], ids=["stranger", "clinic"])
async def test_a_stranger_on_the_relay_port_has_little_time_and_a_clinic_has_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool, cut: bool
) -> None:
    config = node(tmp_path, Keyring())
    config = dataclasses.replace(config, limits=dataclasses.replace(config.limits, stranger_seconds=0.2))
    found = SimpleNamespace(expects=lambda address: trusted)
    monkeypatch.setattr(Gate, "snapshot", lambda gate: found)
    server = Server(config)
    ports = await server.start(bind(config))
    reader, writer = await asyncio.open_connection("127.0.0.1", ports["relay"][0])
    if cut:
        assert b"\r\n421 " in await asyncio.wait_for(reader.read(), 60)
    else:
        engine = await _first(server)
        assert engine._ceiling == float("inf")
        assert not engine._stranger
    writer.close()
    await server.stop()


async def _first(server: Server) -> Any:
    async with asyncio.timeout(60):
        while not (server._services and server._services.connections):
            await asyncio.sleep(0.01)
    return next(iter(server._services.connections))
