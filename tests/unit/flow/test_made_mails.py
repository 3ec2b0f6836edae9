"""Every made mail through the real flow, under each shipped policy: treated as DESIGN §3 says, nothing else changed.

Under `observe` the original is an exact suffix; under `clinic` and `strict` every part that is not sealed is there byte
for byte, the link stands in the visible body, and the words of the patient stand in no coding anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.header import decode_header, make_header

import pytest

from gateway.demo.leaks import words_in
from gateway.demo.sink import LINK, Received
from gateway.mail.model import Message
from gateway.mail.scan import scan
from gateway.mail.source import BytesSource
from tests.support.flow import World
from tests.support.mail_broken import broken
from tests.support.mail_more_rows import rows
from tests.support.mail_pieces import patient
from tests.support.mail_rows import Made
from tests.support.second_reader import SecondReader
from tests.support.treated import Treated, clinic, treat

ROWS, BROKEN = rows(), broken()
SEEDS = (
    *("forms", "encodings", "places", "body", "lower", "subject", "words", "signed", "tnef", "calendar", "cid"),
    *("forward", "unread", "machine", "broken"),
)
WORDS = sorted({word for one in map(patient, SEEDS) for word in (one.last, one.mrn)})
KEPT = ("from", "date", "message-id", "in-reply-to", "references", "reply-to")


def parsed(data: bytes) -> Message:
    return scan(BytesSource(data))


QUIET, HOLDING = [one for one in BROKEN if not one.clinic], [one for one in BROKEN if one.clinic]
MOVED = [one for one in ROWS if one.clinic != "as-is" or parsed(one.data).attachments()]
each_row = pytest.mark.parametrize("made", ROWS, ids=[one.name for one in ROWS])
each_moved = pytest.mark.parametrize("made", MOVED, ids=[one.name for one in MOVED])
each_holding = pytest.mark.parametrize("made", HOLDING, ids=[one.name for one in HOLDING])
each_observed = pytest.mark.parametrize("made", ROWS + QUIET, ids=[one.name for one in ROWS + QUIET])


def world(tmp_path_factory: pytest.TempPathFactory, policy: str) -> Iterator[World]:
    found = clinic(tmp_path_factory.mktemp(policy) / "w", policy)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def protecting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from world(tmp_path_factory, "clinic")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from world(tmp_path_factory, "strict")


@pytest.fixture(scope="module")
def observing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from world(tmp_path_factory, "observe")


@pytest.fixture(scope="module")
def second() -> Iterator[SecondReader]:
    with SecondReader() as reader:
        yield reader


def received(data: bytes) -> Received:
    return Received("amy@riverside.test", ("reader@outside.test",), data)


def assert_as_it_came(sent: bytes, left: bytes | None) -> None:
    assert left is not None
    assert left.endswith(sent)
    top = left[: -len(sent)] if sent else left
    assert top.startswith(b"Received: ")
    assert re.fullmatch(rb"(?:[!-9;-~]+:[^\n]*\r\n(?:[ \t][^\n]*\r\n)*)+", top)


def assert_nothing_said(got: Treated) -> None:
    for mail in (got.left, *got.told):
        if mail is not None:
            assert words_in(received(mail), WORDS) == []


def assert_untouched(sent: bytes, left: bytes) -> None:
    """Each part that is neither a file nor where the link was put is there with its header, byte for byte."""
    message = parsed(sent)
    visible = {part.path for part in message.visible()}
    files = [part.path for part in (*message.attachments(), *(p for p in message.parts() if p.kind == "inline"))]
    for part in message.parts():
        inside = any(part.path[: len(path)] == path for path in files)
        if not (part.children or inside or part.path in visible or part.kind == "multipart"):
            assert sent[part.start : part.body_stop] in left, part.id


def assert_readable(made: Made, left: bytes, second: SecondReader, *, notice: bool) -> None:
    """Another reader finds one link, first in each alternative, and behind it what stood there."""
    before, after = second.leaves(made.data), second.leaves(left)
    links = {match for leaf in after for match in LINK.findall(leaf.text)}
    assert len(links) == 1
    texts = [leaf for leaf in after if leaf.type in ("text/plain", "text/html") and not leaf.disposition]
    assert texts
    assert next(iter(links)) in texts[0].text[:1500]
    if b"multipart/alternative" in made.data or notice:
        assert {leaf.type for leaf in texts if LINK.search(leaf.text)} == {leaf.type for leaf in texts}
    known = {leaf.sha256 for leaf in before}
    changed = [leaf for leaf in after if leaf.sha256 not in known]
    assert all(LINK.search(leaf.text) or leaf.type == "text/calendar" for leaf in changed)
    if not notice:
        for leaf in changed:
            old = next((one for one in before if one.type == leaf.type and one.text and one.text in leaf.text), None)
            assert old is not None or leaf.type == "text/html" or b"multipart" not in made.data


def assert_headers(made: Made, left: bytes, *, neutral: bool) -> None:
    old, new = parsed(made.data), parsed(left)
    for name in KEPT:
        assert new.all(name) == old.all(name), name
    assert new.all("bcc") == []
    subject = str(make_header(decode_header(new.header("subject") or "")))
    assert ("secure message" in subject) == neutral
    if not neutral:
        assert new.subject == old.subject


@each_observed
def test_under_observe_the_original_is_an_exact_suffix(observing: World, made: Made) -> None:
    got = treat(observing, made)
    assert got.treatment == "as-is"
    assert_as_it_came(made.data, got.left)
    assert got.told == ()


@each_row
def test_under_clinic_each_row_is_treated_as_the_table_says(
    protecting: World, second: SecondReader, made: Made
) -> None:
    got = treat(protecting, made)
    assert got.treatment == made.clinic
    if made.clinic == "as-is":
        assert_as_it_came(made.data, got.left)
        return
    assert_nothing_said(got)
    if made.clinic == "held":
        assert got.left is None
        return
    assert got.left is not None
    if made.moved is not None:
        assert got.moved == made.moved
    if made.clinic == "attachments":
        assert_untouched(made.data, got.left)
    assert_readable(made, got.left, second, notice=made.clinic == "secure")
    assert_headers(made, got.left, neutral=made.neutral)


@each_moved
def test_under_strict_no_attachment_leaves_and_the_rest_is_there_byte_for_byte(strict: World, made: Made) -> None:
    got = treat(strict, made)
    files = parsed(made.data).attachments()
    if got.treatment == "as-is":
        assert_as_it_came(made.data, got.left)
        assert made.clinic == "as-is"
        assert not files or made.row in ("signed", "machine")
        return
    assert_nothing_said(got)
    assert (got.left is None) == (got.treatment == "held")
    if got.treatment == "attachments" and got.left is not None:
        assert_untouched(made.data, got.left)
        assert not [part.id for part in files if made.data[part.start : part.body_stop] in got.left]


@each_holding
def test_a_broken_mail_never_crashes_and_never_leaks(protecting: World, second: SecondReader, made: Made) -> None:
    got = treat(protecting, made)
    assert got.treatment in ("attachments", "secure", "held")
    assert_nothing_said(got)
    if got.left is not None:
        assert any(LINK.search(leaf.text) for leaf in second.leaves(got.left))
        if b"\r" not in made.data.replace(b"\r\n", b"") and b"\n" not in made.data.replace(b"\r\n", b""):
            assert got.left.count(b"\n") == got.left.count(b"\r\n") == got.left.count(b"\r")


def test_the_corpus_is_large_and_its_words_can_be_found() -> None:
    assert len(ROWS + QUIET) >= 250
    assert len(QUIET) >= len(HOLDING) >= 80
    assert len({one.name for one in ROWS + BROKEN}) == len(ROWS + BROKEN)
    holding = [one for one in ROWS if one.row in ("body", "subject")]
    found = [one.name for one in holding if words_in(received(one.data), WORDS)]
    assert len(found) == len(holding) >= 30
