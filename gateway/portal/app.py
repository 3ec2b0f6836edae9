"""Builds the portal from parts handed in: every page with its guard, the outer layer around them.

Promises: a route without a guard, a template that does not compile or a tenant without a phone stops start-up.
"""

from __future__ import annotations

import importlib
import ipaddress
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.requests import Request
from starlette.routing import Route

from gateway.clock import Clock
from gateway.errors import Misconfigured
from gateway.flow.desk import StaffDesk
from gateway.flow.download import Downloads
from gateway.flow.inbox import InboxDesk
from gateway.flow.people import PeopleDesk
from gateway.flow.recall_report import RecallReports
from gateway.flow.resending import ResendDesk
from gateway.flow.sent import SentMail
from gateway.flow.trail import Origin
from gateway.flow.visit import Visits
from gateway.flow.ways import Ways
from gateway.portal import pages as pages_package
from gateway.portal.again import Again
from gateway.portal.audit_side import AuditSide
from gateway.portal.call import Call
from gateway.portal.cookies import Jar
from gateway.portal.door import endpoint
from gateway.portal.face import Face
from gateway.portal.guards import PAGES, Page, check, guarded
from gateway.portal.headers import Outer
from gateway.portal.limits import Limits, network_of
from gateway.portal.render import Renderer
from gateway.portal.roles import table
from gateway.sensitive import Sensitive

PAGE_THREADS = 16
FILE_THREADS = 4
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class PortalDeps:
    """What the portal is made of. `ready` says whether store, vault, log and keyholder answer, `room` whether the disk
    has room for what readers leave in the log.
    """

    faces: Sequence[Face]
    visits: Visits
    downloads: Downloads
    mail: SentMail
    recalls: RecallReports
    people: PeopleDesk
    desk: StaffDesk
    ways: Ways
    resends: ResendDesk
    inboxes: InboxDesk
    audit: AuditSide
    clock: Clock
    ready: Callable[[], bool]
    room: Callable[[], bool] = lambda: True
    trusted_proxies: Sequence[Network] = ()
    demo: bool = False
    limits: Limits = field(default_factory=Limits)
    again: Again = field(default_factory=Again)


class _Maker:
    """Makes a Call of a request."""

    def __init__(self, deps: PortalDeps, renderer: Renderer, files_pool: ThreadPoolExecutor) -> None:
        self._deps = deps
        self._renderer = renderer
        self._files_pool = files_pool
        self._faces = {face.host: face for face in deps.faces}

    def __call__(self, request: Request, form: dict[str, str]) -> Call:
        face = self._faces.get(request.headers.get("host", "").lower(), self._deps.faces[0])
        jar = Jar(request.cookies, secure=face.secure)
        ip = client_ip(
            request.client.host if request.client else "",
            # Some proxies add a field of their own below the client's: all of them are one list (RFC 9110 5.3).
            ",".join(request.headers.getlist("x-forwarded-for")),
            self._deps.trusted_proxies,
        )
        origin = Origin(
            tenant=face.tenant,
            request=self._deps.clock.new_id("req"),
            ip=Sensitive(ip),
            network=network_of(ip),
            agent=Sensitive(request.headers.get("user-agent", "")[:400]),
            visitor=jar.get("visitor"),
            method=request.method,
        )
        return Call(
            deps=self._deps,
            renderer=self._renderer,
            files_pool=self._files_pool,
            face=face,
            origin=origin,
            path={name: str(value) for name, value in request.path_params.items()},
            query=dict(request.query_params),
            form=form,
            fields=request.headers,
            jar=jar,
        )


def create(deps: PortalDeps) -> FastAPI:
    """The portal. Raises Misconfigured as the module says."""
    if not deps.faces:
        raise Misconfigured("the portal needs a tenant")
    for face in deps.faces:
        if not face.phone_link:
            raise Misconfigured("[tenant] phone is empty: pages tell people whom to call when something is wrong")
    renderer = Renderer(demo=deps.demo)
    renderer.load_all()
    pages_pool = ThreadPoolExecutor(PAGE_THREADS, "portal-page")
    files_pool = ThreadPoolExecutor(FILE_THREADS, "portal-file")
    app = FastAPI(title="Sealgate", docs_url=None, redoc_url=None, openapi_url=None)
    app.router.redirect_slashes = False
    make = _Maker(deps, renderer, files_pool)
    for one in discovered():
        methods = [*one.methods, "HEAD"] if "GET" in one.methods else list(one.methods)
        app.router.routes.append(Route(one.path, endpoint(one, make, pages_pool), methods=methods))
    check(app.router.routes)
    hosts: Mapping[str, Face] = {face.host: face for face in deps.faces}
    app.add_middleware(
        Outer, known=lambda host: host in hosts, secure=lambda host: host in hosts and hosts[host].secure
    )
    app.state.pools = (pages_pool, files_pool)
    return app


def discovered() -> list[Page]:
    """Every page of the folder `pages` with its guard, the one that takes any address last. Raises Misconfigured."""
    for module in pkgutil.iter_modules(pages_package.__path__):
        importlib.import_module(f"{pages_package.__name__}.{module.name}")
    return sorted(guarded(PAGES, table()), key=lambda one: "{rest:path}" in one.path)


def client_ip(peer: str, forwarded: str, trusted: Iterable[Network]) -> str:
    """Who is asking: the nearest address that is not a proxy of ours (RFC 7239 8.1: only trusted hops are believed)."""
    proxies = list(trusted)
    hops = [*(hop.strip() for hop in forwarded.split(",") if hop.strip()), peer]
    while len(hops) > 1 and _within(hops[-1], proxies):
        hops.pop()
    return hops[-1]


def _within(address: str, networks: Sequence[Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in networks)
