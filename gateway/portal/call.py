"""One request as a page's handler sees it, and the ways to answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import HTMLResponse, Response

from gateway.flow.inbox import Entered
from gateway.flow.trail import Origin
from gateway.flow.visit import Denial, Door
from gateway.portal import cookies
from gateway.portal.face import Face
from gateway.portal.render import words_of_state
from gateway.portal.roles import table
from gateway.share.opening import link_token
from gateway.share.portal import Session

if TYPE_CHECKING:
    from gateway.portal.app import PortalDeps
    from gateway.portal.render import Renderer


T = TypeVar("T")


class NoDoor(RuntimeError):
    """A handler asked for what its guard does not give it."""


@dataclass(slots=True)
class Call:
    """Filled in by `gateway.portal.door` before the handler runs: `door` behind a link, `session` behind a proof."""

    deps: PortalDeps
    renderer: Renderer
    files_pool: Executor
    face: Face
    origin: Origin
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    fields: Mapping[str, str]
    jar: cookies.Jar
    area: str = "portal"
    files: Mapping[str, bytes] = field(default_factory=dict)
    handle: str = ""
    link: Door | None = None
    open_inbox: Entered | None = None
    proved: Session | None = None

    @property
    def door(self) -> Door:
        """The valid link behind this request."""
        if self.link is None:
            raise NoDoor("this route's guard has no link")
        return self.link

    @property
    def inbox(self) -> Entered:
        """The open inbox behind this request."""
        if self.open_inbox is None:
            raise NoDoor("this route's guard has no inbox")
        return self.open_inbox

    @property
    def session(self) -> Session:
        """The live session behind this request."""
        if self.proved is None:
            raise NoDoor("this route's guard has no session")
        return self.proved

    def may(self, route: str) -> bool:
        """Whether this workforce member may use that staff route, named as in `roles.toml`: what is not theirs is not
        offered.
        """
        return table().may(self.session["role"], route)

    def once(self, what: str, deed: Callable[[], T], *asked: str) -> T:
        """A deed that a one-time code pays for; a form that this browser sends twice gets the first one's result."""
        origin = self.origin
        # Before the guard a handle proves nothing, and with it another session's form is another form.
        known = (what, origin.tenant, origin.visitor, self.handle, *asked)
        return self.deps.again.once(known, deed, lambda made: not isinstance(made, Denial))

    def now(self) -> datetime:
        """The portal's clock."""
        return self.deps.clock.now()

    @property
    def is_head(self) -> bool:
        """HEAD: the answer has no body, and nothing is released."""
        return self.origin.method == "HEAD"

    @property
    def plain_base(self) -> str:
        """`/m/<id>`: the address once the link secret is in its cookie; of a message in an inbox, its address there."""
        if self.door.row["kind"] == "inbox":
            return f"/inbox/messages/{cookies.short(self.door.grant)}"
        return f"/m/{cookies.short(self.door.grant)}"

    @property
    def base(self) -> str:
        """Where this message's forms go: with the token until the first POST has moved the secret to a cookie."""
        if self.door.row["kind"] == "inbox" or self.jar.links().get(self.door.grant) == self.door.secret:
            return self.plain_base
        return f"/m/{link_token(self.door.grant, self.door.secret)}"

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page of ours."""
        token = "" if self.is_head else cookies.form_token(self.jar.visitor(), self.handle)
        given = {"words_of_state": lambda state: words_of_state(state, self.face)} | values
        return HTMLResponse(self.renderer.page(self.face, template, token, **given), status_code=status)

    def problem(self, kind: str, status: int, **values: Any) -> Response:
        """A calm page with one next step. `kind` is a key under `portal.problem`."""
        given: dict[str, Any] = {"kind": kind, "when": "", "primary": None, "reference": ""} | values
        return self.page("problem.html", status, **given)

    def staff_problem(self, words: str, status: int) -> Response:
        """The same for staff, with the way back to their list."""
        return self.page("staff/problem.html", status, message=words)
