"""The edge put together: Starlette's routing in front of one raw ASGI endpoint, and what must run beside it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from gateway.core.source import Source
from gateway.keep.ports import EventLog
from gateway.receive.appending import Appends
from gateway.receive.clients import networks
from gateway.receive.endpoint import UNKNOWN, Endpoint
from gateway.receive.entrance import open_entrance
from gateway.receive.limits import HeldBytes
from gateway.receive.meter import EdgeMeter
from gateway.receive.rejections import Rejection, Rejections
from gateway.receive.responses import Reply

_TICK = 1.0
_DEADLINE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeOptions:
    """What the edge may take and remember.

    Attributes:
        trusted_proxies: addresses and CIDR ranges whose X-Forwarded-For is believed.
        max_buffered: bytes of unverified bodies held in all.
        max_buffered_per_client: the same of one client.
        max_ids: durable ids remembered in memory; 0 where the log itself knows them (the embedded one does).
        remembered_bodies: digests kept over all sources to notice a body under a second id.
        rejections: the folder of the rejections' file, None to keep them in memory alone.
    """

    trusted_proxies: tuple[str, ...] = ()
    max_buffered: int = 256 * 2**20
    max_buffered_per_client: int = 64 * 2**20
    max_ids: int = 0
    remembered_bodies: int = 50_000
    rejections: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The running edge: its owner runs `keep_house` as a task until it is cancelled.

    Attributes:
        app: the ASGI application.
        deadline: the longest any source gives a request, in seconds from its first byte.
    """

    app: ASGIApp
    deadline: float
    _endpoint: Endpoint = field(repr=False)
    _appends: Appends = field(repr=False)
    _rejections: Rejections = field(repr=False)

    @property
    def inflight(self) -> int:
        """Deliveries being answered now."""
        return self._endpoint.inflight

    @property
    def remembered_ids(self) -> int:
        """Event ids remembered in memory: durable ones, and those in flight."""
        return self._appends.claims.remembered + self._appends.claims.undecided

    def recent_rejections(self) -> tuple[Rejection, ...]:
        """Return the refused deliveries still in memory, oldest first."""
        return self._rejections.recent()

    def refused_by_server(self, reason: str, reply: Reply, *, client: str, arrival: tuple[float, int]) -> bytes:
        """Count a request that the server refused before it was one; see `Endpoint.refused_by_server`."""
        return self._endpoint.refused_by_server(reason, reply, client=client, arrival=arrival)

    async def tick(self) -> None:
        """Release the claims undecided for too long, and write down what was refused."""
        self._appends.expire(time.monotonic())
        await self._rejections.flush()

    async def keep_house(self) -> None:
        """Tick each second; cancelled, tick once more so that no refusal is forgotten."""
        try:
            while True:
                await asyncio.sleep(_TICK)
                await self.tick()
        finally:
            await self._rejections.flush()


def edge_app(
    sources: Mapping[str, Source], log: EventLog, meter: EdgeMeter, *, options: EdgeOptions | None = None
) -> Edge:
    """Build the edge for these sources.

    Raises:
        ValueError: an address among the trusted proxies or `allow_ips` is none.
    """
    options = options or EdgeOptions()
    share = max(options.remembered_bodies // max(len(sources), 1), 1)
    now = time.monotonic()
    entrances = {
        name: open_entrance(source, meter, now=now, remembered_bodies=share) for name, source in sources.items()
    }
    appends = Appends(log, meter, max_ids=options.max_ids)
    rejections = Rejections(options.rejections)
    endpoint = Endpoint(
        entrances,
        appends,
        rejections,
        unknown=meter.source(UNKNOWN),
        held=HeldBytes(in_all=options.max_buffered, per_client=options.max_buffered_per_client),
        trusted_proxies=networks(options.trusted_proxies),
    )
    # The router's own stack, without Starlette() around it: its two middlewares have nothing to do here.
    router = Router([Route("/webhooks/{source}", endpoint)], redirect_slashes=False, default=endpoint)
    deadline = max((source.deadline for source in sources.values()), default=_DEADLINE)
    return Edge(
        app=router.middleware_stack, deadline=deadline, _endpoint=endpoint, _appends=appends, _rejections=rejections
    )
