"""All files of a message as one ZIP, written while it is sent (story 28; decision 0038).

Promises: the files stand in it byte for byte, stored and not packed again; its length is known before the first byte,
so that a cut never looks like an end; one batch and one segment are in memory however large it is; each file has its
own release, opening and end in the log, and what failed within ends the whole. No name in it leads out of a folder, is
refused by Windows or stands there twice. ZIP: ISO/IEC 21320-1, with the 64-bit fields where a size needs them.
"""

from __future__ import annotations

import threading
import unicodedata
import zipfile
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from datetime import datetime

from gateway.errors import GatewayError, Tampered
from gateway.flow.counting import Left
from gateway.flow.opened import Opened
from gateway.flow.sending import BATCH_BYTES, Sending

NAME_BYTES = 200
"""Longest name within, in UTF-8: file systems take 255, and whoever unpacks may add a folder."""
PASSED_BYTES = 16 * BATCH_BYTES
"""Of what lies before the part that was asked for, so much is opened in one `read`: some hundredths of a second."""
_FORBIDDEN = frozenset('<>:"/\\|?*')
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$"})
_NUMBERED = ("com", "lpt")
_LOCAL, _CENTRAL, _END, _END64 = 30, 46, 22, 56 + 20
_DESCRIPTOR, _DESCRIPTOR64, _EXTRA64 = 16, 24, 20
_FEW = 0xFFFF
"""Entries that the short end record can count."""


class Bundle:
    """A `Source` of one ZIP over several openings, in their order. `moment` is the time that each file gets.

    The same files at the same moment give the same bytes, so that a part can be asked for (`only`): what lies before it
    is opened again for its checksums, and stays here. `size_bytes` is the whole archive's length.
    """

    def __init__(self, opened: Sequence[Opened], moment: datetime) -> None:
        self._opened = list(opened)
        self._names = safe_names(one.name for one in opened)
        self._moment = max(moment.timetuple()[:6], (1980, 1, 1, 0, 0, 0))  # the first that the format has
        files = zip(self._names, self._opened, strict=True)
        self.size_bytes = self.length = length_of([(name, one.size_bytes) for name, one in files])
        self._span = (0, self.length)
        self._sendings = [one.part(0, one.size_bytes) for one in self._opened]
        self._at = self._read_whole = self._settled = 0
        self._lock = threading.Lock()  # of what leaves: one thread reads ahead while another hands over
        self._leaving: deque[tuple[Sending | None, int]] = deque()
        self._failure: GatewayError | None = None
        self._pieces = self._zip()

    def only(self, start: int, stop: int) -> None:
        """Send the bytes `[start, stop)` of the archive. Before the first `read`."""
        self._span = (start, stop)
        self.length = stop - start

    def read(self) -> list[bytes]:
        """As `Source.read`. Where a part is asked for, an empty piece says that it is still on its way there: what lies
        before takes time, and no thread is kept for all of it at once.
        """
        batch: list[bytes] = []
        held = passed = 0
        start, stop = self._span
        self._settle(self._gone())
        if self._failure is not None:
            raise self._failure
        while held < BATCH_BYTES and self._at < stop and (found := self._next(batch)) is not None:
            owner, piece = found
            before = min(len(piece), max(0, start - self._at))
            if owner is not None and before:
                owner.skip(before)
            wanted = piece[before : stop - self._at] if before or self._at + len(piece) > stop else piece
            self._at += len(piece)
            passed += before
            if not wanted and passed >= PASSED_BYTES:
                return [b""]
            if wanted:
                batch.append(wanted)
                held += len(wanted)
                with self._lock:
                    self._leaving.append((owner, len(wanted)))
        if self._at > self.size_bytes or (not batch and self._at < stop):
            raise Tampered("an archive of another length than was promised")
        return batch

    def _next(self, batch: list[bytes]) -> tuple[Sending | None, bytes] | None:
        """What comes next; where it fails after a batch has begun, that goes first and the next `read` raises."""
        try:
            return next(self._pieces, None)
        except GatewayError as error:
            self._failure = error
            if not batch:
                raise
            return None

    def left(self, count: int) -> None:
        """As `Source.left`: of what is the archive's own and what is a file's."""
        with self._lock:
            while count > 0:
                owner, size = self._leaving.popleft()
                now = min(size, count)
                count -= now
                if owner is not None:
                    owner.left(now)
                if now < size:
                    self._leaving.appendleft((owner, size - now))

    def end(self, *, well: bool) -> None:
        """As `Source.end`; files that had all left by then are completed, the others failed."""
        if well and self._span[1] < self.size_bytes:
            for sending in self._sendings:
                sending.narrow()
        self._settle(len(self._sendings), well=well)
        self._pieces.close()

    def _gone(self) -> int:
        """How many of the files, from the first, have all left."""
        with self._lock:
            owner = next((owner for owner, _ in self._leaving if owner is not None), None)
            return self._read_whole if owner is None else self._sendings.index(owner)

    def _settle(self, upto: int, *, well: bool = True) -> None:
        """Commit the ends of the files before `upto`, together."""
        ends: list[Left] = []
        for sending in self._sendings[self._settled : upto]:
            found = sending.settle(well=well or sending.complete)
            ends += [found] if found is not None else []
        self._settled = max(self._settled, upto)
        if ends:
            self._opened[0].settled(ends)

    def _zip(self) -> Generator[tuple[Sending | None, bytes], None, None]:
        """The archive in pieces, each with the file that it is of."""
        out = _Out()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for name, sending in zip(self._names, self._sendings, strict=True):
                entry = zipfile.ZipInfo(name, self._moment)
                entry.create_system, entry.external_attr = 3, 0o600 << 16
                with archive.open(entry, "w", force_zip64=sending.length > zipfile.ZIP64_LIMIT) as member:
                    for piece in out.taken():
                        yield None, piece
                    while batch := sending.read():
                        for data in batch:
                            member.write(data)
                            for piece in out.taken():
                                yield sending, piece
                self._read_whole += 1
        for piece in out.taken():
            yield None, piece


