"""How a target is searched: by atheris, which follows branches, where it is installed; else by blind changes.

Promises: nothing is written but under the working folder and, on request, the target's corpus; an input that breaks a
promise is kept as `crash-…` and the exit is not 0. Atheris is no dependency: `README.md` says how to get it.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.fuzz.common import LONGEST_BYTES, timed

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WORK = HERE.parents[1] / "build" / "fuzz"
NAMES = tuple(sorted(path.stem for path in (HERE / "targets").glob("[a-z]*.py")))
MOST_FILES, MOST_BYTES = 60, 4096
"""Of a target's corpus, and of one file in it."""


def target(name: str) -> ModuleType:
    """The module of that target. LookupError names those there are."""
    if name not in NAMES:
        raise LookupError(f"no target {name}; there are: {', '.join(NAMES)}")
    return importlib.import_module(f"tests.fuzz.targets.{name}")


def saved(name: str) -> list[Path]:
    """The files of a target's corpus, in order."""
    return sorted((CORPUS / name).glob("*"))


def keep(folder: Path, data: bytes, prefix: str = "") -> Path:
    """Write an input under the name that it has by its content."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{prefix}{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def prepared(name: str, module: ModuleType) -> Path:
    """The working folder, with all seeds and the corpus in it."""
    folder = WORK / name
    for seed in module.SEEDS:
        keep(folder, seed)
    for path in saved(name):
        shutil.copy(path, folder / path.name)
    return folder


def guided(name: str, minutes: float) -> int:
    """Search with atheris; does not return but by its exit."""
    import atheris  # type: ignore[import-not-found, unused-ignore]

    with atheris.instrument_imports(include=["gateway"]):
        module = target(name)
    folder = prepared(name, module)
    words = WORK / f"{name}.words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in module.WORDS))
    options = [
        sys.argv[0], str(folder),
        f"-max_total_time={round(minutes * 60)}", f"-dict={words}", f"-max_len={LONGEST_BYTES}",
        f"-artifact_prefix={WORK}/{name}-", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1",
        "-reload=0",
    ]  # fmt: skip
    atheris.Setup(options, lambda data: timed(module.check, data))
    atheris.Fuzz()
    return 0


def blind(name: str, *, minutes: float = 0.0, inputs: int = 0, seed: int) -> int:
    """Search by changes of what there is, and what the target makes up, for a time or a number of inputs. Returns 0.

    Branches are not looked at. Raises what the target raises, with the input kept in the working folder.
    """
    module = target(name)
    pool = list(module.SEEDS) + [path.read_bytes() for path in saved(name)]
    chance, end, count = random.Random(seed), time.monotonic() + minutes * 60, 0
    while count < inputs or time.monotonic() < end:
        count += 1
        # What has a shape of its own says how to make one: every second input.
        own = getattr(module, "made", None) if count % 2 == 0 else None
        data = own(chance) if own else changed(chance, pool, module.WORDS)
        try:
            timed(module.check, data)
        except Exception as error:
            error.add_note(f"{name}: {keep(WORK, data, f'{name}-crash-')}; input {count}, seed {seed}")
            raise
    if minutes:
        print(f"{name}: {count} inputs in {minutes:g} minutes, nothing found; without branches, seed {seed}")
    return 0


def changed(chance: random.Random, pool: list[bytes], words: list[bytes]) -> bytes:
    """One input of the pool after a few changes."""
    data = bytearray(chance.choice(pool))
    for _ in range(1 + chance.randrange(8)):
        at = chance.randrange(len(data) + 1)
        deed = chance.randrange(6)
        if deed <= 1:
            data[at:at] = chance.choice(words)
        elif deed == 2:
            del data[at : at + 1 + chance.randrange(16)]
        elif deed == 3 and at < len(data):
            data[at] = chance.randrange(256)
        elif deed == 4:
            other = chance.choice(pool)
            start = chance.randrange(len(other) + 1)
            data[at:at] = other[start : start + chance.randrange(200)]
        else:
            data[at:at] = data[max(0, at - chance.randrange(100)) : at]
    return bytes(data[:LONGEST_BYTES])


def replay(name: str, paths: list[Path]) -> int:
    """Run the target on files; how many there were."""
    module = target(name)
    for path in paths:
        try:
            timed(module.check, path.read_bytes())
        except Exception as error:
            error.add_note(f"{name}: {path}")
            raise
    return len(paths)


def branches(name: str, data: bytes) -> Iterator[tuple[str, int, int]]:
    """The steps from line to line that the target's rooms take for this input: what tells it from others."""
    module = target(name)
    found: set[tuple[str, int, int]] = set()
    folders = tuple(room.replace(".", "/") for room in module.ROOMS)

    def called(frame: object, event: str, _: object) -> object:
        code = frame.f_code  # type: ignore[attr-defined]
        if event != "call" or not any(folder in code.co_filename for folder in folders):
            return None
        last = [code.co_firstlineno]

        def line(inner: object, event: str, _: object) -> object:
            if event == "line":
                here = inner.f_lineno  # type: ignore[attr-defined]
                found.add((code.co_name, last[0], here))
                last[0] = here
            return line

        return line

    before = sys.gettrace()
    sys.settrace(called)  # type: ignore[arg-type]
    try:
        module.check(data)
    finally:
        sys.settrace(before)
    yield from found


def distil(name: str) -> int:
    """Add to the corpus what the working folder holds and takes a step that nothing kept before takes; how many."""
    known: set[tuple[str, int, int]] = set()
    for data in [*target(name).SEEDS, *(path.read_bytes() for path in saved(name))]:
        known.update(branches(name, data))
    added = 0
    waiting = sorted((path.stat().st_size, path) for path in (WORK / name).glob("*"))
    for size, path in waiting:
        if size > MOST_BYTES or len(saved(name)) >= MOST_FILES:
            break
        new = set(branches(name, path.read_bytes())) - known
        if new:
            known |= new
            keep(CORPUS / name, path.read_bytes())
            added += 1
    return added
