"""`python -m gateway.bench.fileserver PORT FILE`: one file from memory and from disk, nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

PLAIN_TYPE = "application/octet-stream"


def application(place: Path) -> Starlette:
    """Both routes over one file; of ranges, memory knows the one form that the benchmark asks for."""
    data = place.read_bytes()

    async def memory(request: Request) -> Response:
        if request.headers.get("range") == "bytes=0-1023":
            return Response(data[:1024], 206, media_type=PLAIN_TYPE)
        return Response(data, media_type=PLAIN_TYPE)

    async def disk(request: Request) -> Response:
        return FileResponse(place, media_type=PLAIN_TYPE)

    return Starlette(routes=[Route("/memory", memory), Route("/disk", disk)])


if __name__ == "__main__":
    uvicorn.run(
        application(Path(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False,
        loop="uvloop", http="httptools", ws="none", lifespan="off",
    )  # fmt: skip