class _Out:
    """What `zipfile` writes to: it has no place to go back to, so sizes and checksums follow each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> list[bytes]:
        """What was written since, given up."""
        pieces, self._pieces = self._pieces, []
        return [piece for piece in pieces if piece]


def length_of(files: Iterable[tuple[str, int]]) -> int:
    """Bytes of the archive of files with these names and sizes, as `zipfile` writes it to what has no way back."""
    limit = zipfile.ZIP64_LIMIT
    at = central = count = 0
    for name, size in files:
        large = size > limit
        named = len(name.encode())
        numbers = 2 * large + (at > limit)
        central += _CENTRAL + named + (4 + 8 * numbers if numbers else 0)
        at += _LOCAL + named + _EXTRA64 * large + size + (_DESCRIPTOR64 if large else _DESCRIPTOR)
        count += 1
    return at + central + _END + (_END64 if count > _FEW or at > limit or central > limit else 0)


def safe_names(names: Iterable[str]) -> list[str]:
    """Names for files in one folder of any system: nothing that leads elsewhere, none twice, whatever the case."""
    taken: set[str] = set()
    safe: list[str] = []
    for name in names:
        stem, suffix = _split(_plain(name))
        number, shown = 1, stem + suffix
        while shown.casefold() in taken:
            number += 1
            mark = f" ({number})"
            shown = _short(stem, NAME_BYTES - len((mark + suffix).encode())) + mark + suffix
        taken.add(shown.casefold())
        safe.append(shown)
    return safe


def _plain(name: str) -> str:
    """One name without what file systems forbid or readers do not see; a device's name gets a line before it."""
    kept = "".join(_seen(one) for one in unicodedata.normalize("NFC", name))
    kept = kept.strip().strip(".").strip() or "file"
    base = kept.partition(".")[0].strip().casefold()
    device = base in _DEVICES or (base[:3] in _NUMBERED and len(base) == 4 and base[3] in "0123456789¹²³")
    return "_" + kept if device else kept


def _seen(one: str) -> str:
    kind = unicodedata.category(one)
    if kind == "Zs":
        return " "
    return "_" if one in _FORBIDDEN or kind in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") else one


def _split(name: str) -> tuple[str, str]:
    """Stem and extension, together at most `NAME_BYTES`; the extension keeps, so that the file still opens."""
    stem, dot, extension = name.rpartition(".")
    suffix = dot + extension if stem and len(extension.encode()) <= 20 else ""
    stem = stem if suffix else name
    return _short(stem, NAME_BYTES - len(suffix.encode())) or "file", suffix


def _short(text: str, most_bytes: int) -> str:
    cut = text.encode()[:most_bytes].decode("utf-8", "ignore")
    return text if cut == text else cut.rstrip(" .")
