"""Fitting: word weights by log-odds, a ridge logistic by Newton steps, Platt calibration by cross-validation.

Promises: deterministic, standard library only, no network; the same data gives the same numbers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from gateway.detect.features import FEATURES, features
from gateway.detect.identify import look
from gateway.detect.scorer import Model, logistic
from gateway.detect.training.templates import Sample
from gateway.detect.words import tiers

HEALTH_KINDS = frozenset(
    "template-phi note note-phi dialogue clinical_note_surrogate short_message short_message_no_id "
    "deidentified_note health_article".split()
)
RIDGE = 1.0
VERSION = "1"


def word_weights(samples: Sequence[Sample]) -> dict[str, float]:
    """Weight of each health word: its tier as prior (worth four documents), moved by log-odds of document counts."""
    with_word: Counter[str] = Counter()
    without: Counter[str] = Counter()
    health = ordinary = 0
    known = tiers()
    for sample in samples:
        words = set(re.findall(r"[a-z][a-z0-9]{1,28}", f"{sample.subject}\n{sample.body}".lower())) & known.keys()
        if sample.kind in HEALTH_KINDS:
            health += 1
            with_word.update(words)
        elif sample.kind != "template-other":
            ordinary += 1
            without.update(words)
    weights = {}
    for word, prior in known.items():
        seen = with_word[word] + without[word]
        ratio = math.log(((with_word[word] + 0.5) / (health + 1)) / ((without[word] + 0.5) / (ordinary + 1)))
        learned = max(0.0, min(3.0, ratio * 0.8))
        weights[word] = round((4.0 * prior + seen * learned) / (4.0 + seen), 3)
    return {word: weight for word, weight in sorted(weights.items()) if weight >= 0.05}


def row_of(sample: Sample, words: dict[str, float]) -> list[float]:
    """Features of one training message, as the product makes them."""
    return features([look(f"{sample.subject}\n{sample.body}", words)])


def newton(rows: list[list[float]], labels: list[float], weights: list[float], ridge: float = RIDGE) -> list[float]:
    """Ridge logistic regression; returns the coefficients, the bias last."""
    count = len(rows[0]) + 1
    full = [[*row, 1.0] for row in rows]
    beta = [0.0] * count
    for _ in range(12):
        gradient = [-ridge * value for value in beta[:-1]] + [0.0]
        hessian = [[0.0] * count for _ in range(count)]
        for row, label, weight in zip(full, labels, weights, strict=True):
            chance = logistic(sum(a * b for a, b in zip(beta, row, strict=True)))
            error, curve = weight * (label - chance), max(1e-6, weight * chance * (1.0 - chance))
            used = [(at, value) for at, value in enumerate(row) if value]
            for at, value in used:
                gradient[at] += error * value
                line, scaled = hessian[at], curve * value
                for other, more in used:
                    line[other] += scaled * more
        for at in range(count):
            hessian[at][at] += ridge if at < count - 1 else 1e-6
        step = _solve(hessian, gradient)
        beta = [value + change for value, change in zip(beta, step, strict=True)]
        if max(abs(change) for change in step) < 1e-6:
            break
    return beta


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with pivots."""
    size = len(right)
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda line: abs(rows[line][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        head = rows[at]
        for below in range(at + 1, size):
            factor = rows[below][at] / head[at]
            if factor:
                rows[below] = [value - factor * top for value, top in zip(rows[below], head, strict=True)]
    answer = [0.0] * size
    for at in range(size - 1, -1, -1):
        rest = sum(rows[at][other] * answer[other] for other in range(at + 1, size))
        answer[at] = (rows[at][size] - rest) / rows[at][at]
    return answer


NOT_NEGATIVE = frozenset(
    "health_strong h_patient h_titled h_full h_dob h_date h_phone h_ssn h_id h_account h_age90 "
    "h_device person h_person near_name near_record together repeated c_patient c_header"
    " h_person_chart".split()
)
"""An identifier more never speaks against PHI: what the data says otherwise is chance."""


def _monotone(rows: list[list[float]], labels: list[float], weights: list[float]) -> list[float]:
    """Newton with columns of `NOT_NEGATIVE` that came out negative left out, until none is."""
    dropped: set[int] = set()
    while True:
        used = [[0.0 if at in dropped else value for at, value in enumerate(row)] for row in rows]
        beta = newton(used, labels, weights)
        wrong = {at for at, name in enumerate(FEATURES) if name in NOT_NEGATIVE and beta[at] < -1e-9}
        if not wrong:
            return beta
        dropped |= wrong


def fit(rows: list[list[float]], samples: Sequence[Sample], words: dict[str, float], dev: frozenset[int]) -> Model:
    """An uncalibrated model. Rows of phi-dev (indices `dev`) count three times, classes are balanced."""
    labels = [1.0 if sample.phi else 0.0 for sample in samples]
    weights = [3.0 if at in dev else 1.0 for at in range(len(rows))]
    positive = sum(weight for weight, label in zip(weights, labels, strict=True) if label)
    negative = sum(weights) - positive
    weights = [
        weight * (0.5 * sum(weights) / (positive if label else negative))
        for weight, label in zip(weights, labels, strict=True)
    ]
    beta = _monotone(rows, labels, weights)
    return Model(VERSION, words, tuple(round(value, 5) for value in beta[:-1]), round(beta[-1], 5), 1.0, 0.0, 0.5)


def platt(raw: list[float], labels: list[bool]) -> tuple[float, float]:
    """Scale and shift that make raw log-odds probabilities (Platt 1999, with his smoothed targets)."""
    positive = sum(labels)
    high, low = (positive + 1.0) / (positive + 2.0), 1.0 / (len(labels) - positive + 2.0)
    beta = newton([[value] for value in raw], [high if label else low for label in labels], [1.0] * len(raw), 1e-3)
    return round(beta[0], 5), round(beta[1], 5)


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """Area under the ROC curve, ties count half."""
    positive = [score for score, label in zip(scores, labels, strict=True) if label]
    negative = [score for score, label in zip(scores, labels, strict=True) if not label]
    wins = sum((one > other) + 0.5 * (one == other) for one in positive for other in negative)
    return wins / (len(positive) * len(negative))
