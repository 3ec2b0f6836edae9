"""A log in an S3 bucket, each object put once and, where the bucket has Object Lock, held by the store until a date.

What "held" means there: that version of the object can be neither changed nor removed. Whoever has the keys can still
put another version over it, or hide it behind a delete marker; so this reads the first version of each name, whatever
lies above it, and says how many were hidden. Promises: a name that is taken is not written (`If-None-Match: *`, and our
own look, for stores that take no notice of it); what the store says never stands in a message but for its code.
Clauses: Amazon S3 API: PutObject, GetObjectLockConfiguration, ListObjectVersions; decision 0046.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import s3place
from gateway.audit.keeper import SETTING, Held
from gateway.errors import GatewayError, Misconfigured, Tampered, TryLater

MOST_BYTES = 64 << 20
"""A bundle has a megabyte at most; a list of heads left in notices half a kilobyte for each notice of a day."""
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_REFUSED = frozenset({
    "AccessDenied", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "InvalidBucketName",
    "InvalidRequest",
})  # fmt: skip
_UNLOCKED = frozenset({"ObjectLockConfigurationNotFoundError", "NotImplemented", "MethodNotAllowed"})


class S3Keeper:
    """One prefix of a bucket. Not thread-safe."""

    def __init__(self, url: str, below: str, *, lock: str, days: int, patient: bool) -> None:
        self._place = s3place.parse(url, SETTING)
        self._prefix = "".join(f"{part}/" for part in (self._place.prefix, below) if part)
        self.words = f"s3://{self._place.bucket}/{self._prefix}".rstrip("/")
        self._lock, self._days = lock, days
        self._client = s3place.aws_client(self._place, patient=patient)
        self._versions: dict[str, str] = {}
        self._hidden = 0
        self._locks: bool | None = None

    def names(self) -> frozenset[str]:
        first: dict[str, str] = {}
        seen: Counter[str] = Counter()

        def look() -> None:
            pages = self._client.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self._place.bucket, Prefix=self._prefix):
                for one in page.get("Versions", ()):  # of each name the newest is first
                    name = one["Key"].removeprefix(self._prefix)
                    first[name] = one.get("VersionId") or "null"
                    seen[name] += 1
                seen.update(one["Key"].removeprefix(self._prefix) for one in page.get("DeleteMarkers", ()))

        self._asked("list", look)
        self._versions = first
        self._hidden = sum(1 for name, count in seen.items() if count > 1 and name in first)
        return frozenset(first)

    def read(self, name: str) -> bytes:
        version = self._versions.get(name)
        more = {} if version in (None, "null") else {"VersionId": version}

        def get() -> bytes:
            found = self._client.get_object(Bucket=self._place.bucket, Key=self._prefix + name, **more)
            return bytes(found["Body"].read(MOST_BYTES + 1))

        data = bytes(self._asked(f"read {name}", get))
        if len(data) > MOST_BYTES:  # no bucket says how much of our memory it takes
            raise Tampered(f"export: {name} in {self.words} is larger than anything that is put there")
        return data

    def put(self, name: str, data: bytes) -> None:
        if name not in self._versions and self._put(name, data):
            return
        if self.read(name) != data:
            raise Tampered(f"other bytes lie at {name} in {self.words}")

    def held(self, name: str) -> Held | None:
        version = self._versions.get(name)
        more = {} if version in (None, "null") else {"VersionId": version}

        def look() -> Any:
            return self._client.head_object(Bucket=self._place.bucket, Key=self._prefix + name, **more)

        found = self._asked(f"look at {name}", look)
        mode, until = found.get("ObjectLockMode"), found.get("ObjectLockRetainUntilDate")
        if mode not in ("COMPLIANCE", "GOVERNANCE") or until is None or until <= datetime.now(UTC):
            return None
        return Held(mode.lower(), until.astimezone(UTC).date().isoformat())

    def hidden(self) -> int:
        return self._hidden

    def _put(self, name: str, data: bytes) -> bool:
        """False when the name is taken."""
        more: dict[str, Any] = {}
        if self._lock != "none" and self._can_lock():
            until = datetime.now(UTC) + timedelta(days=self._days)
            more = {"ObjectLockMode": self._lock.upper(), "ObjectLockRetainUntilDate": until}
        digest = hashlib.md5(data, usedforsecurity=False).digest()  # what a put with a lock must carry

        def put() -> str | None:
            done = self._client.put_object(
                Bucket=self._place.bucket, Key=self._prefix + name, Body=data, IfNoneMatch="*",
                ContentMD5=base64.b64encode(digest).decode(), ContentType="application/octet-stream", **more,
            )  # fmt: skip
            return str(done.get("VersionId") or "null")

        version = self._asked(f"write {name}", put, _TAKEN)
        if version is None:
            return False
        self._versions[name] = version
        return True

    def _can_lock(self) -> bool:
        """Whether the bucket has Object Lock, asked once."""
        if self._locks is None:

            def look() -> bool:
                found = self._client.get_object_lock_configuration(Bucket=self._place.bucket)
                return bool(found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

            self._locks = bool(self._asked("ask for Object Lock", look, _UNLOCKED))
        return self._locks

    def _asked(self, deed: str, call: Any, fine: frozenset[str] = frozenset()) -> Any:
        """What the store answers; None for a refusal with one of the codes that are `fine`."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return call()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in fine:
                return None
            raise self._error(deed, code) from None
        except (BotoCoreError, OSError) as error:
            raise TryLater(f"export: cannot {deed}: {type(error).__name__}") from None

    def _error(self, deed: str, code: str) -> GatewayError:
        word = code if re.fullmatch(r"[A-Za-z0-9]{1,60}", code) else "an error"
        if code in ("NoSuchKey", "NoSuchVersion", "404"):
            return Tampered(f"export: {deed}: it is missing in {self.words}")
        if code in _REFUSED or code == "403":
            return Misconfigured(
                f"{SETTING}: {self.words} does not let us {deed} ({word}). The bucket must exist, and the keys need "
                "s3:PutObject, s3:PutObjectRetention, s3:GetObject, s3:GetObjectVersion, s3:GetObjectRetention, "
                "s3:ListBucketVersions and s3:GetBucketObjectLockConfiguration there (deploy/S3.md)"
            )
        return TryLater(f"export: cannot {deed}: {word}")
