"""Training data: phi-dev, public texts we may use, and our own templates. Read from a checkout, not shipped in the wheel."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from gateway.detect.training import layouts
from gateway.detect.training.templates import Maker, Sample

SEED = 20261122


def tests_data() -> Path:
    """`tests/data` of the checkout. Raises FileNotFoundError outside one."""
    folder = Path(__file__).resolve().parents[3] / "tests" / "data"
    if not (folder / "phi-dev").is_dir():
        raise FileNotFoundError("training needs a checkout with tests/data/phi-dev")
    return folder


def phi_dev() -> list[Sample]:
    """The labelled messages of phi-dev, in file order."""
    lines = (tests_data() / "phi-dev" / "messages.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Sample(row["subject"], row["body"], row["label"] == "phi", row["kind"]) for row in rows]


def _public() -> list[dict[str, Any]]:
    with gzip.open(tests_data() / "detect" / "training.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def own() -> list[Sample]:
    """Everything that is not phi-dev: templates, ordinary mail, notes with and without our own surrogates."""
    maker = Maker(SEED)
    samples = maker.samples(layouts.PHI, True, 9, "template-phi") + maker.samples(
        layouts.OTHER, False, 8, "template-other"
    )
    for at, row in enumerate(_public()):
        text = row["text"]
        if row["use"] == "ordinary":
            samples.append(Sample(row["subject"], text, False, "ordinary"))
        elif row["use"] == "dialogue" or at % 2:
            samples.append(Sample("Note", text, False, row["use"]))
        else:
            head = maker.fill(maker.pick(list(layouts.HEADS))) if maker.random.random() < 0.8 else ""
            tail = maker.fill(maker.pick(list(layouts.TAILS))) if not head or maker.random.random() < 0.3 else ""
            samples.append(
                Sample(maker.pick(["Note", "Visit", "Re: chart", "Consult"]), head + text + tail, True, "note-phi")
            )
    return samples
