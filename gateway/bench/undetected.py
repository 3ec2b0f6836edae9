"""`python -m gateway.bench.undetected serve …`: the product without the detector's work, to see what that work costs.

For `sealgate bench relay` alone: every text reaches the detector empty, all else is as it is shipped. It starts only
on a configuration in a folder of `throwaway`, so that nobody can run a clinic's mail on it by mistake.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gateway import launch, supervise
from gateway.bench.load import THROWAWAY
from gateway.detect.assess import Ahead, assess_texts
from gateway.detect.model import Assessment, Format, Text, Unread
from gateway.errors import Misconfigured
from gateway.flow import isolate

NAME = "gateway.bench.undetected"


def emptied(
    texts: Sequence[Text], unread: Sequence[Unread] = (), formats: Sequence[Format] = (), ahead: Ahead | None = None
) -> Assessment:
    """As assess_texts of texts without a letter."""
    return assess_texts([replace(each, text="") for each in texts], unread, formats, ahead)


def python(*arguments: str) -> list[str]:
    """As supervise.python, with this module where the product's stands: its processes leave detection out too."""
    ours = arguments[:2] == ("-m", "gateway")
    return supervise.python(*(("-m", NAME, *arguments[2:]) if ours else arguments))


def run(arguments: Sequence[str]) -> None:
    """`sealgate` with these arguments. Raises Misconfigured for a configuration that is not of a bench."""
    given = (
        arguments[arguments.index("--config") + 1] if "--config" in arguments else os.environ.get("SEALGATE_CONFIG", "")
    )
    folder = Path(given).resolve()
    if not any(part.startswith(THROWAWAY) for part in folder.parts):
        raise Misconfigured("this leaves detection out and is for `sealgate bench` alone: start `sealgate serve`")
    vars(launch)["python"] = python
    vars(isolate)["assess_texts"] = emptied
    runpy.run_module("gateway", run_name="__main__")


if __name__ == "__main__":
    run(sys.argv[1:])
