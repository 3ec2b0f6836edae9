"""Five-fold cross-validation on phi-dev: what the shipped recipe reaches on messages it was not fitted to.

Word weights, logistic and threshold are fitted anew in every fold, from the other four fifths of phi-dev and our own
data; a fold's messages take no part in anything that scores them. Formats that are PHI by nature are decided by rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.detect.features import features
from gateway.detect.identify import look
from gateway.detect.scorer import Model
from gateway.detect.training.data import own, phi_dev
from gateway.detect.training.fit import auc, fit, platt, row_of, word_weights
from gateway.detect.training.templates import Sample

FOLDS = 5
WANTED_SENSITIVITY = 0.97


@dataclass(frozen=True, slots=True)
class Figures:
    """What cross-validation found."""

    auc: float
    sensitivity: float
    specificity: float
    threshold: float
    scores: tuple[float, ...]
    labels: tuple[bool, ...]
    kinds: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people."""
        text = [
            f"phi-dev, {FOLDS}-fold: AUC {self.auc:.4f}, sensitivity {self.sensitivity:.3f}, specificity "
            f"{self.specificity:.3f}"
            f" at threshold {self.threshold:.3f} ({sum(self.labels)} phi, {len(self.labels) - sum(self.labels)} not)"
        ]
        right: Counter[str] = Counter()
        total: Counter[str] = Counter()
        for score, label, kind in zip(self.scores, self.labels, self.kinds, strict=True):
            name = f"{kind} ({'phi' if label else 'not'})"
            total[name] += 1
            right[name] += (score >= self.threshold) == label
        return text + [f"  {name}: {right[name]}/{total[name]} right" for name in sorted(total)]


def by_nature(sample: Sample) -> bool:
    """Whether the message carries a format that decides alone."""
    found = look(f"{sample.subject}\n{sample.body}", {}).format
    return found is not None and found.patient


def folds(samples: Sequence[Sample]) -> list[int]:
    """Fold of each sample: round robin within each kind and label, so that every fold has all kinds."""
    seen: Counter[tuple[str, bool]] = Counter()
    numbers = []
    for sample in samples:
        key = (sample.kind, sample.phi)
        numbers.append(seen[key] % FOLDS)
        seen[key] += 1
    return numbers


def threshold_for(scores: Sequence[float], labels: Sequence[bool], wanted: float = WANTED_SENSITIVITY) -> float:
    """The threshold between two scores that keeps the wanted sensitivity and then errs least."""
    marks = sorted(set(scores))
    best, least = 0.5, float("inf")
    for low, high in zip([0.0, *marks], [*marks, 1.0], strict=True):
        at = (low + high) / 2
        missed = sum(score < at for score, label in zip(scores, labels, strict=True) if label)
        false = sum(score >= at for score, label in zip(scores, labels, strict=True) if not label)
        if missed <= (1 - wanted) * sum(labels):
            cost = false + 3.0 * missed
            if cost < least or (cost == least and abs(at - 0.5) < abs(best - 0.5)):
                best, least = at, cost
    return best


def evaluate(*, extra: list[Sample] | None = None) -> tuple[Figures, Model]:
    """The figures, and the final model calibrated with the out-of-fold scores."""
    dev, more = phi_dev(), own() if extra is None else extra
    number = folds(dev)
    nature = [by_nature(sample) for sample in dev]
    raw = [0.0] * len(dev)
    for fold in range(FOLDS):
        train = [sample for sample, at, natural in zip(dev, number, nature, strict=True) if at != fold and not natural]
        words = word_weights([*train, *more])
        model = fit(
            [row_of(sample, words) for sample in [*train, *more]], [*train, *more], words, frozenset(range(len(train)))
        )
        for at, sample in enumerate(dev):
            if number[at] == fold:
                raw[at] = 30.0 if nature[at] else model.raw(features([look(f"{sample.subject}\n{sample.body}", words)]))
    labels = [sample.phi for sample in dev]
    prose = [at for at in range(len(dev)) if not nature[at]]
    scale, shift = platt([raw[at] for at in prose], [labels[at] for at in prose])
    train = [sample for sample, natural in zip(dev, nature, strict=True) if not natural]
    words = word_weights([*train, *more])
    final = fit(
        [row_of(sample, words) for sample in [*train, *more]], [*train, *more], words, frozenset(range(len(train)))
    )
    probe = replace(final, weights=(), bias=0.0, scale=scale, shift=shift)
    scores = [0.99 if nature[at] else _calibrated(probe, raw[at]) for at in range(len(dev))]
    threshold = round(threshold_for(scores, labels), 4)
    figures = Figures(
        auc(raw, labels),
        sum(score >= threshold for score, label in zip(scores, labels, strict=True) if label) / sum(labels),
        sum(score < threshold for score, label in zip(scores, labels, strict=True) if not label)
        / (len(labels) - sum(labels)),
        threshold,
        tuple(scores),
        tuple(labels),
        tuple(sample.kind for sample in dev),
    )
    return figures, replace(final, scale=scale, shift=shift, threshold=threshold)


def _calibrated(model: Model, raw: float) -> float:
    from gateway.detect.scorer import logistic

    return logistic(model.scale * raw + model.shift)
