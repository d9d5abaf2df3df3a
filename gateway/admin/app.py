"""The admin port: `/metrics`, `/livez`, `/readyz`. It only reads, and shows all processes of the one command.

Every answer comes within its deadline, whatever the processes do: a scrape that hangs tells nobody anything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin.health import Readiness
from gateway.admin.merge import Exposition, merge

__all__ = ["Readiness", "admin_app"]

Collect = Callable[[], Awaitable[Sequence[tuple[str, bytes | None]]]]
Ready = Callable[[], Awaitable[Readiness]]

_UNCACHED = {"cache-control": "no-store"}


def admin_app(*, collect: Collect, readiness: Ready, deadline: float = 5.0) -> Starlette:
    """Return the admin port's application.

    Args:
        collect: asks each process for its metrics, format 0.0.4; None for one that did not answer.
        readiness: assesses the gateway.
        deadline: seconds that either may take before the answer is 503.
    """
    routes = [
        Route("/metrics", partial(_metrics, collect, deadline)),
        Route("/readyz", partial(_ready, readiness, deadline)),
        Route("/livez", _live),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app


async def _metrics(collect: Collect, deadline: float, request: Request) -> Response:
    try:
        async with asyncio.timeout(deadline):
            exposition = merge(await collect())
    except TimeoutError:
        return PlainTextResponse("the processes did not answer in time\n", 503, _UNCACHED)
    return _rendered(exposition, request.headers.get("accept", ""))


def _rendered(exposition: Exposition, accept: str) -> Response:
    # prometheus_client's choose_encoder raises on a version that is no number, and echoes the version it was sent.
    if "application/openmetrics-text" in accept:
        content = openmetrics.generate_latest(exposition.for_openmetrics())  # type: ignore[no-untyped-call]
        return Response(content, headers=_UNCACHED | {"content-type": openmetrics.CONTENT_TYPE_LATEST})
    return Response(generate_latest(exposition), headers=_UNCACHED | {"content-type": CONTENT_TYPE_PLAIN_0_0_4})


async def _ready(readiness: Ready, deadline: float, request: Request) -> Response:
    try:
        async with asyncio.timeout(deadline):
            found = await readiness()
    except TimeoutError:
        found = Readiness(ready=False, parts={"supervisor": "no answer in time"})
    content: dict[str, object] = {"status": "ready" if found.ready else "not ready"}
    if "verbose" in request.query_params:
        content["parts"] = dict(found.parts)
    return JSONResponse(content, 200 if found.ready else 503, _UNCACHED)


async def _live(_: Request) -> Response:
    return JSONResponse({"status": "ok"}, headers=_UNCACHED)
