"""`python -m gateway.detect.evaluate`: print the five-fold figures on phi-dev. Needs a checkout (tests/data)."""

from __future__ import annotations

import sys

from gateway.detect.training.evaluate import evaluate

AUC_FLOOR, SENSITIVITY_FLOOR, SPECIFICITY_FLOOR = 0.93, 0.95, 0.75
"""What a release must reach on phi-dev by five-fold cross-validation."""


def main() -> int:
    """Print the figures; 1 when a floor is missed."""
    figures, _model = evaluate()
    print("\n".join(figures.lines()))
    held = (
        figures.auc >= AUC_FLOOR
        and figures.sensitivity >= SENSITIVITY_FLOOR
        and figures.specificity >= SPECIFICITY_FLOOR
    )
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
