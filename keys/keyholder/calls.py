"""From a request's plain values to a handler's keyword arguments, by the handler's own annotations.

Promises: a missing, unknown or ill-typed parameter is refused before the handler runs (so nobody can hand in a floor, a
person or an expiry where none is asked for); ids are short printable ASCII; bytes come as canonical base64.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable
from typing import Any

from keys.keyholder.wire import unb64

_ID = re.compile(r"[\x21-\x7e]{1,128}")
_IDS = frozenset(
    {
        "tenant", "message", "grant", "object", "user", "person", "node", "act", "role", "purpose", "request", "log",
        "id", "origin", "actor", "how_sure", "network", "visitor", "handle", "session",
    }
)  # fmt: skip
_LONGEST_TEXT = 2048
_NOT_PARAMETERS = frozenset({"tx", "holder"})


class BadCall(Exception):
    """The request does not fit the method. Nothing was done."""


def is_id(value: Any) -> bool:
    """Whether a value can be an id: 1 to 128 printable ASCII characters without space."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


class Signature:
    """The parameters of one handler."""

    __slots__ = ("_types",)

    def __init__(self, handler: Callable[..., Any]) -> None:
        hints = typing.get_type_hints(handler)
        names = [name for name in inspect.signature(handler).parameters if name not in _NOT_PARAMETERS]
        self._types = {name: _allowed(hints[name]) for name in names}

    def bind(self, params: Any) -> dict[str, Any]:
        """The keyword arguments. Raises BadCall."""
        if not isinstance(params, dict) or set(params) != set(self._types):
            raise BadCall
        return {name: _convert(name, value, self._types[name]) for name, value in params.items()}


def _allowed(hint: Any) -> frozenset[type]:
    arms = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return frozenset(typing.get_origin(arm) or arm for arm in arms)


def _convert(name: str, value: Any, allowed: frozenset[type]) -> Any:
    if value is None:
        if types.NoneType in allowed:
            return None
        raise BadCall
    if bytes in allowed:
        try:
            if isinstance(value, str):
                return unb64(value)
        except ValueError as error:
            raise BadCall from error
        raise BadCall
    if type(value) not in allowed:  # bool is not int here
        raise BadCall
    if isinstance(value, str):
        if name in _IDS and value and not is_id(value):
            raise BadCall
        if name in _IDS and not value and name not in ("network", "request"):
            raise BadCall
        if len(value) > _LONGEST_TEXT:
            raise BadCall
    if isinstance(value, int) and not isinstance(value, bool) and not 0 <= value < 2**53:
        raise BadCall
    return value
