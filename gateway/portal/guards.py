"""A guard for every route: who may ask, with how strong a session, what the log keeps of it, how often without proof.

Promises: a route without a whole guard stops start-up (`check`); enforcement is in `gateway.portal.door`, from these
values and nothing else. 45 CFR 164.312(a)(1), 164.312(d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.audit.event import Action
from gateway.errors import Misconfigured

if TYPE_CHECKING:
    from starlette.responses import Response

    from gateway.portal.call import Call


class Permission(StrEnum):
    """Who may ask."""

    ANYONE = "anyone"
    LINK = "link"  # whoever shows a valid link secret
    READER = "reader"  # and has a session for that message
    STAFF = "staff"  # a workforce member of this tenant, in one of the guard's roles


@dataclass(frozen=True, slots=True)
class Unlogged:
    """This route leaves no event, and here is why that is right."""

    why: str


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a minute from one network that shows no proof; above it the answer is 429 for at most 60 s.

    `per_user` are those of one signed-in workforce member; 0 where what they may see is not for the guessing.
    """

    per_minute: int
    per_user: int = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """All four are said for each route. `strength` is the least proof level of the session, 0 where there is none."""

    permission: Permission
    strength: int
    event: Action | Unlogged
    rate: Rate
    roles: frozenset[str] = frozenset()


Handler = Callable[["Call"], "Response"]


@dataclass(frozen=True, slots=True)
class Page:
    """One route: methods, path, guard and the ordinary function that answers.

    `upload_bytes` is how long a form with files may be (RFC 7578); 0 where files are not taken.
    """

    methods: tuple[str, ...]
    path: str
    guard: Guard | None
    handler: Handler
    upload_bytes: int = 0


PAGES: list[Page] = []


def page(path: str, *methods: str, guard: Guard | None, upload_bytes: int = 0) -> Callable[[Handler], Handler]:
    """Declare a route. GET answers HEAD as well; the handler sees which it is."""

    def take(handler: Handler) -> Handler:
        PAGES.append(Page(tuple(methods), path, guard, handler, upload_bytes))
        return handler

    return take


def check(routes: Iterable[Any]) -> None:
    """Raises Misconfigured for a route without a guard, or with one that contradicts itself."""
    for route in routes:
        guard = getattr(getattr(route, "endpoint", None), "guard", None)
        where = getattr(route, "path", repr(route))
        if not isinstance(guard, Guard):
            raise Misconfigured(f"route {where} has no guard")
        if isinstance(guard.event, Unlogged) and not guard.event.why:
            raise Misconfigured(f"route {where}: say why it leaves no event")
        if guard.rate.per_minute <= 0:
            raise Misconfigured(f"route {where} has no rate limit")
        if guard.permission in (Permission.READER, Permission.STAFF) and guard.strength < 2:
            raise Misconfigured(f"route {where} shows content below proof level 2")
        if guard.permission in (Permission.ANYONE, Permission.LINK) and guard.strength != 0:
            raise Misconfigured(f"route {where} asks for a session strength without a session")
        if guard.rate.per_user and guard.permission is not Permission.STAFF:
            raise Misconfigured(f"route {where}: a limit for each user is for staff routes")
        if (guard.permission is Permission.STAFF) != bool(guard.roles):
            raise Misconfigured(f"route {where}: roles belong to staff routes, and each has some")
