"""Recovery keys and their kits: enough sheets open, fewer tell nothing, and what was changed is refused."""

from __future__ import annotations

import pytest

from keys import kit, recovery
from keys.errors import Tampered, WrongSecret

PLACE = recovery.Place("tnt_a", "msg_a", "lnk_a")
MK, SHARE = bytes(range(32)), bytes(range(32, 64))


def kit_of(shares: str) -> kit.Made:
    return kit.make("Elm Street Clinic", "2026-11-23", *kit.parse_shares(shares))


def test_any_two_of_three_sheets_open_and_one_does_not() -> None:
    made = kit_of("2-of-3")
    sheets = [kit.parse(one.text()) for one in made.sheets]
    assert [one.number for one in sheets] == [1, 2, 3]
    wrap = recovery.seal(made.public, MK, SHARE, PLACE)
    for left_out in range(3):
        words = [one.words for one in sheets if one.number != left_out + 1]
        assert recovery.unseal(kit.joined(words), wrap, PLACE) == MK
    assert kit.joined([one.words for one in sheets]).public == made.public, "more than enough do as well"
    for words in ([sheets[0].words], [sheets[0].words] * 2):
        with pytest.raises(kit.BadKit, match="2 different sheets are needed, and 1"):
            kit.joined(words)
    with pytest.raises(kit.BadKit, match="different kits"):
        kit.joined([sheets[0].words, kit_of("2-of-3").sheets[1].words])


def test_one_sheet_is_a_whole_kit_and_survives_being_typed_again() -> None:
    made = kit_of("1-of-1")
    (sheet,) = made.sheets
    assert kit.joined([sheet.words.upper().replace(" ", "  ")]).public == made.public
    assert kit.parse(sheet.text().replace("\n", "\r\n")) == sheet
    assert sheet.words not in repr(made)


def test_a_changed_word_is_found_and_never_repeated() -> None:
    (sheet,) = kit_of("1-of-1").sheets
    first = sheet.words.split()[0]
    other = "academic" if first != "academic" else "acid"
    with pytest.raises(kit.BadKit, match="sheet 1 of those given has a wrong or missing word") as why:
        kit.joined([sheet.words.replace(first, other, 1)])
    assert other not in str(why.value)
    with pytest.raises(kit.BadKit, match="a word was changed"):
        kit.parse(sheet.text().replace(first, other, 1))
    for text in ("", "sealgate-recovery-kit-v2\n", sheet.text().replace("made:", "mode:"), sheet.text() * 2):
        with pytest.raises(kit.BadKit):
            kit.parse(text)


def test_a_check_value_is_read_as_people_type_it() -> None:
    made = kit_of("2-of-2")
    shown = [kit.check_words(one.check) for one in made.sheets]
    assert len(set(shown)) == 2
    typed = shown[0].lower().replace("-", " ").replace("1", "l").replace("0", "o")
    assert kit.parse_check(typed) == made.sheets[0].check
    for wrong in ("", shown[0][:-1], shown[0] + "0", "U" * 16):
        assert kit.parse_check(wrong) is None


@pytest.mark.parametrize("text", ["1-of-2", "3-of-2", "0-of-1", "2-of-17", "two", "2of3", "-1-of-3"])
def test_shares_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2-of-3"):
        kit.parse_shares(text)


def test_what_was_sealed_for_one_grant_opens_as_no_other_and_with_no_other_key() -> None:
    made = kit_of("1-of-1")
    private = kit.joined([made.sheets[0].words])
    wrap = recovery.seal(made.public, MK, SHARE, PLACE)
    assert recovery.sealed_for(wrap) == made.key == recovery.key_id(made.public)
    for place in (
        recovery.Place("tnt_b", "msg_a", "lnk_a"), recovery.Place("tnt_a", "msg_b", "lnk_a"),
        recovery.Place("tnt_a", "msg_a", "lnk_b"), recovery.Place("tnt_a", "msg_a", "lnk_a", 2),
    ):  # fmt: skip
        with pytest.raises(Tampered):
            recovery.unseal(private, wrap, place)
    with pytest.raises(WrongSecret):
        recovery.unseal(kit.joined([kit_of("1-of-1").sheets[0].words]), wrap, PLACE)


def test_any_flipped_bit_is_refused() -> None:
    made = kit_of("1-of-1")
    private = kit.joined([made.sheets[0].words])
    wrap = recovery.seal(made.public, MK, SHARE, PLACE)
    proof = recovery.proof_of(MK, SHARE, PLACE)
    assert recovery.proves(wrap, proof)
    for bit in range(len(wrap) * 8):
        flipped = bytearray(wrap)
        flipped[bit // 8] ^= 1 << (bit % 8)
        if 11 * 8 <= bit < 43 * 8:  # the mark of the proof: it opens as before, and the proof is none of it
            assert not recovery.proves(bytes(flipped), proof)
            continue
        with pytest.raises((Tampered, WrongSecret)):
            recovery.unseal(private, bytes(flipped), PLACE)


def test_a_proof_needs_the_message_key_and_the_share_and_names_the_grant() -> None:
    made = kit_of("1-of-1")
    wrap = recovery.seal(made.public, MK, SHARE, PLACE)
    for proof in (
        recovery.proof_of(SHARE, MK, PLACE), recovery.proof_of(MK, b"", PLACE), bytes(16), b"",
        recovery.proof_of(MK, SHARE, recovery.Place("tnt_a", "msg_a", "lnk_b")),
    ):  # fmt: skip
        assert not recovery.proves(wrap, proof)
    with pytest.raises(Tampered):
        recovery.proves(b"\x01" + wrap[1:], bytes(16))
