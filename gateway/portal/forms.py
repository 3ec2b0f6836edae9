"""The fields of a form, and the files of one that may have some.

Promises: nothing is read beyond a page's limit; a form of another kind has no fields; of several fields of one name the
first counts. Files stay in memory: the limit is what keeps them small. Clauses: RFC 7578, HTML 4.10.22.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from starlette.requests import Request

from gateway.errors import Refused

FIELDS = 20
ROOM_BYTES = 16_384
"""What the other fields and the delimiters of an upload may take beside its files."""
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_NAME = re.compile(rb'^content-disposition:[^\r\n]*[; ]name="([A-Za-z0-9_-]{1,40})"', re.IGNORECASE | re.MULTILINE)
_FILE = re.compile(rb'^content-disposition:[^\r\n]*[; ]filename\*?="?', re.IGNORECASE | re.MULTILINE)


class TooLarge(Refused):
    """The text you sent is too long for this page."""

    http_status = 413


async def read_form(request: Request, most: int, upload: int) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields and files. `upload` is how many bytes of files the page takes. Raises TooLarge."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    files = bool(upload) and kind == "multipart/form-data"
    limit = upload + ROOM_BYTES if files else most
    said = request.headers.get("content-length", "")
    if said.isascii() and said.isdigit() and int(said[:12]) > limit:
        raise TooLarge("form too large")  # and not a byte of it is read
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge("form too large")
    if files:
        found = _BOUNDARY.search(parameters)
        return multipart(bytes(body), (found[1] or found[2]) if found else "")
    return (urlencoded(bytes(body)) if kind == "application/x-www-form-urlencoded" else {}), {}


def urlencoded(body: bytes) -> dict[str, str]:
    """The fields of a urlencoded form; none of one that is malformed."""
    fields: dict[str, str] = {}
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        return {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def multipart(body: bytes, boundary: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields and files of a multipart form. File names are not kept: they are PHI, and nobody here needs them."""
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1", "replace")) if boundary else []
    for part in parts[1 : FIELDS + 1]:
        if not part.startswith(b"\r\n"):
            break  # the closing delimiter
        head, _, content = part[2:].partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is None:
            continue
        if _FILE.search(head):
            files.setdefault(name[1].decode("ascii"), content)
        else:
            fields.setdefault(name[1].decode("ascii"), content.decode("utf-8", "replace"))
    return fields, files
