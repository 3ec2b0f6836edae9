"""The calibrated message scorer: a logistic model over `features.FEATURES`, read from `data/model.json`.

Promises: the weights are those that `python -m gateway.detect.training` prints again from the same data; a score is a
calibrated probability; a message is PHI from `threshold` on. A model whose columns differ from the code is refused.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

from gateway.detect.features import FEATURES
from gateway.errors import Misconfigured

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Model:
    """Trained numbers. `words` are health-word weights, `scale` and `shift` the cross-validated calibration (Platt)."""

    version: str
    words: dict[str, float]
    weights: tuple[float, ...]
    bias: float
    scale: float
    shift: float
    threshold: float

    def raw(self, row: list[float]) -> float:
        """The uncalibrated log-odds of a row of features."""
        return self.bias + sum(weight * value for weight, value in zip(self.weights, row, strict=True))

    def score(self, row: list[float]) -> float:
        """The calibrated probability that the message is PHI, 0..1."""
        return logistic(self.scale * self.raw(row) + self.shift)

    def top(self, row: list[float], count: int = 3) -> list[str]:
        """Names of the features that spoke most for PHI."""
        parts = sorted(
            ((weight * value, name) for weight, value, name in zip(self.weights, row, FEATURES, strict=True)),
            reverse=True,
        )
        return [name for worth, name in parts[:count] if worth > 0]


def logistic(value: float) -> float:
    """1 / (1 + e^-value) without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-min(value, 60.0)))
    grown = math.exp(max(value, -60.0))
    return grown / (1.0 + grown)


def from_json(text: str) -> Model:
    """A model from its file. Raises Misconfigured when it does not fit this code."""
    data = json.loads(text)
    if data.get("format") != FORMAT or tuple(data["features"]) != FEATURES:
        raise Misconfigured(
            "gateway/detect/data/model.json: made for other features; run python -m gateway.detect.training"
        )
    return Model(
        data["version"],
        dict(data["words"]),
        tuple(data["weights"]),
        data["bias"],
        data["scale"],
        data["shift"],
        data["threshold"],
    )


@cache
def model() -> Model:
    """The shipped model."""
    return from_json(resources.files("gateway.detect").joinpath("data", "model.json").read_text("utf-8"))
