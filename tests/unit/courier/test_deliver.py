"""Delivery to a smarthost that takes, refuses, stalls and hangs up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gateway.courier import Bounced, Deferred, Delivered, Recipient, SmtpCourier, smtp
from gateway.errors import Tampered
from tests.support.smarthost import Smarthost
from tests.unit.courier.conftest import MESSAGE, outbound

Make = Callable[..., SmtpCourier]


@pytest.fixture(params=[("PIPELINING", "DSN"), ("DSN",)], ids=["pipelined", "stepwise"])
def smarthost(request: pytest.FixtureRequest) -> Iterator[Smarthost]:
    with Smarthost(extensions=request.param) as running:
        yield running


def test_message_arrives_byte_for_byte_with_its_parameters(smarthost: Smarthost, courier_to: Make) -> None:
    people = (
        Recipient("a@b.example", (("NOTIFY", "NEVER"),), delivery="dlv_1"),
        Recipient("c@d.example", delivery="dlv_2"),
    )
    found = courier_to(smarthost).deliver(outbound(*people, mail_params=(("RET", "HDRS"), ("ENVID", "x1"))))
    assert [result.recipient for result in found] == list(people)
    (message,) = smarthost.messages
    assert message.content == MESSAGE
    assert message.mail_from == "sender@clinic.example"
    assert message.recipients == ["a@b.example", "c@d.example"]
    assert message.mail_params == {"SIZE": str(len(MESSAGE)), "RET": "HDRS", "ENVID": "x1"}
    assert message.rcpt_params["a@b.example"] == {"NOTIFY": "NEVER"}
    outcome = found[0].outcome
    assert isinstance(outcome, Delivered)
    assert outcome.status == "2.0.0"
    assert outcome.evidence.port == smarthost.port
    assert outcome.evidence.tls_version == ""
    assert outcome.evidence.dsn
    assert outcome.evidence.answer.reveal().endswith("queued as MARK1")
    assert "MARK1" not in repr(found)
    assert "a@b.example" not in repr(found)


def test_large_message_without_last_newline_arrives_whole(smarthost: Smarthost, courier_to: Make) -> None:
    content = (b"Subject: x\r\n\r\n" + b"." * 70 + b"\r\n") * 20_000 + b".end"
    blocks = [content[at : at + 65_536] for at in range(0, len(content), 65_536)]
    (result,) = courier_to(smarthost).deliver(outbound("a@b.example", content=content, chunks=lambda: iter(blocks)))
    assert isinstance(result.outcome, Delivered)
    assert smarthost.messages[0].content == content + b"\r\n"


def test_each_recipient_has_its_own_outcome(smarthost: Smarthost, courier_to: Make) -> None:
    found = courier_to(smarthost).deliver(
        outbound("550@b.example", "fine@b.example", "temperror@b.example", "552@b.example")
    )
    assert found[0].outcome == Bounced("5.1.1", "address", 550)
    assert isinstance(found[1].outcome, Delivered)
    assert found[2].outcome == Deferred("4.3.0", "system", 451)
    assert found[3].outcome == Bounced("5.2.2", "mailbox", 552)
    assert smarthost.messages[0].recipients == ["fine@b.example"]


def test_nobody_left_sends_no_content_and_the_connection_serves_on(smarthost: Smarthost, courier_to: Make) -> None:
    courier = courier_to(smarthost)
    (refused,) = courier.deliver(outbound("550@b.example"))
    assert refused.outcome == Bounced("5.1.1", "address", 550)
    assert smarthost.messages == []
    (taken,) = courier.deliver(outbound("fine@b.example"))
    assert isinstance(taken.outcome, Delivered)
    assert smarthost.connections == 1


@pytest.mark.parametrize(
    ("mail_from", "outcome"),
    [
        ("550@clinic.example", Bounced("5.1.1", "address", 550)),
        ("temperror@clinic.example", Deferred("4.3.0", "system", 451)),
        ("drop@clinic.example", Deferred("4.4.2", "lost")),
        ("421@clinic.example", Deferred("4.4.2", "closing", 421)),
    ],
)
def test_trouble_at_mail_settles_all(smarthost: Smarthost, courier_to: Make, mail_from: str, outcome: object) -> None:
    found = courier_to(smarthost).deliver(outbound("a@b.example", "550@b.example", mail_from=mail_from))
    assert [result.outcome for result in found] == [outcome, outcome]
    assert smarthost.messages == []


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("drop@b.example", Deferred("4.4.2", "lost")),
        ("421@b.example", Deferred("4.4.2", "closing", 421)),
        ("temperror-data@b.example", Deferred("4.3.0", "system", 451)),
        ("550-data@b.example", Bounced("5.1.1", "address", 550)),
        ("drop-data@b.example", Deferred("4.4.2", "lost")),
        ("temperror-end@b.example", Deferred("4.3.0", "system", 451)),
        ("550-end@b.example", Bounced("5.1.1", "address", 550)),
        ("421-end@b.example", Deferred("4.4.2", "closing", 421)),
        ("drop-end@b.example", Deferred("4.4.2", "lost", unknown=True)),
    ],
)
def test_trouble_at_each_stage_settles_all(
    smarthost: Smarthost, courier_to: Make, address: str, outcome: object
) -> None:
    found = courier_to(smarthost).deliver(outbound(address, "fine@b.example"))
    assert [result.outcome for result in found] == [outcome, outcome]


@pytest.mark.parametrize(
    ("address", "unknown"),
    [
        ("timeout@b.example", False),
        ("timeout-data@b.example", False),
        ("timeout-end@b.example", True),
    ],
)
def test_silence_is_deferred_and_after_the_end_it_is_unknown(
    smarthost: Smarthost, courier_to: Make, address: str, unknown: bool
) -> None:
    (result,) = courier_to(smarthost, timeout_seconds=1, end_timeout_seconds=1).deliver(outbound(address))
    assert result.outcome == Deferred("4.4.2", "timeout", unknown=unknown)


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        ("drop-cut@b.example", {Deferred("4.4.2", "lost")}),
        # An answer sent just before the cut may or may not arrive; either way nothing is claimed.
        ("552-cut@b.example", {Bounced("5.2.2", "mailbox", 552), Deferred("4.4.2", "lost")}),
    ],
)
def test_cut_while_content_is_sent_is_never_delivered(
    smarthost: Smarthost, courier_to: Make, address: str, kinds: set[object]
) -> None:
    block = b"x" * 998 + b"\r\n"
    (result,) = courier_to(smarthost).deliver(
        outbound(address, content=block * 20_000, chunks=lambda: iter([block * 100] * 200))
    )
    assert result.outcome in kinds
    assert smarthost.messages == []


def test_connection_is_used_again(smarthost: Smarthost, courier_to: Make) -> None:
    courier = courier_to(smarthost)
    for _ in range(3):
        courier.deliver(outbound("a@b.example"))
    assert len(smarthost.messages) == 3
    assert smarthost.connections == 1


def test_connection_closed_while_idle_costs_no_attempt(smarthost: Smarthost, courier_to: Make) -> None:
    courier = courier_to(smarthost)
    courier.deliver(outbound("a@b.example"))
    smarthost.cut_all()
    (result,) = courier.deliver(outbound("a@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert smarthost.connections == 2


def test_reused_connection_that_dies_before_content_is_replaced_once(smarthost: Smarthost, courier_to: Make) -> None:
    courier = courier_to(smarthost)
    courier.deliver(outbound("a@b.example"))
    (result,) = courier.deliver(outbound("drop@b.example"))
    assert result.outcome == Deferred("4.4.2", "lost")
    assert smarthost.connections == 2
    assert [line for line in smarthost.commands if "drop@" in line] == ["RCPT TO:<drop@b.example>"] * 2


def test_connection_idle_for_too_long_is_not_used(smarthost: Smarthost, courier_to: Make) -> None:
    now = [0.0]
    courier = courier_to(smarthost, monotonic=lambda: now[0], idle_seconds=20)
    courier.deliver(outbound("a@b.example"))
    now[0] = 20.0
    courier.deliver(outbound("a@b.example"))
    assert smarthost.connections == 1
    now[0] = 41.0
    courier.deliver(outbound("a@b.example"))
    assert smarthost.connections == 2


def test_no_more_connections_than_allowed(smarthost: Smarthost, courier_to: Make) -> None:
    courier = courier_to(smarthost, max_connections=2)
    threads = [threading.Thread(target=courier.deliver, args=(outbound("a@b.example"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(smarthost.messages) == 8
    assert smarthost.connections <= 2


def test_broken_source_cuts_the_connection_without_an_end(smarthost: Smarthost, courier_to: Make) -> None:
    def broken() -> Iterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        raise Tampered("segment 3")

    courier = courier_to(smarthost)
    with pytest.raises(Tampered, match="segment 3"):
        courier.deliver(outbound("a@b.example", chunks=broken))
    (result,) = courier.deliver(outbound("b@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert [message.recipients for message in smarthost.messages] == [["b@b.example"]]


@pytest.mark.parametrize("size", [len(MESSAGE) - 1, len(MESSAGE) + 1])
def test_copy_of_another_size_than_recorded_never_arrives(smarthost: Smarthost, courier_to: Make, size: int) -> None:
    with pytest.raises(Tampered, match="recorded size"):
        courier_to(smarthost).deliver(outbound("a@b.example", size=size))
    assert smarthost.messages == []


def test_bare_newline_never_travels_onward(smarthost: Smarthost, courier_to: Make) -> None:
    smuggled = b"Subject: x\r\n\r\na\n.\r\nMAIL FROM:<evil@b.example>\r\n"
    (result,) = courier_to(smarthost).deliver(outbound("a@b.example", content=smuggled))
    assert result.outcome == Bounced("5.6.0", "content")
    assert smarthost.messages == []


def test_many_recipients_go_in_groups(smarthost: Smarthost, courier_to: Make) -> None:
    people = [f"p{number}@b.example" for number in range(120)]
    found = courier_to(smarthost).deliver(outbound(*people, "550@b.example"))
    assert [isinstance(result.outcome, Delivered) for result in found] == [True] * 120 + [False]
    assert smarthost.messages[0].recipients == people


def test_too_many_recipients_waits(smarthost: Smarthost, courier_to: Make) -> None:
    from gateway.courier.reply import Reply, refusal
    from gateway.sensitive import Sensitive

    assert refusal(Reply(552, Sensitive("too many")), at_rcpt=True) == Deferred("4.5.3", "too-many-recipients", 552)
    assert refusal(Reply(552, Sensitive("too many"))) == Bounced("5.0.0", "other", 552)


def test_utf8_addresses_travel_with_smtputf8(smarthost: Smarthost, courier_to: Make) -> None:
    (result,) = courier_to(smarthost).deliver(outbound("jürgen@b.example"))
    assert isinstance(result.outcome, Delivered)
    assert smarthost.messages[0].recipients == ["jürgen@b.example"]
    assert "SMTPUTF8" in smarthost.messages[0].mail_params


def test_server_that_knows_only_helo_is_served(courier_to: Make) -> None:
    with Smarthost(ehlo=False) as smarthost:
        courier = courier_to(smarthost)
        (result,) = courier.deliver(outbound(Recipient("a@b.example", (("NOTIFY", "NEVER"),))))
        assert isinstance(result.outcome, Delivered)
        assert smarthost.messages[0].mail_params == {}
        assert courier.extensions() == frozenset()


@pytest.mark.parametrize("greeting", ["554 5.3.2 marked-server-text, no service", "421 4.3.2 marked-server-text"])
def test_unfriendly_greeting_defers(courier_to: Make, greeting: str) -> None:
    with Smarthost() as smarthost:
        smarthost.greeting = greeting
        (result,) = courier_to(smarthost).deliver(outbound("a@b.example"))
        assert result.outcome == Deferred("4.3.2", "greeting", int(greeting[:3]))


def test_nobody_listening_defers(courier_to: Make) -> None:
    with Smarthost() as smarthost:
        courier = courier_to(smarthost)
    (result,) = courier.deliver(outbound("a@b.example"))
    assert result.outcome == Deferred("4.4.1", "connect")
    assert courier.extensions() == frozenset()


def test_answer_that_is_no_smtp_defers(courier_to: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"SSH-2.0-marked\r\n")

        thread = threading.Thread(target=answer)
        thread.start()

        class Here:
            port = listener.getsockname()[1]

        (result,) = courier_to(Here()).deliver(outbound("a@b.example"))
        thread.join(5)
    assert isinstance(result.outcome, Deferred)


def test_extensions_are_those_of_the_smarthost(smarthost: Smarthost, courier_to: Make) -> None:
    found = courier_to(smarthost).extensions()
    assert {"SIZE", "8BITMIME", "SMTPUTF8", "DSN"} <= found
    assert ("PIPELINING" in found) == ("PIPELINING" in smarthost._offer)


def test_a_smarthost_that_says_nothing_keeps_nobody_waiting_for_what_it_offers(
    courier_to: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "ASK_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        class Here:
            port = listener.getsockname()[1]

        courier = courier_to(Here())
        assert courier.extensions() == frozenset()  # would wait for the greeting for a minute
        peer, _ = listener.accept()
        assert courier.extensions() == frozenset()  # and nobody asks twice at once
        peer.close()
        assert courier._asking is not None
        courier._asking.join(30)
        assert not courier._asking.is_alive()


def test_pipelined_envelope_and_small_content_go_in_one_write_each(
    courier_to: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.courier.connection import Connection

    writes: list[bytes] = []
    real = Connection.send_bytes
    monkeypatch.setattr(Connection, "send_bytes", lambda self, data: (writes.append(data), real(self, data))[1])
    with Smarthost() as smarthost:
        courier_to(smarthost).deliver(outbound("a@b.example", "c@b.example"))
    envelope = (
        b"MAIL FROM:<sender@clinic.example> SIZE=%d\r\nRCPT TO:<a@b.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
    )
    assert writes[0] == envelope % len(MESSAGE)
    assert len(writes) == 2
    assert writes[1].endswith(b"\r\n.\r\n")
