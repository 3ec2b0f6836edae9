"""`python -m gateway.detect.training`: print the cross-validated figures and write `data/model.json` again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gateway.detect.features import FEATURES
from gateway.detect.scorer import FORMAT, Model
from gateway.detect.training.evaluate import evaluate


def to_json(model: Model) -> str:
    """The model file's text."""
    data = {
        "format": FORMAT,
        "version": model.version,
        "features": list(FEATURES),
        "weights": list(model.weights),
        "bias": model.bias,
        "scale": model.scale,
        "shift": model.shift,
        "threshold": model.threshold,
        "words": model.words,
    }
    return json.dumps(data, indent=0, sort_keys=True) + "\n"


def main() -> int:
    if sys.argv[1:]:  # a word that was meant for `gateway.detect.evaluate` must not write the model anew
        print("usage: python -m gateway.detect.training", file=sys.stderr)
        return 64
    figures, model = evaluate()
    print("\n".join(figures.lines()))
    path = Path(__file__).resolve().parent.parent / "data" / "model.json"
    path.write_text(to_json(model), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
