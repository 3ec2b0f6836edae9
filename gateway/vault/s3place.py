"""The vault's client of an S3 store; the URL and its keys are `gateway/s3place.py`'s. Decision 0039."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from gateway.s3place import Place, parse

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

__all__ = ["Place", "connect", "parse"]

CONNECT_SECONDS = 5
REQUEST_SECONDS = 60
"""For one request with its body: a part of `s3writer.PART_BYTES` on a slow line."""
RETRIES = 2
RETRY_SECONDS = 60
LOOK_SECONDS = 5
"""For the look whether the vault is there at all, which is not tried again: somebody waits for a sign of life."""


def connect(place: Place, *, look: bool = False) -> S3Store:
    """A client for that place; nothing is asked of the server yet. Raises Misconfigured.

    A request is tried `RETRIES` times more where that is safe; longer outages are the caller's to wait for. `look`: a
    client that gives up soon.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import S3Store
    except ImportError as error:
        raise place.wrong("an S3 vault needs the package obstore: pip install 'sealgate[s3]'") from error
    config: S3Config = {"region": place.region, "checksum_algorithm": "SHA256", "conditional_put": "etag"}
    if place.endpoint:
        config["endpoint"] = place.endpoint
    keys = place.keys()
    if keys is not None:
        config["access_key_id"], config["secret_access_key"] = keys
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
        raise place.wrong(f"this place cannot be used ({type(error).__name__})") from None
