"""Pages about nobody: limits, the style sheet, robots, health."""

from __future__ import annotations

from functools import lru_cache

from starlette.responses import PlainTextResponse, Response

from gateway.assets import web_dir
from gateway.portal.call import Call
from gateway.portal.guards import Rate, Trace, Unlogged, page

FILES = {"portal.css": "text/css", "passkey.js": "text/javascript"}


@page(
    "/limits",
    "GET",
    trace=Trace(Unlogged("the same words for everybody"), Rate(120)),
)
def limits(call: Call) -> Response:
    """What we can and cannot protect."""
    return call.page("limits.html")


@page(
    "/static/{name}",
    "GET",
    trace=Trace(Unlogged("the style sheet says nothing about who reads"), Rate(600)),
)
def static(call: Call) -> Response:
    """The style sheet, and the one script."""
    name = call.path["name"]
    if name not in FILES:
        return call.problem("missing", 404)
    return Response(_file(name), media_type=FILES[name], headers={"cache-control": "public, max-age=3600"})


@page(
    "/robots.txt",
    "GET",
    trace=Trace(Unlogged("fixed words for robots"), Rate(120)),
)
def robots(call: Call) -> Response:
    """Keep out, all of you."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


@page(
    "/healthz",
    "GET",
    trace=Trace(Unlogged("asked every few seconds by machines"), Rate(600)),
)
def healthz(call: Call) -> Response:
    """Alive."""
    return PlainTextResponse("ok\n")


@page(
    "/readyz",
    "GET",
    trace=Trace(Unlogged("asked every few seconds by machines"), Rate(600)),
)
def readyz(call: Call) -> Response:
    """Ready to open something: store, vault, log and keyholder answer. No detail to strangers."""
    ready = call.deps.ready()
    return PlainTextResponse("ready\n" if ready else "not ready\n", status_code=200 if ready else 503)


@page(
    "/{rest:path}",
    "GET",
    "POST",
    trace=Trace(Unlogged("there is nothing here"), Rate(120)),
)
def nothing(call: Call) -> Response:
    """Every other address."""
    return call.problem("missing", 404)


@lru_cache(maxsize=4)
def _file(name: str) -> bytes:
    return (web_dir() / "static" / name).read_bytes()
