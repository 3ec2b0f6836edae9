"""Where something lies in an S3 store: ``s3://bucket/prefix?endpoint=https://host&region=name&credentials=/file``.

Promises: an unknown or doubtful word is refused with what to write; keys come from the file (two lines: access key id,
secret access key) or, without one, from the environment or the machine's role as AWS names them; they are in no repr
and no message. Unencrypted HTTP is for loopback alone: what is stored is sealed or signed, but the keys' signature and
sizes are not. Two clients speak to it: the vault's own (`vault/s3place.py`), and AWS's for what that one lacks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.errors import Misconfigured
from gateway.settingtypes import SecretFile, is_loopback

CONNECT_SECONDS, READ_SECONDS, TRIES = 5, 60, 3
_WORDS = frozenset({"endpoint", "region", "credentials"})
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket, a prefix in it (empty, or without slashes at its ends), and how to get there. `setting` is what named
    it, for messages.
    """

    bucket: str
    prefix: str
    endpoint: str
    region: str
    credentials: Path | None
    setting: str = "[vault] url"

    @property
    def words(self) -> str:
        """The place as people read it, without how to get there."""
        return f"s3://{self.bucket}/{self.prefix}"

    def wrong(self, what: str) -> Misconfigured:
        """That this place cannot be used."""
        return _wrong(self.setting, what)

    def keys(self) -> tuple[str, str] | None:
        """Access key id and secret access key of the file; None where none is named. Raises Misconfigured."""
        if self.credentials is None:
            return None
        lines = SecretFile(self.credentials).read().reveal().split("\n")
        if len(lines) != 2 or not all(line.strip() for line in lines):
            raise self.wrong(f"{self.credentials} has two lines: access key id, secret access key")
        return lines[0].strip(), lines[1].strip()


def parse(url: str, setting: str = "[vault] url") -> Place:
    """The place a URL names. Raises Misconfigured."""
    parts = urlsplit(url)
    prefix = unquote(parts.path).strip("/")
    words = parse_qsl(parts.query, keep_blank_values=True)
    known = dict(words)
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise _wrong(setting, "write s3://bucket/prefix, with the bucket's own name")
    if not _PREFIX.fullmatch(prefix) or (prefix and any(part in ("", ".", "..") for part in prefix.split("/"))):
        raise _wrong(setting, "a prefix is made of letters, digits and . _ - between single slashes")
    if len(known) != len(words) or known.keys() - _WORDS:
        raise _wrong(setting, "behind the ? stand endpoint=, region= and credentials=, each once at most")
    credentials = known.get("credentials")
    if credentials is not None and not credentials.startswith("/"):
        sentence = "credentials= is an absolute path of a file with two lines: access key id, secret access key"
        raise _wrong(setting, sentence)
    return Place(
        parts.netloc, prefix, _endpoint(setting, known.get("endpoint", "")), known.get("region", "us-east-1"),
        None if credentials is None else Path(credentials), setting,
    )  # fmt: skip


def aws_client(place: Place, *, patient: bool = True) -> Any:
    """AWS's own client, for what the vault's lacks: Object Lock, unfinished uploads, versions. Asks nothing yet.

    Costs 50 MB of memory, so only whoever needs it makes one. `patient`: whether it tries again, and waits for a slow
    store; otherwise it gives up after a few seconds. Raises Misconfigured where boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise place.wrong("this needs the package boto3: pip install 'sealgate[aws]'") from error
    keys = place.keys()
    found = {} if keys is None else {"aws_access_key_id": keys[0], "aws_secret_access_key": keys[1]}
    config = Config(
        connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS if patient else CONNECT_SECONDS,
        retries={"total_max_attempts": TRIES if patient else 1},
        # Older servers do not know the checksums that newer clients add by themselves; ours are given by hand.
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
        s3={"addressing_style": "path" if place.endpoint else "auto"},
    )  # fmt: skip
    try:
        return boto3.client("s3", region_name=place.region, endpoint_url=place.endpoint or None, config=config, **found)
    except (BotoCoreError, ValueError) as error:
        raise place.wrong(f"this place cannot be used ({type(error).__name__})") from None


def _endpoint(setting: str, text: str) -> str:
    if not text:
        return ""
    parts = urlsplit(text)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not (plain or parts.scheme == "https") or not parts.hostname or parts.query or parts.path not in ("", "/"):
        raise _wrong(setting, "endpoint= is https://host or https://host:port; http only to this machine itself")
    if parts.username is not None or parts.password is not None:
        raise _wrong(setting, "keys do not stand in the endpoint; put them into the file that credentials= names")
    return f"{parts.scheme}://{parts.netloc}"


def _wrong(setting: str, what: str) -> Misconfigured:
    return Misconfigured(f"{setting}: {what}")
