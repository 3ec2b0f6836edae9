"""Words by key: missing ones are errors, values are never interpreted, code and file agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Misconfigured
from gateway.mail.dsn import ACTIONS
from gateway.mail.sender_notice import KINDS
from gateway.words import Words, language, say


def test_a_missing_key_and_a_missing_value_are_errors_that_name_them() -> None:
    with pytest.raises(Misconfigured, match=r"mail\.nothing"):
        say("mail.nothing")
    with pytest.raises(Misconfigured, match="'until'"):
        say("mail.until")


def test_values_are_not_interpreted() -> None:
    words = Words({"a": "<{x}>"})
    assert words.say("a", x="{y} {0.__class__}") == "<{y} {0.__class__}>"


def test_files_of_a_language_are_joined_and_keys_stand_once(tmp_path: Path) -> None:
    (tmp_path / "en.toml").write_text('[a]\nb = "one"\n')
    (tmp_path / "portal.en.toml").write_text('[c]\nd = "two"\n')
    assert Words.load(tmp_path, "en").keys() == {"a.b", "c.d"}
    (tmp_path / "more.en.toml").write_text('[a]\nb = "again"\n')
    with pytest.raises(Misconfigured, match="twice"):
        Words.load(tmp_path, "en")


@pytest.mark.parametrize("text", ["a = 1\n", "a = [\n"])
def test_a_file_that_holds_no_sentences_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "en.toml").write_text(text)
    with pytest.raises(Misconfigured, match=r"en\.toml"):
        Words.load(tmp_path, "en")


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="'xx'"):
        Words.load(tmp_path, "xx")


def test_every_kind_of_mail_we_make_has_its_words() -> None:
    words = language()
    for kind in KINDS:
        assert {f"mail.sender.{kind}.{one}" for one in ("subject", "lead", "next")} <= words.keys()
    for action in ACTIONS:
        assert {f"mail.dsn.{action}.{one}" for one in ("subject", "lead")} <= words.keys()


def test_subjects_of_our_mails_say_nothing_of_the_message() -> None:
    words = language()
    for key in sorted(words.keys()):
        if key.startswith("mail.") and key.endswith(".subject") and key != "mail.place.subject":
            assert words.fields(key) <= {"clinic"}, key
