"""The pure parts: where a message ends, what its newlines are, how often it was received."""

from __future__ import annotations

import re

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given
from hypothesis import strategies as st

from gateway.smtp.data import DotReader, HopCount, Newlines
from gateway.smtp.dialogue import Dialogue
from gateway.smtp.limits import Doorkeeper, FailedLogins, host_of

alphabet = st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"..", b"Received: x"])
stream = st.lists(alphabet, max_size=30).map(b"".join)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in [*sizes, len(data)]:
        pieces.append(data[at : at + size])
        at += size
    return [piece for piece in pieces if piece]


def by_lines(data: bytes) -> tuple[bytes, bytes] | None:
    """RFC 5321 4.5.2 read literally: lines end with CRLF alone, one dot alone is the end, else a first dot goes."""
    out, at = [], 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        line = data[at : end + 2]
        at = end + 2
        if line == b".\r\n":
            return b"".join(out), data[at:]
        out.append(line.removeprefix(b"."))


@given(stream, st.lists(st.integers(1, 7), max_size=40), st.binary(max_size=10))
def test_chunks_give_what_lines_would_give(head: bytes, sizes: list[int], rest: bytes) -> None:
    data = head + b"\r\n.\r\n" + rest
    expected = by_lines(data)
    assert expected is not None
    reader, body = DotReader(), b""
    pieces = cut(data, sizes)
    for number, piece in enumerate(pieces):
        more, after = reader.feed(piece)
        body += more
        if after is not None:
            assert (body, after + b"".join(pieces[number + 1 :])) == expected
            return
    raise AssertionError("no end found")


@given(stream, st.lists(st.integers(1, 7), max_size=40), st.booleans())
def test_bare_newlines_are_noticed_in_any_cut(data: bytes, sizes: list[int], normalize: bool) -> None:
    newlines = Newlines(normalize=normalize)
    kept = b"".join(newlines.feed(piece) for piece in cut(data, sizes)) + newlines.finish()
    assert newlines.bare == bool(re.search(rb"\r(?!\n)|(?<!\r)\n", data))
    assert kept == (re.sub(rb"\r\n|\r|\n", b"\r\n", data) if normalize else data)


@given(st.integers(0, 5), st.lists(st.integers(1, 9), max_size=40), st.booleans())
def test_received_fields_are_counted_in_the_header_alone(count: int, sizes: list[int], folded: bool) -> None:
    field = b"received: from x\r\n\tby Received: y\r\n" if folded else b"ReCeived : x\r\n"
    ours = b"sealgate-Trace: node-1; spl_1\r\n" * (count + 1)
    data = b"X-Received: no\r\n" + field * count + ours + b"\r\nReceived: body\r\n\r\nSealgate-Trace: body\r\n"
    hops = HopCount()
    for piece in cut(data, sizes):
        hops.feed(piece)
    hops.finish()
    assert (hops.count, hops.own) == (count, count + 1)


@pytest.mark.parametrize("data", [b"\r\nReceived: x\r\n", b"", b"Received"])
def test_message_without_header_has_no_received_field(data: bytes) -> None:
    hops = HopCount()
    for byte in data:
        hops.feed(bytes((byte,)))
    hops.finish()
    assert hops.count == 0


def test_no_command_or_callback_of_aiosmtpds_is_left() -> None:
    mine = [name for name in dir(SMTP) if name.startswith("smtp_")]
    mine += ["connection_made", "connection_lost", "eof_received", "push", "_handle_client", "__init__"]
    for name in mine:
        assert getattr(Dialogue, name) is not getattr(SMTP, name), name
    assert set(Dialogue.commands) == {name.removeprefix("smtp_") for name in dir(Dialogue) if name.startswith("smtp_")}


def test_connections_are_counted_by_host_and_in_all() -> None:
    door = Doorkeeper(3, 2)
    assert door.enter("a")
    assert door.enter("a")
    assert not door.enter("a")
    assert door.enter("b")
    assert not door.enter("c")
    door.leave("a")
    assert door.enter("c")
    assert door.total == 3


def test_strangers_leave_half_of_the_connections_to_the_clinics() -> None:
    door = Doorkeeper(4, 4)
    assert door.enter("a", stranger=True)
    assert door.enter("b", stranger=True)
    assert not door.enter("c", stranger=True)
    assert door.enter("clinic")
    door.known()  # one of them signed in, and keeps its place
    assert door.enter("c", stranger=True)
    assert not door.enter("clinic"), "all together"
    door.leave("c", stranger=True)
    door.leave("a")
    assert door.enter("b", stranger=True)
    assert (door.total, door.strangers) == (3, 2)


def test_failed_logins_block_a_host_for_a_while_and_no_other() -> None:
    failed = FailedLogins(2, 600.0)
    failed.failed("a", 0.0)
    assert not failed.blocked("a", 1.0)
    failed.failed("a", 1.0)
    assert failed.blocked("a", 2.0)
    assert not failed.blocked("b", 2.0)
    assert not failed.blocked("a", 601.0)
    failed.failed("a", 601.0)
    assert not failed.blocked("a", 602.0)


def test_an_ipv6_client_is_counted_by_its_network_and_a_mapped_one_as_ipv4() -> None:
    assert host_of("2001:db8:1:2::1") == host_of("2001:db8:1:2:ffff::9") != host_of("2001:db8:1:3::1")
    assert host_of("::ffff:192.0.2.1") == host_of("192.0.2.1")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 17, 64, 10_000])
def test_hops_are_counted_however_the_header_is_cut_and_nothing_of_it_is_kept(size: int) -> None:
    data = b"Received: a\r\nRECEIVED : b\r\nX: received: no\r\nreceived\tc\r\nSealgate-Trace: n; q\r\n"
    data += b"Receivedx: no\r\n\r\nReceived: in the body\r\nSealgate-Trace: n; q\r\n"
    hops = HopCount()
    for at in range(0, len(data), size):
        hops.feed(data[at : at + size])
        assert len(hops._held) < 20
    hops.finish()
    assert (hops.count, hops.own) == (3, 1)


def test_hops_of_an_empty_header_are_none_and_a_header_without_an_end_is_counted_up_to_a_mebibyte() -> None:
    empty = HopCount()
    empty.feed(b"\r\nReceived: a\r\n")
    assert empty.count == 0
    endless = HopCount()
    for _ in range(40):
        endless.feed(b"Received: a\r\n" * 5_000)
    assert 80_000 < endless.count < 81_000
