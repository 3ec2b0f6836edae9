"""Compiled templates kept beside the program, so that a start need not compile them again.

Compiling the pages takes half a second of a processor, a third of what starting the portal takes.
`python -m gateway.portal.kept` leaves the code of all templates beside this file when the environment is made, under a
name that says from which templates, by which options, with which Jinja and which Python. It is code, as Python's own
compiled modules are: whoever may write there may change the program. A role only reads it.

Promises: code is taken for exactly the source that it was made from, and for no other; absent or damaged, all of it is
compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
from pathlib import Path
from types import CodeType

import jinja2
from jinja2.bccache import Bucket

_HERE = Path(__file__).parent


class Kept(jinja2.BytecodeCache):
    """The code that `environment` makes of the templates, in one file of `folder`."""

    def __init__(self, templates: Path, environment: jinja2.Environment, folder: Path = _HERE) -> None:
        options = [environment.autoescape, environment.undefined, environment.trim_blocks, environment.lstrip_blocks]
        what = hashlib.sha256(repr((sys.version, jinja2.__version__, options)).encode())
        for path in sorted(templates.rglob("*.html")):
            source = path.read_bytes()
            what.update(repr((str(path.relative_to(templates)), len(source))).encode() + source)
        self.path = folder / f"templates-{what.hexdigest()[:32]}.code"
        self._codes: dict[str, tuple[str, CodeType]] = _read(self.path)

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The template's name: the folder may lie elsewhere than where the code was made."""
        return name

    def load_bytecode(self, bucket: Bucket) -> None:
        """The code of a template, if it was made from this very source."""
        checksum, code = self._codes.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        """What had to be compiled, for `keep`; nothing is written here."""
        if bucket.code is not None:
            self._codes[bucket.key] = bucket.checksum, bucket.code

    def keep(self) -> None:
        """Leave it for later processes, in place of older files. Raises OSError."""
        codes = marshal.dumps(self._codes)
        new = self.path.with_suffix(".new")
        new.write_bytes(hashlib.sha256(codes).digest() + codes)
        os.replace(new, self.path)
        for other in self.path.parent.glob("templates-*.code"):
            if other != self.path:
                other.unlink()


def _read(path: Path) -> dict[str, tuple[str, CodeType]]:
    with contextlib.suppress(OSError):
        kept = path.read_bytes()
        if hashlib.sha256(kept[32:]).digest() == kept[:32]:
            codes: dict[str, tuple[str, CodeType]] = marshal.loads(kept[32:])  # noqa: S302 - code, and ours: see above
            return codes
    return {}


if __name__ == "__main__":
    from gateway.portal.render import Renderer

    made = Renderer()
    made.load_all()
    made.kept.keep()
