"""What the pages show of a tenant, and the words of times, sizes and file types.

Promises: nothing here knows a secret; times are said with their zone (WCAG 2.2, DESIGN §2.7 of PAGES).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from gateway.mail import moments


@dataclass(frozen=True, slots=True)
class Face:
    """One tenant as its pages show it, and the one address they have.

    `public_url` is the origin without a path (RFC 6454), https, or http on loopback. `server` is the mail server that
    takes our mail, as staff read it.
    """

    tenant: str
    display_name: str
    phone: str
    public_url: str
    timezone: str = "UTC"
    language: str = "en"
    server: str = ""

    @property
    def host(self) -> str:
        """What a request's Host field must say (RFC 9110 7.2)."""
        return urlsplit(self.public_url).netloc.lower()

    @property
    def origin(self) -> str:
        """The origin as browsers send it (RFC 6454 6.2)."""
        return self.public_url.rstrip("/").lower()

    @property
    def secure(self) -> bool:
        """False only for http on loopback: then cookies cannot be Secure."""
        return self.public_url.startswith("https:")

    @property
    def phone_link(self) -> str:
        """The number as a tel: link takes it (RFC 3966)."""
        return re.sub(r"[^0-9+]", "", self.phone)

    def local(self, moment: datetime) -> datetime:
        """The moment on this tenant's wall clock."""
        return moment.astimezone(ZoneInfo(self.timezone))

    def words_of_time(self, moment: datetime) -> str:
        """`Friday 4 December 2026, 5:00 pm Central time`."""
        return moments.whole(self.local(moment))

    def brief_time(self, moment: datetime) -> str:
        """In a table whose head says the zone: `Fri 4 Dec 2026, 5:00 pm`; with the zone where it has no words."""
        brief = moments.brief(self.local(moment))
        return brief if self.table_zone else f"{brief} {self.zone(moment)}"

    @property
    def table_zone(self) -> str:
        """The zone in words that are right all year, for the head of a table; empty where there are none."""
        return moments.zone_in_words(self.local(datetime(2026, 1, 1, tzinfo=UTC)))

    def zone(self, moment: datetime) -> str:
        """The zone in words where people have words for it."""
        return moments.zone(self.local(moment)) or self.timezone


def iso(moment: datetime) -> str:
    """For `<time datetime>` (RFC 3339), UTC, seconds."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def size_words(count: int) -> str:
    """Bytes as people say them; decimal units, as phones and file managers show them."""
    if count < 1000:
        return f"{count} bytes" if count != 1 else "1 byte"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"


def reference_words(reference: str) -> str:
    """`402917` as `402 917`: groups of three are read out and typed with fewer slips."""
    return f"{reference[:3]} {reference[3:]}" if len(reference) == 6 else reference


_TYPES = (
    ("pdf", r"application/pdf"),
    ("image", r"image/.*"),
    ("word", r"application/(msword|vnd\.openxmlformats-officedocument\.wordprocessingml\.document)"),
    ("sheet", r"application/(vnd\.ms-excel|vnd\.openxmlformats-officedocument\.spreadsheetml\.sheet)|text/csv"),
    ("zip", r"application/(zip|x-zip-compressed)"),
    ("dicom", r"application/dicom"),
    ("message", r"message/rfc822"),
    ("text", r"text/.*"),
    ("video", r"video/.*"),
    ("audio", r"audio/.*"),
)


def type_key(media_type: str) -> str:
    """The key under `filetype.` that says this media type in plain words."""
    plain = media_type.split(";", 1)[0].strip().lower()
    return next((f"filetype.{name}" for name, pattern in _TYPES if re.fullmatch(pattern, plain)), "filetype.other")
