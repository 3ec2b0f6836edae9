"""Writes `tests/data/mail`: two mails of each of twenty kinds, made up, the same bytes at every run.

Most carry a DKIM signature (RSA or Ed25519) of clinic.example. Only the S/MIME-encrypted mail holds fresh randomness;
it is left alone where it exists.

    python -m tests.support.make_mail_corpus
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import mail_keys, mail_kinds

FOLDER = Path(__file__).resolve().parent.parent / "data" / "mail"
RANDOM = frozenset({"encrypted-1.eml"})
WITHOUT_DKIM = frozenset({"encrypted-1.eml", "dsn-1.eml", "dsn-2.eml", "malformed-1.eml", "malformed-2.eml"})


def corpus() -> dict[str, bytes]:
    """Every mail by file name."""
    found: dict[str, bytes] = {}
    for place, kind in enumerate(mail_kinds.KINDS):
        for number in (1, 2):
            name = f"{kind}-{number}.eml"
            data = mail_kinds.make(kind, number)
            selector = "rsa" if (place + number) % 2 else "ed"
            found[name] = data if name in WITHOUT_DKIM else mail_keys.dkim_signed(data, selector)
    return found


def main() -> None:
    """Write what is missing or differs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, data in corpus().items():
        path = FOLDER / name
        if not (path.exists() and name in RANDOM):
            path.write_bytes(data)
    (FOLDER / "dkim.json").write_text(json.dumps(mail_keys.dkim_records(), indent=1, sort_keys=True) + "\n")
    (FOLDER / ".gitattributes").write_text("*.eml -text\n")


if __name__ == "__main__":
    main()
