"""ZIP archives, and the Office formats that are ZIP: nested, bounded, never trusted.

Promises: every member is read or named as unread; an encrypted member, an unknown method, a second truth (local header
and directory disagree), a bomb or a damaged directory is unread. Names of members and folders are text. Nothing goes
to disk.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from dataclasses import replace

from gateway.detect.extract import Limits, Unreadable, extract, name_text, numbered
from gateway.detect.model import Extracted, Format, PartInput, Text, Unread

RATIO = 200
"""A member may inflate to this many times its packed size (plus 1 MiB)."""


def read(part: PartInput, limits: Limits, depth: int) -> Extracted:
    """All members, each by its own content. Raises Unreadable for what cannot be opened at all."""
    if depth >= limits.depth:
        raise Unreadable("too deep")
    try:
        archive = zipfile.ZipFile(io.BytesIO(part.data))
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError):
        raise Unreadable("a damaged archive") from None
    members = archive.infolist()
    limits.members -= len(members)
    if limits.members < 0:
        raise Unreadable("over limits")
    names = {member.filename for member in members}
    if "[Content_Types].xml" in names and any(name.startswith(("word/", "xl/", "ppt/")) for name in names):
        from gateway.detect.extract.office import read as read_office

        return read_office(part, archive, limits, depth)
    hidden = _other_truth(part.data, members)
    folders = dict.fromkeys(posixpath.dirname(member.filename.replace("\\", "/")) for member in members)
    texts: list[Text] = [one for folder in folders for one in _folder(part, folder)]
    unread: list[Unread] = [Unread(part.part, part.place, "an archive with hidden members")] if hidden else []
    formats: list[Format] = []
    number = 0
    for member in members:
        if member.is_dir():
            continue
        number += 1
        inner_part, place = f"{part.part}/{number}", f"{part.place}, file {number}"
        try:
            data = member_bytes(archive, member, limits)
        except Unreadable as error:
            unread.append(Unread(inner_part, place, error.reason))
            continue
        place = numbered(place, member.filename)
        inner = extract(
            PartInput(inner_part, place, "", posixpath.basename(member.filename), None, data), limits, depth + 1
        )
        texts += inner.texts
        unread += inner.unread
        formats += inner.formats
    if archive.comment:
        texts.append(Text(part.part, f"{part.place}, comment", archive.comment.decode("utf-8", "replace")))
    return Extracted(tuple(texts), tuple(unread), tuple(formats))


def _folder(part: PartInput, path: str) -> tuple[Text, ...]:
    """What a folder and those above it are called."""
    return name_text(replace(part, filename=path.replace("/", " "), data=b""))


def member_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> bytes:
    """A member's bytes within the limits. Raises Unreadable."""
    if member.flag_bits & 0x1 or member.flag_bits & 0x40:
        raise Unreadable("an encrypted file")
    allowed = min(limits.inflated_bytes, member.compress_size * RATIO + 1_048_576)
    pieces: list[bytes] = []
    total = 0
    try:
        with archive.open(member) as stream:
            while piece := stream.read(262_144):
                total += len(piece)
                if total > allowed:
                    raise Unreadable("over limits")
                pieces.append(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError):
        raise Unreadable("a damaged file") from None
    limits.inflated_bytes -= total
    return b"".join(pieces)


def _other_truth(data: bytes, members: list[zipfile.ZipInfo]) -> bool:
    """More local headers than the directory names, outside of the members' own bytes: what some tools would unpack."""
    known = sorted((member.header_offset, member.header_offset + member.compress_size) for member in members)
    at = data.find(b"PK\x03\x04")
    while at >= 0:
        if not any(start <= at <= stop for start, stop in known):
            return True
        skip = max((stop for start, stop in known if start <= at <= stop), default=at)
        at = data.find(b"PK\x03\x04", max(at + 1, skip))
    return False
