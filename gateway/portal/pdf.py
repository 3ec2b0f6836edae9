"""A page of ours as a tagged PDF (PDF/UA-1, ISO 14289-1), made by WeasyPrint where its libraries are.

Promises: nothing is fetched, whatever the page names; at most `AT_ONCE` are made at a time, each in the thread that
asked; a missing library is None, never an error page.
"""

from __future__ import annotations

import threading
from typing import Any

from gateway.errors import TryLater

AT_ONCE = 1
WAIT_SECONDS = 20.0
_turns = threading.BoundedSemaphore(AT_ONCE)


class Busy(TryLater):
    """Too many reports are being made right now. Please try again in a minute."""


def pdf_of(html: str) -> bytes | None:
    """The PDF; None where this machine cannot make one (Pango is missing, or the extra `pdf`). Raises Busy."""
    try:
        import weasyprint  # type: ignore[import-untyped]  # needs Pango at import, so it is imported only by who asks for a PDF
    except (ImportError, OSError):
        return None
    if not _turns.acquire(timeout=WAIT_SECONDS):
        raise Busy("reports")
    try:
        made: bytes = weasyprint.HTML(string=html, url_fetcher=_refuse).write_pdf(pdf_variant="pdf/ua-1")
        return made
    finally:
        _turns.release()


def _refuse(url: str, *args: Any, **more: Any) -> Any:
    raise ValueError("a report fetches nothing")
