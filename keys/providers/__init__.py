"""Key providers: who holds the root key (KEK), and how keys are wrapped under it.

`KeyProvider` is the port; an adapter lies beside this file, bears its name (with `_` for `-`) and registers itself with
`register`. Promises: a name is taken once; an unknown name is refused with the known ones; an adapter, and the library
that it needs, is imported when it is asked for, so that nobody pays for another's. DESIGN §4a (Root KEK).
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from keys.errors import Tampered, Unusable

T = TypeVar("T")


class KeyProvider(Protocol):
    """The root key, wherever it lies.

    Adapters do not retry, but for one new sign-in where a session ended; trouble that may pass is `Unavailable`, what
    the operator must mend (a credential, a right, a missing key) `Unusable`, with what to do and without any secret.
    Calls may come from several threads at once. `wrap` stores nothing: the caller keeps what it returns.
    """

    local: ClassVar[bool]
    """Whether the key is in this process, so that wrapping costs microseconds and cannot fail. What is not local wraps
    one store key, and that the rest (`keys.keyholder.rootkey`)."""

    @property
    def name(self) -> str:
        """The provider's name with what tells two of its keys apart, such as ``file /etc/sealgate/kek``."""

    @property
    def check_value(self) -> str:
        """ASCII that stays the key's and tells nothing else about it; stored to refuse another key by name."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key` sealed under the root key for `context`."""

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key. Raises Tampered for another root key or context, or a changed byte."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which provider, and where it finds its key: paths, names and addresses, never a secret.

    `values` has the names of ``[keys]`` that the adapter's `NEEDS` and `MAY` list; empty ones are as good as absent.
    """

    provider: str
    values: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """One JSON object, the same for the same choice."""
        return json.dumps([self.provider, dict(self.values)], sort_keys=True).encode("utf-8")

    @classmethod
    def decode(cls, raw: bytes) -> Choice:
        """Raises Tampered for what `encode` did not write."""
        try:
            name, values = json.loads(raw)
            return cls(str(name), {str(key): str(value) for key, value in values.items()})
        except (ValueError, AttributeError, TypeError) as error:
            raise Tampered("the note of where the root key lies cannot be read") from error


_known: dict[str, Any] = {}


def register(name: str) -> Callable[[T], T]:
    """Class decorator: `name` is what ``[keys] provider`` says. ValueError for a name that is taken."""

    def take(adapter: T) -> T:
        if name in _known:
            raise ValueError(f"key provider '{name}' is registered twice")
        _known[name] = adapter
        return adapter

    return take


def names() -> list[str]:
    """Every provider that there is, by its name in the configuration."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def provider_class(name: str) -> Any:
    """The adapter of that name. Raises Unusable for an unknown one, listing the known."""
    if name not in _known and name in names():
        importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    if name not in _known:
        raise Unusable(f"unknown key provider '{name}', known: {', '.join(names())}")
    return _known[name]


def open_provider(choice: Choice, *, create: bool = False, secret: bytes | None = None) -> KeyProvider:
    """The provider of a choice. With `create` its key is made first where there is none and the adapter can make one.

    `secret`: the key itself, where whoever starts this process took it out of a sealed credential (`systemd-creds`).
    Raises Unusable, saying what to do, and Unavailable.
    """
    adapter = provider_class(choice.provider)
    for name in adapter.NEEDS:
        if not choice.values.get(name):
            raise Unusable(f"[keys] {name} is missing; provider {choice.provider} needs {', '.join(adapter.NEEDS)}")
    opened: KeyProvider = adapter.opened(choice.values, create=create, secret=secret)
    return opened
