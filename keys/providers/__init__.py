"""Key providers: who holds the root key (KEK), and how keys are wrapped under it.

`KeyProvider` is the port; an adapter lies beside this file, bears its name and registers itself with `register`.
Promises: a name is taken once; an unknown name is refused with the known ones.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from keys.errors import Unusable

T = TypeVar("T")


class KeyProvider(Protocol):
    """The root key, wherever it lies.

    Adapters do not retry; trouble that may pass is `Unavailable`, wrong input of the operator `Unusable`. Calls may
    come from several threads at once. `wrap` stores nothing: the caller keeps what it returns.
    """

    @property
    def name(self) -> str:
        """The provider's name with what tells two of its keys apart, such as ``file /etc/sealgate/kek``."""

    @property
    def check_value(self) -> str:
        """ASCII that follows from the key and tells nothing else about it; stored to refuse another key by name."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key` sealed under the root key for `context`."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key. Raises Tampered for another root key or context, or a changed byte."""


_known: dict[str, Any] = {}


def register(name: str) -> Callable[[T], T]:
    """Class decorator: `name` is what ``[keys] provider`` says. ValueError for a name that is taken."""

    def take(adapter: T) -> T:
        if name in _known:
            raise ValueError(f"key provider '{name}' is registered twice")
        _known[name] = adapter
        return adapter

    return take


def provider_class(name: str) -> Any:
    """The adapter of that name. Raises Unusable for an unknown one, listing the known."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    if name not in _known:
        raise Unusable(f"unknown key provider '{name}', known: {', '.join(sorted(_known))}")
    return _known[name]
