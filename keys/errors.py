"""What can go wrong with keys, in words that carry no secret.

Promises: messages name the thing and the rule that failed, never a key, a plaintext, a token or a code.
"""

from __future__ import annotations

from typing import Any


class KeysError(Exception):
    """Root of every error of this package."""


class Tampered(KeysError):
    """A seal, signature, proof or format does not hold. Never retried; the caller raises an alarm."""


class WrongSecret(KeysError):
    """The secret shown is not the one a wrap was made with. Says nothing about the wrap's other contents."""


class WrongKek(KeysError):
    """The root key at hand is not the one the store was made with; both check values are named."""

    def __init__(self, provider: str, *, expected: str, found: str) -> None:
        super().__init__(
            f"wrong root key from {provider}: the store was made with key check value {expected}, this key has {found}"
        )
        self.provider = provider
        self.expected = expected
        self.found = found


class Unusable(KeysError):
    """A key file or provider is not as it must be. The message is for the operator and says what to write or run."""


class Unavailable(KeysError):
    """The keyholder or a key provider cannot be reached, or does not answer as agreed. Safe to try again."""


class Denied(KeysError):
    """The keyholder said no. `reason` is a short machine word such as ``revoked``; `data` adds facts for the caller."""

    def __init__(self, reason: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.data: dict[str, Any] = dict(data or {})
