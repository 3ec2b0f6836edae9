"""Texts planted wherever they could leak from, at the most verbose level: none in a log, an event, an error or a page
for strangers; notices and DSN hold what DESIGN §3 ("Who may read what") allows and nothing else.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.clinic import PHONE
from gateway.demo.sink import LINK
from gateway.mail.trace import CHECKPOINT
from tests.support.planting import EVERYBODY, OWNER, SENDER, Planted, Scene, everything_happened, shown

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything is planted, sent, typed and asked; then the tests look."""
    yield from everything_happened(tmp_path_factory.mktemp("marks"))


def test_no_mark_is_in_a_log_of_the_gateway_at_its_most_verbose(scene: Scene) -> None:
    log = (scene.clinic.data / "gateway.log").read_bytes()
    events = {json.loads(line).get("event") for line in log.splitlines() if line.startswith(b"{")}
    assert {"outbound:failed", "smtp:failed", "portal:failed"} <= events  # the exceptions did happen
    verbose = {json.loads(line)["pid"] for line in log.splitlines() if b'"log:verbose"' in line}
    assert {scene.clinic.role("gateway"), scene.clinic.role("smtp")} <= verbose
    assert all(line.startswith((b"{", b"sealgate: one user")) for line in log.splitlines())
    assert scene.planted.found(log) == []
    # Its twin: the search does find, here what reached its recipient as it was, and a short code by itself.
    assert len(scene.planted.found(scene.wait("clean").content)) >= 3
    assert scene.planted.found(b'{"code":"%s"}' % scene.planted.secrets["text code"].encode()) == ["text code"]


def test_no_mark_is_in_an_entry_of_a_log_or_in_its_export(scene: Scene, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    scene.clinic.command("audit", "export", str(folder))
    scene.clinic.command("audit", "verify", str(folder), "--key", str(folder / "vkey"))
    exported = [path for path in folder.rglob("*") if path.is_file()]
    assert len(exported) > 5
    for path in exported:
        assert scene.planted.found(path.read_bytes()) == [], path.name
    with scene.clinic.sql() as conn:
        for log, idx, entry in conn.execute("SELECT log, idx, entry FROM log_leaves"):
            assert scene.planted.found(bytes(entry)) == [], f"entry {idx} of {log}"


def test_no_mark_is_in_an_answer_to_a_stranger_or_in_what_an_operator_sees(scene: Scene) -> None:
    assert len(scene.planted.answers) > 60
    for answer in scene.planted.answers:
        assert scene.planted.found(answer) == [], answer[:300]
    for output in scene.outputs:
        assert scene.planted.found(output.encode()) == [], output[:300]


def _others(scene: Scene, *but: str) -> Planted:
    """All planted texts except those."""
    return Planted({where: text for where, text in scene.planted.texts.items() if text not in but})


def test_recipients_notice_holds_own_address_link_clinic_count_and_size(scene: Scene) -> None:
    notice = scene.wait("sealed")
    assert _others(scene, OWNER, SENDER).found(notice.content) == []
    text = shown(notice)
    assert scene.planted.secrets["link token"] in text
    assert "Riverside Clinic" in text
    assert PHONE.replace(" ", "") in text.replace(" ", "")
    assert re.search(r"\b1 file", text)
    assert "Oyelaran" not in text
    assert "4471920" not in notice.content.decode("latin-1")
    for secret in ("text code", "staff code"):
        assert scene.planted.secrets[secret] not in text
    parsed = email.message_from_bytes(notice.content, policy=email.policy.default)
    assert [one.addresses[0].addr_spec for one in parsed.get_all("To", [])] == [OWNER]
    assert set(parsed.keys()) == {
        "Received", "Sealgate-Trace", CHECKPOINT, "From", "To", "Subject", "Date", "Message-ID", "MIME-Version",
        "Content-Type",
    }  # fmt: skip


def test_senders_notice_holds_recipient_kind_and_place(scene: Scene) -> None:
    (notice,) = scene.told("held")
    assert notice.mail_from in ("", "<>")
    assert _others(scene, EVERYBODY["held"], SENDER).found(notice.content) == []
    text = shown(notice)
    assert EVERYBODY["held"] in text
    assert "attachment 1 (ZIP" in text
    assert "Oyelaran" not in text
    assert "4471920" not in text
    assert not LINK.search(text)
    (unread,) = scene.told("exploding")
    assert _others(scene, EVERYBODY["exploding"], SENDER).found(unread.content) == []


@pytest.mark.parametrize("fate", ["bounced", "returned"])
def test_dsn_holds_recipient_status_and_headers_and_no_word_of_the_server(scene: Scene, fate: str) -> None:
    (dsn,) = scene.told(fate)
    assert dsn.mail_from in ("", "<>")
    assert _others(scene, EVERYBODY[fate].partition("+")[2], SENDER).found(dsn.content) == []
    assert b"marked-server-text" not in dsn.content
    parsed = email.message_from_bytes(dsn.content, policy=email.policy.default)
    kinds = [part.get_content_type() for part in parsed.walk()]
    assert kinds == [
        "multipart/report",
        "text/plain",
        "message/delivery-status",
        "text/plain",
        "text/plain",
        "text/rfc822-headers",
    ]
    status = dsn.content.decode()
    assert f"Final-Recipient: rfc822; {EVERYBODY[fate]}" in status
    assert "Status: 5.1.1" in status
    (headers,) = [part.get_content() for part in parsed.walk() if part.get_content_type() == "text/rfc822-headers"]
    names = {line.partition(":")[0] for line in str(headers).splitlines() if line}
    assert names == {"Date", "From", "Message-ID"}
    assert not LINK.search(shown(dsn))
