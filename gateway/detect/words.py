"""Health words: a set look-up over the tokens of a text, with weights learned as log-odds against ordinary mail.

Promises: cost grows with the tokens, offsets are computed for the hits alone; a word that is not on the list but is
built like a drug or a diagnosis ("-itis", "-ectomy", "-pril") counts too, with one weight for its ending.
Clauses: endings of drug names follow the published INN stems (WHO).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_SPACED = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})
_ENDINGS = (
    "itis ectomy ostomy otomy oscopy plasty emia aemia uria algia pathy opathic osclerosis omegaly "
    "rrhea rrhage rrhagia carcinoma sarcoma blastoma lipoma adenoma"
    " myoma trophy plegia paresis phasia pnea cardia penia cytosis phobia emesis centesis graphy "
    "gram pril sartan olol dipine statin prazole cillin mycin floxacin"
    " cycline azepam azolam barbital mab tinib parin xaban gliptin gliflozin glutide triptan setron "
    "profen caine sone solone tidine oxetine triptyline conazole vir"
    " vudine formin itide afil thyroid dynia ptosis stasis osis"
).split()
_ENDING = re.compile(rf"[a-z]{{3,}}(?:{'|'.join(_ENDINGS)})\Z")
_TAILS = frozenset(ending[-3:] for ending in _ENDINGS)
_NOT_ENDING = frozenset(
    "program diagram telegram instagram anagram histogram monogram programme photography geography "
    "demography topography"
    " typography biography bibliography autobiography cryptography telepathy sympathy empathy apathy "
    "trophy atrophy person"
    " elvir nadir reservoir souvenir their choir savior diagnosis hypnosis neurosis metamorphosis osmosis chosis phobia"
    " claustrophobia xenophobia homophobia academia bohemia scenography choreography calligraphy "
    "stenography lithography"
    " hologram kilogram milligram sone blouson season reason poison mason prison unison monsone zymosis symbiosis"
    " cartography videography pictogram pornography filmography cinematography videogram paragram "
    "engram supergram tangram"
    " discography oceanography hydrography ideogram cosmography iconography ethnography historiography".split()
)
_WEIGHT_OF_TIER = {1: 0.25, 2: 1.0, 3: 2.2}
ENDING_WEIGHT = 2.0
STRONG = 0.6
"""Weight from which a word's offsets are kept."""


def _lines(name: str) -> list[str]:
    text = resources.files("gateway.detect").joinpath("data", name).read_text("utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("#")]


@cache
def word_list(name: str) -> frozenset[str]:
    """A shipped list by file name, lower case."""
    return frozenset(word for line in _lines(name) for word in line.split())


@cache
def tiers() -> dict[str, float]:
    """Health words with the weight of their tier: what training starts from."""
    weights: dict[str, float] = {}
    tier = 0
    for line in _lines("health_words.txt"):
        if line.startswith("["):
            tier = int(line[1])
            continue
        for word in line.split():
            weights.setdefault(word, _WEIGHT_OF_TIER[tier])
    return weights


def has_ending(word: str) -> bool:
    """Whether a word (lower case) is built like a diagnosis, a procedure or a drug."""
    return len(word) > 5 and word[-3:] in _TAILS and word not in _NOT_ENDING and _ENDING.match(word) is not None


@dataclass(slots=True)
class HealthHits:
    """Distinct health words of a text with weights, their offsets, and how many tokens the text has."""

    weights: dict[str, float]
    places: list[tuple[int, float]]
    tokens: int

    @property
    def total(self) -> float:
        """Sum of the distinct words' weights."""
        return sum(self.weights.values())


def health(text: str, weights: dict[str, float], lower: str | None = None) -> HealthHits:
    """The health words of a folded text."""
    lower = text.lower() if lower is None else lower
    found = lower.translate(_SPACED).split()
    distinct = set(found)
    hits = {word: weights[word] for word in distinct & weights.keys()}
    for word in distinct:
        if word[-3:] in _TAILS and word not in hits and has_ending(word):
            hits[word] = ENDING_WEIGHT
    places: list[tuple[int, float]] = []
    for word, weight in hits.items():
        if weight >= STRONG:
            at = lower.find(word)
            while at >= 0:
                end = at + len(word)
                if not (at and lower[at - 1].isalnum()) and not lower[end : end + 1].isalnum():
                    places.append((at, weight))
                at = lower.find(word, end)
    places.sort()
    return HealthHits(hits, places, len(found))
