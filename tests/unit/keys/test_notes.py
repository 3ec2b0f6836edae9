"""keys.notes: the examples of C2SP signed-note and tlog-checkpoint, and refusals."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import Tampered
from keys.notes import Checkpoint, Verifier, open_note, parse_checkpoint, parse_vkey, sign_note, vkey
from keys.signing import SigningKey

# C2SP signed-note, section Example.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n"
    "\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
# C2SP tlog-checkpoint, introduction.
CHECKPOINT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

KEY, OTHER = SigningKey(bytes(32)), SigningKey(bytes(31) + b"\x01")
NAME = "sealgate/tnt_a"
VERIFIER = parse_vkey(vkey(NAME, KEY.public))


def test_the_published_note_opens_with_the_published_key() -> None:
    assert open_note(EXAMPLE, parse_vkey(EXAMPLE_KEY)) == "This is an example message.\n"


def test_the_published_verifier_key_is_written_the_same_way() -> None:
    verifier = parse_vkey(EXAMPLE_KEY)
    assert (verifier.name, verifier.key_id.hex()) == ("example.com/foo", "530d903a")
    assert vkey(verifier.name, verifier.public) == EXAMPLE_KEY
    assert parse_vkey(f"  {EXAMPLE_KEY}\n") == verifier


def test_every_changed_character_of_the_published_note_is_refused() -> None:
    verifier = parse_vkey(EXAMPLE_KEY)
    for at in range(len(EXAMPLE)):
        for other in ("A", "B", " ", "\n"):
            changed = EXAMPLE[:at] + other + EXAMPLE[at + 1 :]
            if changed != EXAMPLE:
                with pytest.raises(Tampered):
                    open_note(changed, verifier)
        with pytest.raises(Tampered):
            open_note(EXAMPLE[:at] + EXAMPLE[at + 1 :], verifier)


def test_another_base64_spelling_of_a_good_signature_is_refused() -> None:
    """The last digit before the padding has two bits that carry nothing; a lenient reader would ignore them."""
    assert EXAMPLE.endswith("QM=\n")
    for other in ("QN=\n", "QO=\n", "QP=\n", "QM\n", "QM==\n", "Q M=\n"):
        with pytest.raises(Tampered):
            open_note(EXAMPLE.removesuffix("QM=\n") + other, parse_vkey(EXAMPLE_KEY))


def test_a_signed_note_opens_with_its_text() -> None:
    for text in ("\n", "a\n", "a\n\nb\n", "a\n\n", "— x y\n", "ünï\n"):
        note = sign_note(text, NAME, KEY)
        assert open_note(note, [VERIFIER]) == text
        assert note.startswith(text + "\n— " + NAME + " ")


def test_unknown_signatures_are_ignored_but_do_not_suffice() -> None:
    note = sign_note("a\n", NAME, KEY)
    stranger = sign_note("a\n", "stranger", OTHER).removeprefix("a\n\n")
    same_name = sign_note("a\n", NAME, OTHER).removeprefix("a\n\n")
    assert open_note(note + stranger + same_name, [VERIFIER]) == "a\n"
    for only in (stranger, same_name):
        with pytest.raises(Tampered):
            open_note("a\n\n" + only, [VERIFIER])
    with pytest.raises(Tampered):
        open_note(note, [])


def test_a_known_keys_failing_signature_refuses_the_whole_note() -> None:
    good = sign_note("a\n", NAME, KEY)
    other = parse_vkey(vkey("other", OTHER.public))
    failing = sign_note("b\n", "other", OTHER).removeprefix("b\n\n")
    assert open_note(good + failing, [VERIFIER]) == "a\n"
    with pytest.raises(Tampered):
        open_note(good + failing, [VERIFIER, other])


def test_sixteen_signatures_are_accepted_and_a_thousand_refused() -> None:
    line = sign_note("a\n", "stranger", OTHER).removeprefix("a\n\n")
    note = sign_note("a\n", NAME, KEY)
    assert open_note(note + line * 15, VERIFIER) == "a\n"
    with pytest.raises(Tampered):
        open_note(note + line * 1000, VERIFIER)


@pytest.mark.parametrize("text", ["", "no end", "tab\there\n", "\x00\n", "a\r\n", "\ud800\n"])
def test_text_that_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(ValueError):
        sign_note(text, NAME, KEY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\tb"])
def test_names_with_spaces_or_plus_are_refused(name: str) -> None:
    with pytest.raises(ValueError):
        sign_note("a\n", name, KEY)
    with pytest.raises(ValueError):
        vkey(name, KEY.public)
    with pytest.raises(ValueError):
        parse_vkey(f"{name}+00000000+{base64.b64encode(b'x' * 33).decode()}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+BekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2l",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U",
        "example.com/foo+530d903a+*",
    ],
)
def test_other_verifier_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_vkey(text)


def test_the_published_checkpoint_reads_and_writes() -> None:
    checkpoint = parse_checkpoint(CHECKPOINT)
    assert (checkpoint.origin, checkpoint.size, checkpoint.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert checkpoint.root.hex() == "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62"
    assert checkpoint.text() == CHECKPOINT


lines = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(lines, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32), st.lists(lines, max_size=3))
def test_a_checkpoint_comes_back_through_a_signed_note(origin: str, size: int, root: bytes, more: list[str]) -> None:
    checkpoint = Checkpoint(origin, size, root, tuple(more))
    assert parse_checkpoint(open_note(sign_note(checkpoint.text(), NAME, KEY), VERIFIER)) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        CHECKPOINT[:-1],
        CHECKPOINT + "\n",
        CHECKPOINT + "\nx\n",
        "\n" + CHECKPOINT,
        CHECKPOINT.replace("20852163", "020852163"),
        CHECKPOINT.replace("20852163", "+20852163"),
        CHECKPOINT.replace("20852163", "-1"),
        CHECKPOINT.replace("20852163", "1_0"),
        CHECKPOINT.replace("20852163", " 1"),
        CHECKPOINT.replace("20852163", "١"),
        CHECKPOINT.replace("20852163", "9" * 19),
        CHECKPOINT.replace("20852163", "9" * 5000),
        CHECKPOINT.replace("I=\n", "J=\n"),
        CHECKPOINT.replace("I=\n", "I\n"),
        CHECKPOINT.replace("CsUY", "Cs\tUY"),
        CHECKPOINT.replace("CsUY", ""),
        CHECKPOINT.replace("\n", "\r\n"),
    ],
)
def test_any_other_spelling_of_a_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Tampered):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "checkpoint",
    [
        Checkpoint("", 1, bytes(32)),
        Checkpoint("a\nb", 1, bytes(32)),
        Checkpoint("a", -1, bytes(32)),
        Checkpoint("a", 2**63, bytes(32)),
        Checkpoint("a", 1, bytes(31)),
        Checkpoint("a", 1, bytes(32), ("",)),
        Checkpoint("a", 1, bytes(32), ("x\ny",)),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_not(checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError):
        checkpoint.text()


def test_a_verifier_with_another_id_does_not_know_the_key() -> None:
    with pytest.raises(Tampered):
        open_note(sign_note("a\n", NAME, KEY), Verifier(NAME, bytes(4), KEY.public))
