"""Named adapters of a port, found in a folder.

Promises: a name can be taken once; an unknown name is refused with the nearest known one.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gateway.errors import Misconfigured

T = TypeVar("T")


def nearest(name: str, known: list[str]) -> str:
    """`", did you mean 'x'?"` when a known name is close, else the list of all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else "known: " + ", ".join(sorted(known))


class Registry(Generic[T]):
    """Adapters of one port. `folder` is the package whose modules register themselves on import."""

    def __init__(self, what: str, folder: str) -> None:
        self._what = what
        self._folder = folder
        self._items: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Class or function decorator. Raises ValueError for a name that is taken."""

        def take(item: T) -> T:
            if name in self._items:
                raise ValueError(f"{self._what} '{name}' is registered twice")
            self._items[name] = item
            return item

        return take

    def get(self, name: str) -> T:
        """The adapter of that name. Raises Misconfigured for an unknown one."""
        self._load()
        if name not in self._items:
            raise Misconfigured(f"unknown {self._what} '{name}': {nearest(name, list(self._items))}")
        return self._items[name]

    def __iter__(self) -> Iterator[tuple[str, T]]:
        self._load()
        return iter(sorted(self._items.items()))

    def _load(self) -> None:
        if self._loaded:
            return
        package = importlib.import_module(self._folder)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._folder}.{module.name}")
        self._loaded = True
