"""The words people read: sentences by key, from `web/text`.

Promises: a missing key, a missing value and a key defined twice are errors that name it; a value is put in as it is,
never interpreted (the page or mail that shows it escapes it). `en.toml` and `<name>.en.toml` make up English.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from gateway import assets
from gateway.errors import Misconfigured

_FIELD = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class Words:
    """All sentences of one language."""

    def __init__(self, sentences: Mapping[str, str]) -> None:
        self._sentences = dict(sentences)

    @classmethod
    def load(cls, folder: Path, language: str) -> Words:
        """Read `<language>.toml` and every `*.<language>.toml` of a folder.

        Raises Misconfigured for a language without a file, a file that does not parse, a key that stands twice, and
        values that are no sentences.
        """
        files = [path for path in (folder / f"{language}.toml",) if path.is_file()]
        files += sorted(folder.glob(f"*.{language}.toml"))
        if not files:
            raise Misconfigured(f"no words for language '{language}' in {folder}")
        sentences: dict[str, str] = {}
        for path in files:
            try:
                tree = tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise Misconfigured(f"{path}: {error}") from error
            for key, sentence in _flat(tree, "", path):
                if key in sentences:
                    raise Misconfigured(f"{path}: '{key}' is defined twice")
                sentences[key] = sentence
        return cls(sentences)

    def __contains__(self, key: str) -> bool:
        return key in self._sentences

    def keys(self) -> frozenset[str]:
        """Every key there is."""
        return frozenset(self._sentences)

    def fields(self, key: str) -> frozenset[str]:
        """The names of the values that a sentence asks for."""
        return frozenset(_FIELD.findall(self._raw(key)))

    def say(self, key: str, **values: object) -> str:
        """The sentence with its values put in. Raises Misconfigured for a missing key or value."""

        def put(match: re.Match[str]) -> str:
            if match[1] not in values:
                raise Misconfigured(f"words '{key}' need a value for '{match[1]}'")
            return str(values[match[1]])

        return _FIELD.sub(put, self._raw(key))

    def count(self, key: str, number: int, **values: object) -> str:
        """The sentence `key.one` or `key.other`, with `number` among its values."""
        return self.say(f"{key}.{'one' if number == 1 else 'other'}", number=number, **values)

    def _raw(self, key: str) -> str:
        try:
            return self._sentences[key]
        except KeyError:
            raise Misconfigured(f"there are no words for '{key}'") from None


def _flat(tree: Mapping[str, object], above: str, path: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in tree.items():
        key = f"{above}{name}"
        if isinstance(value, str):
            found.append((key, value.strip("\n")))
        elif isinstance(value, dict):
            found.extend(_flat(value, key + ".", path))
        else:
            raise Misconfigured(f"{path}: '{key}' is not a sentence")
    return found


@lru_cache(maxsize=8)
def language(name: str = "en") -> Words:
    """The shipped words of a language, read once."""
    return Words.load(assets.web_dir() / "text", name)


def say(key: str, /, **values: object) -> str:
    """An English sentence of the shipped words."""
    return language("en").say(key, **values)
