"""A network shared with strangers: every proof that is not exactly the clinic's own is 550, kept nowhere and noted; a
right one lets the message through without the proof in it. DESIGN §7.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.senders import LOOP, MICROSOFT, loop_value, verifier
from gateway.smtp import replies
from gateway.smtp.proof import Proved, judge
from gateway.spool import known
from gateway.spool.envelope import REFUSED
from gateway.spool.snapshot import TenantEntry
from tests.support.smtpd import Smtpd, smtpd
from tests.support.spool import TENANT, eventually, tenant

SECRET, OTHERS = "5f" * 16, "a7" * 16
HEADER = "X-Sealgate-Proof"
OTHER_TENANT = "tnt_Other00000000001"


def entry(secret: str = SECRET, org: str = "clinic.test", **more: Any) -> dict[str, Any]:
    return {
        "name": "m365", "provider": MICROSOFT, "networks": ["127.0.0.0/8"], "header": HEADER,
        "originator_org": org, "loop": False, "verifier": verifier(secret).hex(),
    } | more  # fmt: skip


def house(secret: str, org: str, id: str, domain: str) -> tuple[TenantEntry, known.SharedEntry]:
    (one,) = known.shared([entry(secret, org)])
    return TenantEntry(id, frozenset((domain,)), (), shared=(one,)), one


OURS = house(SECRET, "clinic.test", TENANT, "clinic.test")
THEIRS = house(OTHERS, "other.test", OTHER_TENANT, "other.test")
PROOF = f"{HEADER}: {SECRET}\r\n".encode()
ORG = b"X-OriginatorOrg: clinic.test\r\n"
REST = b"From: a@clinic.test\r\nSubject: hours\r\n folded: on\r\n"

RIGHT = {
    "plain": PROOF + ORG,
    "names in another case": PROOF.replace(b"X-S", b"x-s") + ORG.replace(b"X-O", b"x-o"),
    "organisation in another case": PROOF + ORG.replace(b"clinic", b"Clinic"),
    "folded": PROOF.replace(b": ", b":\r\n\t") + ORG,
    "a blank before the colon": PROOF.replace(b":", b" :") + ORG,
}
WRONG = {
    "missing": b"",
    "secret missing": ORG,
    "organisation missing": PROOF,
    "forged": PROOF.replace(b"5f", b"5e", 1) + ORG,
    "empty": f"{HEADER}:\r\n".encode() + ORG,
    "half": PROOF.replace(SECRET.encode(), SECRET[:-1].encode()) + ORG,
    "doubled": PROOF + PROOF + ORG,
    "doubled, one forged": PROOF + f"{HEADER}: x\r\n".encode() + ORG,
    "organisation doubled": PROOF + ORG + ORG,
    "in capitals": PROOF.replace(SECRET.encode(), SECRET.upper().encode()) + ORG,
    "organisation forged": PROOF + b"X-OriginatorOrg: evil.test\r\n",
    "organisation longer": PROOF + b"X-OriginatorOrg: clinic.test.evil.test\r\n",
    "another clinic's": f"{HEADER}: {OTHERS}\r\n".encode() + b"X-OriginatorOrg: other.test\r\n",
    "another clinic's secret": f"{HEADER}: {OTHERS}\r\n".encode() + ORG,
    "within another field": b"Subject: a\r\n " + PROOF + ORG,
    "the verifier itself": f"{HEADER}: {verifier(SECRET).hex()}\r\n".encode() + ORG,
}


@pytest.mark.parametrize("how", list(RIGHT))
def test_a_right_proof_is_found_and_taken_out(how: str) -> None:
    for header in (RIGHT[how] + REST, REST + RIGHT[how]):
        found = judge(header, [OURS, THEIRS])
        assert isinstance(found, Proved)
        assert (found.tenant.id, found.header) == (TENANT, REST)


@pytest.mark.parametrize("how", list(WRONG))
def test_a_proof_that_is_not_exactly_the_clinics_is_none(how: str) -> None:
    for header in (WRONG[how] + REST, REST + WRONG[how]):
        assert judge(header, [OURS]) is replies.NO_PROOF


def test_of_two_clinics_in_one_network_the_proof_says_whose_it_is() -> None:
    theirs = f"{HEADER}: {OTHERS}\r\nX-OriginatorOrg: other.test\r\n".encode()
    found = judge(theirs, [OURS, THEIRS])
    assert isinstance(found, Proved)
    assert found.tenant.id == OTHER_TENANT
    assert judge(theirs + PROOF, [OURS, THEIRS]) is replies.NO_PROOF


def test_google_is_believed_by_the_secret_alone_and_its_clinic_by_no_other() -> None:
    (google,) = known.shared([entry(provider="google-workspace", originator_org="")])
    ours = (OURS[0], google)
    assert isinstance(judge(PROOF, [ours]), Proved)
    assert judge(ORG, [ours]) is replies.NO_PROOF


def test_what_was_here_before_goes_round_in_a_loop_and_a_made_up_mark_is_taken_out() -> None:
    value = loop_value(verifier(SECRET))
    assert judge(PROOF + ORG + f"{LOOP}: {value}\r\n".encode(), [OURS]) is replies.LOOP
    found = judge(PROOF + ORG + f"{LOOP}: {'0' * 32}\r\n".encode() + REST, [OURS])
    assert isinstance(found, Proved)
    assert found.header == REST
    assert value not in SECRET + verifier(SECRET).hex()


def test_a_header_that_begins_without_a_colon_is_read_in_a_moment() -> None:
    assert judge(b"a" * 200_000 + b"\r\n" + b" " * 50_000 + b"\r\n" + PROOF + ORG, [OURS]) is not None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    tenants = [
        tenant(networks=(), shared=[entry()]),
        tenant(networks=()) | {
            "id": OTHER_TENANT, "domains": ["other.test"], "shared": [entry(OTHERS, "other.test")],
        },
    ]  # fmt: skip
    with smtpd(tmp_path_factory.mktemp("shared") / "s", snapshot={"tenants": tenants}) as running:
        yield running


def send(server: Smtpd, header: bytes, sender: str = "a@clinic.test", body: bytes = b"hi\r\n") -> tuple[int, bytes]:
    with server.client() as client:
        client.ehlo("c.test")
        code, text = client.mail(sender)
        if code != 250:
            return code, text
        client.rcpt("b@example.test")
        return client.data(header + b"\r\n" + body)


def refusals(server: Smtpd) -> list[tuple[str, str]]:
    found = [one for one in server.envelopes() if one.identity.kind == REFUSED]
    return [(one.tenant, one.identity.name) for one in found]


def test_over_the_wire_a_proved_mail_is_spooled_for_its_clinic_without_the_proof(server: Smtpd) -> None:
    before = len(server.messages())
    code, _ = send(server, PROOF + ORG + REST)
    assert code == 250
    message, envelope = server.messages()[before:], server.envelopes()[-1]
    assert message == [REST + b"\r\nhi\r\n"]
    assert (envelope.tenant, envelope.identity.kind, envelope.identity.name) == (TENANT, "shared", "m365")


def test_over_the_wire_a_bounce_goes_to_the_clinic_that_proves_itself(server: Smtpd) -> None:
    theirs = f"{HEADER}: {OTHERS}\r\nX-OriginatorOrg: other.test\r\n".encode()
    assert send(server, theirs + REST, sender="")[0] == 250
    assert server.envelopes()[-1].tenant == OTHER_TENANT


@pytest.mark.parametrize("how", ["missing", "forged", "doubled", "in capitals", "another clinic's"])
def test_over_the_wire_what_is_not_proved_is_550_kept_nowhere_and_noted(server: Smtpd, how: str) -> None:
    kept, noted = len(server.messages()), len(refusals(server))
    code, text = send(server, REST + WRONG[how], body=b"x" * 70 + b"\r\n")
    assert (code, text[:5]) == (550, b"5.7.1")
    eventually(lambda: len(refusals(server)) == noted + 1)
    assert refusals(server)[-1] == (TENANT, "no-proof"), "in the log of the clinic whose domain was named"
    assert len(server.messages()) == kept
    assert SECRET not in server.log_text()


def test_over_the_wire_chunks_are_proved_like_data_and_the_line_goes_on(server: Smtpd) -> None:
    kept = len(server.messages())
    with server.client() as client:
        client.ehlo("c.test")
        for header, wanted in ((REST, 550), (PROOF + ORG + REST, 250)):
            whole = header + b"\r\nhi\r\n"
            client.mail("a@clinic.test")
            client.rcpt("b@example.test")
            for at in range(0, len(whole), 7):
                last = " LAST" if at + 7 >= len(whole) else ""
                piece = whole[at : at + 7]
                client.send(f"BDAT {len(piece)}{last}\r\n".encode() + piece)
                code, _ = client.getreply()
                if not last:
                    assert code in (250, wanted)
            assert code == wanted
            client.rset()
    assert server.messages()[kept:] == [REST + b"\r\nhi\r\n"]


def test_over_the_wire_another_domain_is_refused_before_the_message(server: Smtpd) -> None:
    assert send(server, PROOF + ORG + REST, sender="a@elsewhere.test")[0] == 550


def test_over_the_wire_a_header_without_end_is_not_kept(server: Smtpd) -> None:
    kept = len(server.messages())
    code, _ = send(server, b"".join(b"X-%d: %s\r\n" % (n, b"a" * 900) for n in range(400)) + PROOF + ORG)
    assert code == 550
    assert len(server.messages()) == kept


def test_over_the_wire_bare_line_ends_hide_no_field(tmp_path: Path) -> None:
    snapshot = {"tenants": [tenant(networks=(), shared=[entry()])]}
    with smtpd(tmp_path / "s", snapshot=snapshot, normalize_newlines=True) as server:
        with server.client() as client:
            client.ehlo("c.test")
            client.mail("a@clinic.test")
            client.rcpt("b@example.test")
            client.docmd("DATA")
            client.send(PROOF + ORG + b"X: y\n" + PROOF + REST + b"\r\nhi\r\n.\r\n")
            assert client.getreply()[0] == 554
        assert server.messages() == []


def test_before_the_header_is_over_nothing_is_in_the_spool(server: Smtpd) -> None:
    kept = len(server.envelopes())
    client = server.client()
    client.ehlo("c.test")
    client.mail("a@clinic.test")
    client.rcpt("b@example.test")
    client.docmd("DATA")
    client.send(PROOF + ORG + REST)
    client.close()
    with server.client() as other:
        assert other.noop()[0] == 250
    assert len(server.envelopes()) == kept


@pytest.fixture(scope="module", params=["refuse", "normalize"])
def trusting_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smtpd]:
    """A clinic with a network of its own, and a proof for another one."""
    tenants = [tenant(shared=[entry(networks=["192.0.2.0/24"])])]
    with smtpd(
        tmp_path_factory.mktemp("cloak") / "s", snapshot={"tenants": tenants},
        normalize_newlines=request.param == "normalize",
    ) as running:  # fmt: skip
        yield running


@pytest.mark.parametrize("secret", [SECRET, OTHERS, ""], ids=["right", "wrong", "empty"])
def test_from_a_network_of_its_own_the_proof_is_left_at_the_door_whatever_it_is(
    trusting_server: Smtpd, secret: str
) -> None:
    proof = f"{HEADER.upper()} :\r\n {secret}\r\n".encode()
    before = len(trusting_server.messages())
    body = b"x" * 300_000 + b"\r\n" + PROOF  # in the body it is a word like any other
    assert send(trusting_server, REST + proof + ORG, body=body)[0] == 250
    assert send(trusting_server, REST, body=b"hi\r\n")[0] == 250
    assert trusting_server.envelopes()[-1].identity.kind == "network"
    assert trusting_server.messages()[before:] == [REST + ORG + b"\r\n" + body, REST + b"\r\nhi\r\n"]


def test_from_a_network_of_its_own_a_bare_line_end_hides_no_proof(trusting_server: Smtpd) -> None:
    before = len(trusting_server.messages())
    with trusting_server.client() as client:
        client.ehlo("c.test")
        client.mail("a@clinic.test")
        client.rcpt("b@example.test")
        client.docmd("DATA")
        client.send(b"Subject: x\n" + PROOF.replace(b"\r", b"") + b"\nhi\r\n.\r\n")
        code, _ = client.getreply()
    mends = trusting_server.config.normalize_newlines
    assert code == (250 if mends else 554)
    kept = [b"Subject: x\r\n\r\nhi\r\n"] if mends else []
    assert trusting_server.messages()[before:] == kept


def test_from_a_network_of_its_own_a_header_without_an_end_is_not_passed_on(trusting_server: Smtpd) -> None:
    before = len(trusting_server.messages())
    assert send(trusting_server, b"X-Long: y\r\n" * 30_000 + PROOF)[0] == 552
    assert len(trusting_server.messages()) == before
