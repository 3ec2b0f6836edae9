"""The operator's calls about the root key, as its client makes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, cast

from keys.keyholder.wire import b64


class TurnsRootKey:
    """Part of the operator's client: what `sealgate keys` asks."""

    @abstractmethod
    def _call(self, method: str, **params: Any) -> Any: ...

    def root_key(self) -> dict[str, Any]:
        """``provider``, ``name``, ``check``, ``where``, ``answers`` (yes, silent, refused), ``rotating``, ``done``,
        ``broken``, ``keys`` (how many there are), ``before`` (check value of the key before, or empty).
        """
        return cast("dict[str, Any]", self._call("root_key"))

    def rotate(self, provider: str, values: Mapping[str, str], secret: bytes = b"") -> dict[str, Any]:
        """Turn to another root key; answers as `root_key` once it has begun.

        Denied: rotating, same-key, unusable (``why``). `secret` is the key out of a sealed credential, if it is one.
        """
        return cast("dict[str, Any]", self._call("rotate", provider=provider, values=dict(values), secret=b64(secret)))
