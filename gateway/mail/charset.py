"""Character sets of mail: names to codecs, and decoding that never fails.

Promises: only real text codecs are used (Python also offers `zip`, `idna`, `unicode_escape` and such); an unknown
name decodes as UTF-8, else as Windows-1252, which is what mail programs do.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

_REFUSED = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
# WHATWG's table: what mail calls Latin-1 or ASCII holds Windows-1252 more often than not.
_WIDER = {"iso8859-1": "cp1252", "ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949"}
_ALIASES = {"unicode-1-1-utf-7": "utf-7", "x-sjis": "shift_jis", "x-gbk": "gbk", "ks_c_5601-1987": "cp949"}


@lru_cache(maxsize=256)
def codec(name: str | None) -> str | None:
    """Python's name of a mail character set, or None for one we do not know."""
    if not name or len(name) > 64 or not name.isascii() or "\0" in name:
        return None
    wanted = name.strip().strip("\"'").lower()
    try:
        found = codecs.lookup(_ALIASES.get(wanted, wanted))
    except (LookupError, ValueError):
        return None
    if found.name.replace("-", "_") in _REFUSED or not getattr(found, "_is_text_encoding", True):
        return None
    return found.name


def decode(data: bytes, name: str | None) -> str:
    """The text of those bytes. Never raises: what does not decode becomes U+FFFD."""
    known = codec(name)
    if known is None or known in ("ascii", "utf-8"):
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            if known == "utf-8":
                return data.decode("utf-8", "replace")
            return data.decode("cp1252", "replace")
    try:
        return data.decode(_WIDER.get(known, known), "replace")
    except (ValueError, LookupError):
        return data.decode("latin-1")


def ascii_compatible(name: str | None) -> bool:
    """Whether ASCII bytes mean themselves in it; true for an unknown name, since readers then fall back to ASCII."""
    known = codec(name)
    return known is None or not known.startswith(("utf-16", "utf-32", "utf-7", "cp037", "cp500", "cp1140", "hz"))
