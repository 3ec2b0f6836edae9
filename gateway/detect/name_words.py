"""How much a capitalised word looks like part of a person's name, by word lists and by its neighbours.

Promises: pure look-ups; negative for words of the language, of medicine and of places.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from gateway.detect.name_cues import STOP
from gateway.detect.words import has_ending, tiers, word_list


@dataclass(frozen=True, slots=True)
class Lists:
    first: frozenset[str]
    last: frozenset[str]
    common: frozenset[str]
    other: frozenset[str]
    health: frozenset[str]
    never: frozenset[str]
    """Words that alone, without a title, are no name."""


@cache
def shipped() -> Lists:
    common = word_list("common_words.txt")
    other = word_list("places.txt") | word_list("eponyms.txt") | word_list("proper_words.txt")
    first, health = word_list("first_names.txt"), frozenset(tiers())
    return Lists(first, word_list("surnames.txt"), common, other, health, ((common | other | health) - first) | STOP)


def is_health(word: str) -> bool:
    return word in shipped().health or has_ending(word)


def worth_of(piece: str) -> float:
    """How much a capitalised word looks like part of a person's name: negative when it is another word."""
    lists = shipped()
    word = piece.lower().removesuffix("'s").rstrip(".'")
    if len(word) == 1:
        return 0.2
    if word in STOP:
        return -2.0
    parts = word.split("-")
    if len(parts) > 1:
        return max(worth_of(one) for one in parts if one) if all(parts) else -1.0
    common = word in lists.common
    if word in lists.first:
        return 1.5 if not common and word not in lists.other else (0.8 if word not in lists.other else 0.5)
    if is_health(word):
        return -2.0
    if word in lists.other:
        return -0.8 if word not in lists.last else -0.3
    if common or (word.endswith("s") and word[:-1] in lists.common):
        return 0.2 if word in lists.last and not piece.isupper() else -1.5
    if word in lists.last:
        return 1.2
    if word.endswith(("ing", "tion", "ment", "ness", "ity", "ical", "ology", "ative")) or len(word) < 3:
        return -1.0
    if piece.isupper():
        return -0.6 if len(piece) < 6 else 0.4
    return 0.9


def worths(words: list[str]) -> list[float]:
    """Worth of each word beside the others: after a given name, a surname that is also a word is a surname."""
    lists = shipped()
    worth = [worth_of(word) for word in words]
    given = False
    for at, word in enumerate(words):
        lower = word.lower().removesuffix("'s")
        if given and lower in lists.last and lower not in STOP and not is_health(lower):
            worth[at] = max(worth[at], 0.6)
        if lower in lists.first and worth[at] >= 0.5:
            given = True
    return worth
