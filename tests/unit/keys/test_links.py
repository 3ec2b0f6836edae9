"""keys.links: the token of an address and the printed code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.encoding import BASE62
from keys.links import ParsedToken, new_link_secret, parse_printed_code, parse_token, printed_code, token

GRANT = "lnk_Ab3dEf6hIj9K"
secrets = st.binary(min_size=16, max_size=16)
grants = st.text(BASE62, min_size=12, max_size=12).map("lnk_".__add__)


@given(grants, secrets)
def test_a_token_has_34_characters_and_gives_back_grant_and_secret(grant: str, secret: bytes) -> None:
    text = token(grant, secret)
    assert len(text) == 34
    assert set(text) <= set(BASE62)
    assert parse_token(text) == ParsedToken(grant, secret)


@pytest.mark.parametrize(
    "template", ["#{}", "%23{}", " {}\n", "{}.", "{}>", "{})", "{}%", "#{}xyz", "{}ABCDEFGHIJ", "{}\u200b"]
)
def test_what_mail_programs_put_around_a_token_does_no_harm(template: str) -> None:
    secret = bytes(range(16))
    assert parse_token(template.format(token(GRANT, secret))) == ParsedToken(GRANT, secret)


@pytest.mark.parametrize("text", ["Ab3dEf6hIj9K", "#Ab3dEf6hIj9K", "Ab3dEf6hIj9K.", "%23Ab3dEf6hIj9K"])
def test_the_grant_alone_is_named_without_a_secret(text: str) -> None:
    assert parse_token(text) == ParsedToken(GRANT, None)


@pytest.mark.parametrize("length", [0, 1, 11, 13, 20, 33])
def test_other_lengths_name_nothing(length: int) -> None:
    assert parse_token("a" * length) is None


def test_a_secret_that_no_16_bytes_give_names_nothing() -> None:
    assert parse_token("a" * 12 + "z" * 22) is None


@given(st.text(max_size=80))
def test_any_text_is_answered_without_an_exception(text: str) -> None:
    parse_token(text)
    parse_printed_code(text)


def test_a_very_long_address_is_answered_quickly() -> None:
    assert parse_token("-" * 10_000_000) is None
    assert parse_printed_code("-" * 10_000_000) is None


@pytest.mark.parametrize(
    "grant", ["Ab3dEf6hIj9K", "lnk_", "lnk_Ab3dEf6hIj9", "lnk_Ab3dEf6hIj9KK", "lnk_Ab3dEf6hIj9-", "msg_Ab3dEf6hIj9K"]
)
def test_other_ids_make_no_token(grant: str) -> None:
    with pytest.raises(ValueError):
        token(grant, bytes(16))


@pytest.mark.parametrize("length", [0, 15, 17])
def test_other_lengths_of_secret_make_neither_token_nor_code(length: int) -> None:
    with pytest.raises(ValueError):
        token(GRANT, bytes(length))
    with pytest.raises(ValueError):
        printed_code(bytes(length))


def test_a_parsed_token_does_not_show_its_secret() -> None:
    secret = new_link_secret()
    shown = repr(parse_token(token(GRANT, secret)))
    assert repr(secret) not in shown
    assert GRANT in shown


def test_link_secrets_are_16_fresh_bytes() -> None:
    assert {len(new_link_secret()) for _ in range(20)} == {16}
    assert len({new_link_secret() for _ in range(20)}) == 20


@given(secrets)
def test_a_printed_code_gives_back_the_secret_however_it_is_typed(secret: bytes) -> None:
    code = printed_code(secret)
    assert [len(group) for group in code.split("-")] == [4] * 7
    assert not set(code) & set("ILOU")
    swapped = code.replace("1", "l").replace("0", "o")
    for typed in (
        code,
        code.lower(),
        code.replace("-", ""),
        code.replace("-", " "),
        f"  {code}\n",
        swapped,
        swapped.upper(),
    ):
        assert parse_printed_code(typed) == secret


def test_every_single_wrong_character_and_most_swaps_are_noticed() -> None:
    """A check of ten bits lets one mistake in a thousand through; the wrap's commitment decides in the end."""
    code = printed_code(bytes(range(16))).replace("-", "")
    wrong = unnoticed = 0
    for at in range(28):
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ":
            if other != code[at]:
                wrong += 1
                unnoticed += parse_printed_code(code[:at] + other + code[at + 1 :]) is not None
    assert wrong == 28 * 31
    assert unnoticed <= 5


@pytest.mark.parametrize("code", ["", "0" * 27, "0" * 29, "U" * 28, "Z" * 28, "é" * 28])
def test_what_is_no_code_is_refused(code: str) -> None:
    assert parse_printed_code(code) is None


def test_a_code_with_bits_beyond_the_secret_is_refused() -> None:
    code = printed_code(bytes(16)).replace("-", "")
    assert parse_printed_code(code) == bytes(16)
    for lead in "8GZ":
        assert parse_printed_code(lead + code[1:]) is None
