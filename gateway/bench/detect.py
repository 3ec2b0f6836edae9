"""`sealgate bench detect`: what the detector finds and what it costs, next to twenty regexes on the same texts.

Sensitivity and specificity are by five-fold cross-validation on the shipped development set (gateway/detect/training);
the reference has nothing to learn and is applied as it stands. Both run on one core.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence

from gateway.bench.measure import Area, Figure, Spread, say
from gateway.detect.assess import assess_texts
from gateway.detect.model import Text
from gateway.detect.training.data import own, phi_dev
from gateway.detect.training.evaluate import evaluate
from gateway.detect.training.templates import Sample
from gateway.errors import Misconfigured

OURS, REGEXES = "Sealgate", "twenty regular expressions"

REFERENCE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b\d{3}-\d{2}-\d{4}\b",
        r"\bSSN\b",
        r"\bMRN\b[ :#]*\d+",
        r"\bmedical record\b",
        r"\bpatient(?:'s)? (?:name|id)\b",
        r"\bpatient\s*:",
        r"\bDOB\b",
        r"\bdate of birth\b",
        r"\b(?:member|subscriber|policy) (?:id|number|no)\b",
        r"\b(?:medicare|medicaid)\b.{0,20}\d{4}",
        r"\bNPI\b[ :#]*\d{10}",
        r"\bDEA\b[ :#]*[A-Z]{2}\d{7}",
        r"\b[A-TV-Z]\d{2}\.\d{1,4}\b",
        r"\bdiagnos(?:is|es|ed)\b",
        r"\bprescri(?:bed|ption)\b.{0,40}\bmg\b",
        r"\blab(?:oratory)? results?\b",
        r"\bdischarge summary\b",
        r"\bhealth (?:plan|insurance) (?:id|number)\b",
        r"^PID\|",
        r"\b(?:HIV|hepatitis [ABC])\b",
    )
)
"""Of the sort that mail filters ship: identifiers with their labels, code formats, single telling words."""


def run(*, quick: bool) -> Area:
    """All figures of this subcommand. Raises Misconfigured outside a checkout, where the texts are not."""
    try:
        samples = phi_dev()
    except FileNotFoundError as error:
        raise Misconfigured("bench detect needs a checkout: the texts are in tests/data") from error
    texts = [f"{sample.subject}\n{sample.body}" for sample in samples]
    area = Area([*_speed(texts, 1 if quick else 5), *_quality(samples, texts, quick)])
    if quick:
        area.notes.append("quick: the detector of each fold was fitted to a part of its training texts")
    return area


def _speed(texts: list[str], rounds: int) -> list[Figure]:
    total = sum(len(text.encode()) for text in texts) / 1e6
    through: dict[str, list[float]] = {OURS: [], REGEXES: []}
    each: dict[str, list[float]] = {OURS: [], REGEXES: []}
    assess_texts([Text("body", "the text", texts[0])])  # patterns and words are loaded at first use
    ways: tuple[tuple[str, Callable[[str], object]], ...] = (
        (OURS, lambda text: assess_texts([Text("body", "the text", text)])),
        (REGEXES, said_by_regexes),
    )
    for _ in range(rounds):
        for name, look in ways:
            started = time.process_time()
            for text in texts:
                look(text)
            spent = time.process_time() - started
            through[name].append(total / spent)
            each[name].append(spent / len(texts) * 1000)
    say(f"detect: {through[OURS][-1]:.2f} MB/s, regular expressions {through[REGEXES][-1]:.2f} MB/s")
    return [
        Figure("text assessed on one core", "MB/s", {name: Spread.of(values) for name, values in through.items()}),
        Figure(
            f"processor time per mail of {total * 1000 / len(texts):.1f} KB", "ms",
            {name: Spread.of(values) for name, values in each.items()}, more_is_better=False,
        ),
    ]  # fmt: skip


def _quality(samples: Sequence[Sample], texts: list[str], quick: bool) -> list[Figure]:
    say("detect: five-fold cross-validation")
    found, _model = evaluate(extra=own()[::20]) if quick else evaluate()
    said = {
        OURS: [score >= found.threshold for score in found.scores],
        REGEXES: [said_by_regexes(text) for text in texts],
    }
    labels = [sample.phi for sample in samples]
    figures = []
    for what, wanted in (("sensitivity", True), ("specificity", False)):
        values = {}
        for name, answers in said.items():
            right = sum(answer == wanted for answer, label in zip(answers, labels, strict=True) if label == wanted)
            values[name] = interval(right, sum(label == wanted for label in labels))
        figures.append(Figure(f"{what} on the development set, 95 % interval", "of 1", values))
    return figures


def said_by_regexes(text: str) -> bool:
    """What the reference says of a text: PHI as soon as one of its expressions fits."""
    return any(pattern.search(text) for pattern in REFERENCE)


def interval(right: int, total: int) -> Spread:
    """A share and its 95 % interval (Wilson 1927)."""
    z, share = 1.96, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Spread(share, max(0.0, middle - half), min(1.0, middle + half))
