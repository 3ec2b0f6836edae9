"""Ways to write what some server may take for the end of a message, and what else may be taken for a line end.

RFC 5321 4.1.1.4: the end is CR LF, a dot, CR LF, and nothing else. The published attacks (CVE-2023-51764 to 51766 and
their kin) are among these. Names are what a test's id says.
"""

from __future__ import annotations

import itertools

CRLF = b"\r\n"
END = b"\r\n.\r\n"
_NEWLINES = {
    "crlf": b"\r\n",
    "lf": b"\n",
    "cr": b"\r",
    "lfcr": b"\n\r",
    "crcr": b"\r\r",
    "lflf": b"\n\n",
    "none": b"",
}
_ODD = {
    "nul": b"\0",
    "vt": b"\x0b",
    "ff": b"\x0c",
    "fs": b"\x1c",
    "rs": b"\x1e",
    "nel-latin": b"\x85",
    "nel": b"\xc2\x85",
    "ls": b"\xe2\x80\xa8",
    "ps": b"\xe2\x80\xa9",
    "cr-of-utf7": b"+AA0ACg-",
    "cr-eighth-bit": b"\x8d\x8a",
    "overlong-lf": b"\xc0\x8a",
}

BARE = {
    f"{before}-dot-{after}": _NEWLINES[before] + b"." + _NEWLINES[after]
    for before, after in itertools.product(_NEWLINES, repeat=2)
    if not {before, after} <= {"crlf", "none"}
} | {
    "crlf-dot-cr-nul-lf": b"\r\n.\r\0\n",
    "cr-nul-lf-dot-crlf": b"\r\0\n.\r\n",
    "crlf-dot-dot-lf": b"\r\n..\n",
    "lf-dot-dot-lf": b"\n..\n",
    "crlf-dot-blank-lf": b"\r\n. \n",
    "crlf-dot-cr-crlf": b"\r\n.\r\r\n",
    "lf-cr-dot-crlf": b"\n\r.\r\n",
}
"""No end, though some server has taken it for one or well may. There is a bare CR or LF in each of them."""

CLEAN = {
    "crlf-dot-dot-crlf": b"\r\n..\r\n",
    "crlf-dot-blank-crlf": b"\r\n. \r\n",
    "crlf-dot-tab-crlf": b"\r\n.\t\r\n",
    "crlf-blank-dot-crlf": b"\r\n .\r\n",
    "crlf-dot-nul-crlf": b"\r\n.\0\r\n",
    "crlf-dot-backspace-crlf": b"\r\n.\x08\r\n",
    "crlf-dot-soft-crlf": b"\r\n.=\r\n",
    "encoded-crlf-dot-crlf": b"=0D=0A.=0D=0A",
    "full-stop-wide": b"\r\n\xef\xbc\x8e\r\n",
    **{f"{name}-dot-{name}": odd + b"." + odd for name, odd in _ODD.items() if name != "nul"},
    **{f"crlf-dot-{name}": b"\r\n." + odd for name, odd in _ODD.items() if name != "nul"},
    **{f"{name}-dot-crlf": odd + b".\r\n" for name, odd in _ODD.items() if name != "nul"},
}
"""No end either, and every CR and LF in it stands in a CR LF: taken, and passed on as they are."""

STRIPPED = {
    "crlf-nul-dot-crlf": b"\r\n\0.\r\n",
    "crlf-nuls-dot-nuls-crlf": b"\r\n\0\0.\0\r\n",
}
"""No end, but to a server that drops NUL before it looks they are: a line that is a dot but for NULs before it."""

REAL = {
    "crlf-dot-crlf": END,
    "nul-crlf-dot-crlf": b"\0" + END,
    "blank-crlf-dot-crlf": b" " + END,
    "crlf-crlf-dot-crlf": CRLF + END,
}
"""The end, whatever stands before it."""
