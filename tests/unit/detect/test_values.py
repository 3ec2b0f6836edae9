"""Validators and normalisation: what passes, what does not, and that offsets lead back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.detect import validators
from gateway.detect.normalise import fold


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (validators.ssn, "536-22-8726", "000-22-8726"),
        (validators.ssn, "212-09-9999", "078-05-1120"),
        (validators.ssn, "536-22-8726", "536-00-8726"),
        (validators.ssn, "536-22-8726", "536-22-0000"),
        (validators.npi, "1234567893", "1234567890"),
        (validators.dea, "AB1234563", "AB1234567"),
        (validators.mbi, "1EG4-TE5-MK73", "1SG4-TE5-MK73"),
        (validators.card, "4111 1111 1111 1111", "4111 1111 1111 1112"),
        (validators.aba, "021000021", "021000022"),
        (validators.nanp, "(212) 555-0123", "(112) 555-0123"),
        (validators.nanp, "+1 415 555 2671", "415 555 267"),
    ],
)
def test_a_check_takes_the_real_and_refuses_the_false(check, good: str, bad: str) -> None:
    assert check(good)
    assert not check(bad)


@pytest.mark.parametrize("parts", [(120, 80, None), (13, 32, None), (2, 30, 2020), (45, 45, 2020), (1, 1, 1500)])
def test_numbers_that_are_no_day_are_no_date(parts: tuple[int, int, int | None]) -> None:
    assert not validators.numeric_date(*parts)


@pytest.mark.parametrize("parts", [(2, 29, 2024), (31, 12, 1999), (1961, 9, 25), (6, 17, 52), (8, 27, None)])
def test_days_in_common_orders_are_dates(parts: tuple[int, int, int | None]) -> None:
    assert validators.numeric_date(*parts)


@given(st.text(max_size=200))
def test_folding_gives_ascii_and_offsets_inside_the_original(text: str) -> None:
    folded = fold(text)
    assert folded.text.isascii()
    for at in range(len(folded.text)):
        start, end = folded.back(at, at + 1)
        assert 0 <= start < end <= len(text)


@given(st.text(alphabet=st.characters(max_codepoint=0x7F, exclude_characters="\r\0\x0b\x0c"), max_size=200))
def test_plain_ascii_folds_to_itself(text: str) -> None:
    assert fold(text).text == text


def test_accents_digits_and_dashes_of_other_scripts_fold_to_ascii() -> None:
    assert fold("Sirotić, Noël – １２３").text == "Sirotic, Noel - 123"


def test_invisible_characters_inside_a_word_hide_nothing() -> None:
    text = "dia\u00adbe\u200btes"
    folded = fold(text)
    assert folded.text == "diabetes"
    assert folded.back(0, 8) == (0, len(text))
