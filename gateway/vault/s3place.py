"""Where an S3 vault is: ``s3://bucket/prefix?endpoint=https://host&region=name&credentials=/absolute/file``.

Promises: an unknown or doubtful word is refused with what to write; keys come from the file (two lines: access key id,
secret access key) or, without one, from the environment or the machine's role as AWS names them; they are in no repr
and no message. Unencrypted HTTP is for loopback alone: blobs are sealed, but the keys' signature and sizes are not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.errors import Misconfigured
from gateway.settingtypes import SecretFile, is_loopback

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

CONNECT_SECONDS = 5
REQUEST_SECONDS = 60
"""For one request with its body: a part of `s3writer.PART_BYTES` on a slow line."""
RETRIES = 2
RETRY_SECONDS = 60
LOOK_SECONDS = 5
"""For the look whether the vault is there at all, which is not tried again: somebody waits for a sign of life."""
_WORDS = frozenset({"endpoint", "region", "credentials"})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, a prefix in it (empty, or without slashes at its ends), and how to get there."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    credentials: Path | None


def parse(url: str) -> Place:
    """The place a URL names. Raises Misconfigured."""
    parts = urlsplit(url)
    prefix = unquote(parts.path).strip("/")
    words = parse_qsl(parts.query, keep_blank_values=True)
    known = dict(words)
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise _wrong("write s3://bucket/prefix, with the bucket's own name")
    if not _PREFIX.fullmatch(prefix) or (prefix and any(part in ("", ".", "..") for part in prefix.split("/"))):
        raise _wrong("a prefix is made of letters, digits and . _ - between single slashes")
    if len(known) != len(words) or known.keys() - _WORDS:
        raise _wrong("behind the ? stand endpoint=, region= and credentials=, each once at most")
    credentials = known.get("credentials")
    if credentials is not None and not credentials.startswith("/"):
        raise _wrong("credentials= is an absolute path of a file with two lines: access key id, secret access key")
    return Place(
        parts.netloc, prefix, _endpoint(known.get("endpoint", "")), known.get("region", "us-east-1"),
        None if credentials is None else Path(credentials),
    )  # fmt: skip


def connect(place: Place, *, look: bool = False) -> S3Store:
    """A client for that place; nothing is asked of the server yet. Raises Misconfigured.

    A request is tried `RETRIES` times more where that is safe; longer outages are the caller's to wait for. `look`: a
    client that gives up soon.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError as error:
        raise _wrong("an S3 vault needs the package obstore: pip install 'sealgate[s3]'") from error
    config: S3Config = {"region": place.region, "checksum_algorithm": "SHA256", "conditional_put": "etag"}
    if place.endpoint:
        config["endpoint"] = place.endpoint
    if place.credentials is not None:
        lines = SecretFile(place.credentials).read().reveal().split("\n")
        if len(lines) != 2 or not all(line.strip() for line in lines):
            raise _wrong(f"{place.credentials} has two lines: access key id, secret access key")
        config["access_key_id"], config["secret_access_key"] = (line.strip() for line in lines)
    try:
        return S3Store(
            place.bucket,
            prefix=place.prefix or None,
            config=config,
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
                "timeout": timedelta(seconds=LOOK_SECONDS if look else REQUEST_SECONDS),
            },
            retry_config={
                "max_retries": 0 if look else RETRIES,
                "retry_timeout": timedelta(seconds=LOOK_SECONDS if look else RETRY_SECONDS),
            },
        )
    except (BaseError, ValueError) as error:
        raise _wrong(f"this place cannot be used ({type(error).__name__})") from None


def _endpoint(text: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (plain or parts.scheme == "https") or not parts.hostname or parts.query or parts.path not in ("", "/"):
        raise _wrong("endpoint= is https://host or https://host:port; http only to this machine itself")
    if parts.username is not None or parts.password is not None:
        raise _wrong("keys do not stand in the endpoint; put them into the file that credentials= names")
    return f"{parts.scheme}://{parts.netloc}"


def _wrong(what: str) -> Misconfigured:
    return Misconfigured(f"[vault] url: {what}")
