"""A port that was chosen stays chosen until its server listens, whoever else chooses meanwhile."""

from __future__ import annotations

import os
import socket

import pytest

from gateway.demo import ports


def test_who_chooses_from_the_same_block_gets_other_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 7)
    first = [ports.free_port() for _ in range(3)]
    monkeypatch.setattr(ports, "_next", iter(range(10_000)))  # as another process begins
    monkeypatch.setattr(ports, "_claims", ports.deque())
    second = [ports.free_port() for _ in range(3)]
    assert set(first).isdisjoint(second)
    for one in ports._claims:
        one.close()


def test_a_server_can_listen_on_a_chosen_port_and_nobody_answered_there_before() -> None:
    port = ports.free_port()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 60).close()
    with socket.create_server(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port), 60):
        pass
    again = ports.free_port()
    assert again != port


def test_claims_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_claims", ports.deque())
    for _ in range(ports.CLAIMS + 5):
        ports.free_port()
    assert len(ports._claims) == ports.CLAIMS
    for one in ports._claims:
        one.close()
