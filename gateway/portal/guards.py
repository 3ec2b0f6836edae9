"""A guard for every route: who may ask, with how strong a session, what the log keeps of it, how often without proof.

Who and how strong come from `roles.toml`; what the log keeps and how often is said beside the handler.
Promises: a route without a whole guard stops start-up (`guarded`, `check`), and so does a line of the table without a
route; enforcement is in `gateway.portal.door`, from these values and nothing else. 45 CFR 164.312(a)(1), 164.312(d).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gateway.audit.event import Action
from gateway.errors import Misconfigured
from gateway.portal.roles import Line, Table, same

if TYPE_CHECKING:
    from starlette.responses import Response

    from gateway.portal.call import Call


class Permission(StrEnum):
    """Who may ask."""

    ANYONE = "anyone"
    LINK = "link"  # whoever shows a valid link secret
    READER = "reader"  # and has a session for that message
    INBOX = "inbox"  # a recipient with an inbox's session
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
class Trace:
    """What the log keeps of a route, and how often strangers may ask: said beside the handler."""

    event: Action | Unlogged
    rate: Rate


@dataclass(frozen=True, slots=True)
class Guard:
    """All are said for each route. `strength` is the least proof level of the session, 0 where there is none."""

    permission: Permission
    strength: int
    event: Action | Unlogged
    rate: Rate
    roles: frozenset[str] = frozenset()


Handler = Callable[["Call"], "Response"]


@dataclass(frozen=True, slots=True)
class Page:
    """One route: methods, path, trace and the ordinary function that answers.

    `upload_bytes` is how long a form with files may be (RFC 7578); 0 where files are not taken. `guard` is made from
    the table when the portal is built.
    """

    methods: tuple[str, ...]
    path: str
    trace: Trace
    handler: Handler
    upload_bytes: int = 0
    guard: Guard | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """How the table names this route, one for each method."""
        return tuple(f"{method} {self.path}" for method in self.methods)


PAGES: list[Page] = []


def page(path: str, *methods: str, trace: Trace, upload_bytes: int = 0) -> Callable[[Handler], Handler]:
    """Declare a route. GET answers HEAD as well; the handler sees which it is."""

    def take(handler: Handler) -> Handler:
        PAGES.append(Page(tuple(methods), path, trace, handler, upload_bytes))
        return handler

    return take


def guarded(pages: Iterable[Page], table: Table) -> list[Page]:
    """The pages with their guards. Raises Misconfigured for a page without a line and for a line without a page."""
    found = list(pages)
    same("route", table.routes, [name for one in found for name in one.names])
    return [replace(one, guard=_guard(one, [table.routes[name] for name in one.names])) for one in found]


def _guard(page: Page, lines: list[Line]) -> Guard:
    if any(one != lines[0] for one in lines):
        raise Misconfigured(f"roles.toml: the methods of {page.path} are one route and need equal lines")
    line = lines[0]
    if line.party == "operator":
        raise Misconfigured(f"roles.toml: {page.names[0]}: an operator has no pages")
    permission = Permission(line.party) if line.party else Permission.STAFF
    return Guard(permission, line.proof, page.trace.event, page.trace.rate, line.roles)


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
        if guard.permission in (Permission.READER, Permission.INBOX, Permission.STAFF) and guard.strength < 2:
            raise Misconfigured(f"route {where} shows content below proof level 2")
        if guard.permission in (Permission.ANYONE, Permission.LINK) and guard.strength != 0:
            raise Misconfigured(f"route {where} asks for a session strength without a session")
        if guard.rate.per_user and guard.permission is not Permission.STAFF:
            raise Misconfigured(f"route {where}: a limit for each user is for staff routes")
        if (guard.permission is Permission.STAFF) != bool(guard.roles):
            raise Misconfigured(f"route {where}: roles belong to staff routes, and each has some")
