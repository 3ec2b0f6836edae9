"""Uploads in parts that a killed process left at an S3 store: found below our prefix and ended, when a day old.

The vault's own client cannot list them, so AWS's is used where it is installed (decision 0046). Promises: only keys
that a blob of ours could have are touched; what the store does not let us see is said once in the log and by `doctor`,
and keeps nothing else from being swept.
Clauses: Amazon S3 API: ListMultipartUploads, AbortMultipartUpload.
"""

from __future__ import annotations

import importlib.util
import re
from datetime import datetime
from typing import Any

from gateway.errors import Misconfigured, TryLater
from gateway.logs import Log
from gateway.s3place import Place, aws_client

log = Log("sealgate.vault")
_KEY = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{38}", re.ASCII)

RULE = (
    '{"Rules": [{"ID": "unfinished", "Status": "Enabled", "Filter": {"Prefix": ""}, '
    '"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]}'
)
"""What makes the bucket end them by itself, for PutBucketLifecycleConfiguration."""


class Uploads:
    """Those below one place. The client is made at the first look and kept: it costs 50 MB."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: Any = None
        self._told = False

    def end(self, than: datetime) -> int:
        """End those begun before `than`; how many. 0, said once in the log, where the store does not let us look."""
        if importlib.util.find_spec("boto3") is None:
            return 0  # the bucket's own rule must do it: deploy/S3.md, and `doctor` says so
        try:
            left = self.left(than)
            for key, upload in left:
                self._client.abort_multipart_upload(Bucket=self._place.bucket, Key=key, UploadId=upload)
        except Exception as error:
            if not _of_the_store(error):
                raise
            if not self._told:
                log.warning("vault:uploads-unseen", error=_name(error))
            self._told = True
            return 0
        self._told = False
        return len(left)

    def left(self, than: datetime) -> list[tuple[str, str]]:
        """Key and id of each that was begun before `than`. Raises what boto3 raises, Misconfigured."""
        if self._client is None:
            self._client = aws_client(self._place)
        prefix = self._place.prefix + "/" if self._place.prefix else ""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._place.bucket, Prefix=prefix)
        return [
            (one["Key"], one["UploadId"])
            for page in pages
            for one in page.get("Uploads", ())
            if _KEY.fullmatch(one["Key"].removeprefix(prefix)) and one["Initiated"] < than
        ]


def unseen(place: Place, than: datetime) -> str:
    """Why these cannot be listed here, in a few words; empty when they can. For `doctor`."""
    if importlib.util.find_spec("boto3") is None:
        return "the package boto3 is not installed"
    try:
        Uploads(place).left(than)
    except Exception as error:
        if not _of_the_store(error):
            raise
        return f"the store does not list them ({_name(error)})"
    return ""


def _of_the_store(error: Exception) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, BotoCoreError | ClientError | Misconfigured | TryLater)


def _name(error: Exception) -> str:
    """The class or the code: a store's words hold addresses, and at times what was signed."""
    answer = getattr(error, "response", None)
    code = str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, dict) else ""
    return code if re.fullmatch(r"[A-Za-z]{1,40}", code) else type(error).__name__
