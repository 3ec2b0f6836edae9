"""Makes parts of the real gateway fail with an exception that quotes what they were working on.

Put on PYTHONPATH by tests/drills/test_marks.py. What holds the word `sabotage` makes the detector, the grammar of MAIL
and the parsing of a link raise; the marked text is then in the exception, its cause and the locals of its frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

WORD = "sabotage"
_command = sys.orig_argv
_role = _command[_command.index("--role") + 1] if "--role" in _command else ""


def _words_of(value: Any) -> Iterator[str]:
    """Everything in it, also what its repr leaves out."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _words_of(one)
    else:
        yield str(getattr(value, "text", value))


def _spoil(module: Any, name: str) -> None:
    sound = getattr(module, name)

    def spoilt(*given: Any, **more: Any) -> Any:
        quoted = " ".join(_words_of(given)) + repr(more)
        if WORD in quoted:
            try:
                raise KeyError(quoted)
            except KeyError as cause:
                raise ValueError(quoted) from cause
        return sound(*given, **more)

    setattr(module, name, spoilt)


if _role == "gateway":
    from gateway.flow import isolate
    from gateway.share import opening

    _spoil(isolate, "assess_texts")
    _spoil(opening, "parse_token")
elif _role == "smtp":
    from gateway.smtp import addressing

    _spoil(addressing, "parse_mail")
