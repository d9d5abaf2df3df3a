"""The edge put together: Starlette's routing in front of one raw ASGI endpoint, and what must run beside it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from gateway.core.diagnosis import Suspect
from gateway.core.outgoing import Answer, Ask, Fetch, OutgoingError
from gateway.core.source import Secret, Source
from gateway.keep.ports import EventLog
from gateway.receive.appending import Appends
from gateway.receive.causes import Causes
from gateway.receive.clients import networks
from gateway.receive.endpoint import UNKNOWN, Endpoint, Equipment
from gateway.receive.entrance import Entrance, open_entrance
from gateway.receive.errands import Errands
from gateway.receive.feeds import AddressList, keep_fresh
from gateway.receive.keys import FETCHES_OF_A_CLIENT, Keys
from gateway.receive.limits import ClientRates, HeldBytes
from gateway.receive.meter import EdgeMeter
from gateway.receive.pairing import Pairings, Recompile
from gateway.receive.quarantine import Quarantine
from gateway.receive.quarantined import Bounds, Held
from gateway.receive.readmission import Readmission
from gateway.receive.rejections import Rejection, Rejections
from gateway.receive.responses import Reply
from gateway.receive.uses import SecretUses
from gateway.receive.visits import Visits

SuspectOf = Callable[[str, Mapping[str, tuple[Secret, ...]]], Suspect]
"""Returns what may explain a source's refusals, given the secrets that came at run time, by source."""

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
        kept: the folder below which secrets and address lists that came at run time, uses of secrets and the quarantine
            are kept, None for memory alone.
        quarantine: the sources whose unverified deliveries are kept, and how much of them.
        failed_rate: unverified deliveries a second of each client that are refused one by one, a minute's worth at
            once; of more, only their number is kept.
    """

    trusted_proxies: tuple[str, ...] = ()
    max_buffered: int = 256 * 2**20
    max_buffered_per_client: int = 64 * 2**20
    max_ids: int = 0
    remembered_bodies: int = 50_000
    rejections: Path | None = None
    kept: Path | None = None
    failed_rate: float = 1.0
    quarantine: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The running edge: its owner runs `keep_house` as a task until it is cancelled.

    Attributes:
        app: the ASGI application.
        deadline: the longest any source gives a request, in seconds from its first byte.
        pairings: opens sources for the secrets that providers send.
        readmission: tries deliveries in quarantine again.
    """

    app: ASGIApp
    deadline: float
    pairings: Pairings = field(repr=False)
    readmission: Readmission = field(repr=False)
    _endpoint: Endpoint = field(repr=False)
    _equipment: Equipment = field(repr=False)
    _entrances: Mapping[str, Entrance] = field(repr=False)
    _errands: Errands = field(repr=False)
    _fetch: Fetch = field(repr=False)
    _uses: SecretUses = field(repr=False)

    @property
    def inflight(self) -> int:
        """Deliveries being answered now."""
        return self._endpoint.inflight

    @property
    def remembered_ids(self) -> int:
        """Event ids remembered in memory: durable ones, and those in flight."""
        return self._equipment.appends.claims.remembered + self._equipment.appends.claims.undecided

    def key_ages(self) -> Mapping[str, float]:
        """Return the age in seconds of the oldest fetched key in use, of the sources that have some."""
        now = time.monotonic()
        return {name: each.keys.oldest(now) for name, each in self._entrances.items() if each.keys is not None}

    def address_list_ages(self) -> Mapping[str, float]:
        """Return the age in seconds of the provider's address list, of the sources that admit by one."""
        now = time.time()
        return {name: each.listed.age(now) for name, each in self._entrances.items() if each.listed is not None}

    def quarantined(self) -> Mapping[str, Held]:
        """Return how much is in quarantine, of the sources that have something there."""
        return self._equipment.quarantine.held()

    def secrets_used(self) -> Mapping[str, Mapping[str, float]]:
        """Return when secrets were last used, Unix time, by source and label."""
        return {name: self._uses.last(name) for name in self._entrances}

    def recent_rejections(self) -> tuple[Rejection, ...]:
        """Return the refused deliveries still in memory, oldest first."""
        return self._equipment.rejections.recent()

    def refused_by_server(self, reason: str, reply: Reply, *, client: str, arrival: tuple[float, int]) -> bytes:
        """Count a request that the server refused before it was one; see `Endpoint.refused_by_server`."""
        return self._endpoint.refused_by_server(reason, reply, client=client, arrival=arrival)

    async def tick(self) -> None:
        """Release the claims undecided for too long, and write down what was refused."""
        self._equipment.appends.expire(time.monotonic())
        await self._equipment.rejections.flush()

    async def keep_house(self) -> None:
        """Tick each second, and own what runs beside; cancelled, end that and tick once more, to forget no refusal."""
        self._errands.start(self.pairings.watch())
        for listed in {each.listed for each in self._entrances.values() if each.listed is not None}:
            self._errands.start(keep_fresh(listed, self._fetch))
        self._errands.start(self._equipment.quarantine.run())
        self._errands.start(self._uses.run())
        try:
            while True:
                await asyncio.sleep(_TICK)
                await self.tick()
        finally:
            await self._errands.close()
            await self._equipment.rejections.flush()
            await self._equipment.quarantine.close()
            await self._uses.flush()


def edge_app(  # noqa: PLR0913 - what wiring hands over, by name
    sources: Mapping[str, Source],
    log: EventLog,
    meter: EdgeMeter,
    *,
    options: EdgeOptions | None = None,
    fetch: Fetch | None = None,
    recompile: Recompile | None = None,
    suspect_of: SuspectOf | None = None,
) -> Edge:
    """Build the edge for these sources.

    Args:
        sources: the sources, by name.
        log: where events become durable.
        meter: counts.
        options: what the edge may take and remember.
        fetch: runs its own requests; without it they fail.
        recompile: makes a source with a secret that came at run time; without it a source that pairs takes none.
        suspect_of: tells what may explain a refusal; without it no cause is worked out.

    Raises:
        ValueError: an address among the trusted proxies or `allow_ips` is none.
    """
    options, fetch, errands = options or EdgeOptions(), fetch or _no_fetch, Errands()
    entrances = _entrances(sources, meter, fetch, errands, options)
    pairings = _pairings(entrances, recompile, errands, options)
    rejections = Rejections(options.rejections)
    suspect = None if suspect_of is None else lambda name: suspect_of(name, pairings.in_use())
    causes = Causes(suspect, rejections.explain, errands)
    appends, visits = Appends(log, meter, max_ids=options.max_ids), Visits(fetch, errands)
    equipment = _equipment(
        meter, options, appends=appends, rejections=rejections, causes=causes, pairings=pairings, visits=visits
    )
    endpoint = Endpoint(entrances, equipment)
    # The router's own stack, without Starlette() around it: its two middlewares have nothing to do here.
    router = Router([Route("/webhooks/{source}", endpoint)], redirect_slashes=False, default=endpoint)
    return Edge(
        app=router.middleware_stack,
        deadline=max((source.deadline for source in sources.values()), default=_DEADLINE),
        pairings=pairings,
        readmission=Readmission(options.kept, entrances, appends, causes),
        _endpoint=endpoint,
        _equipment=equipment,
        _entrances=entrances,
        _errands=errands,
        _fetch=fetch,
        _uses=_uses(entrances, suspect, options),
    )


def _pairings(
    entrances: dict[str, Entrance], recompile: Recompile | None, errands: Errands, options: EdgeOptions
) -> Pairings:
    def activate(name: str, source: Source) -> None:
        entrances[name] = replace(entrances[name], source=source)

    names = [name for name, entrance in entrances.items() if entrance.source.pairs and recompile is not None]
    pairings = Pairings(names, options.kept, recompile or _no_recompile, activate, errands)
    pairings.load()
    return pairings


def _equipment(  # noqa: PLR0913 - each is one thing of the edge
    meter: EdgeMeter,
    options: EdgeOptions,
    *,
    appends: Appends,
    rejections: Rejections,
    causes: Causes,
    pairings: Pairings,
    visits: Visits,
) -> Equipment:
    return Equipment(
        appends=appends,
        rejections=rejections,
        causes=causes,
        quarantine=Quarantine(options.kept, options.quarantine, meter),
        unknown=meter.source(UNKNOWN),
        held=HeldBytes(in_all=options.max_buffered, per_client=options.max_buffered_per_client),
        failures=ClientRates(options.failed_rate) if options.failed_rate else None,
        trusted_proxies=networks(options.trusted_proxies),
        pairings=pairings,
        visits=visits,
    )


def _uses(
    entrances: Mapping[str, Entrance], suspect: Callable[[str], Suspect] | None, options: EdgeOptions
) -> SecretUses:
    noted = {name: entrance.uses for name, entrance in entrances.items()}
    return SecretUses(options.kept, noted, partial(_texts, entrances, suspect))


def _texts(entrances: Mapping[str, Entrance], suspect: Callable[[str], Suspect] | None, name: str) -> Mapping[str, str]:
    """Return the texts of a source's secrets in use, by label; empty for what is no secret, or not known."""
    known = () if suspect is None else suspect(name).secrets
    return dict.fromkeys(entrances[name].source.labels, "") | {secret.label: secret.text for secret in known}


def _entrances(
    sources: Mapping[str, Source], meter: EdgeMeter, fetch: Fetch, errands: Errands, options: EdgeOptions
) -> dict[str, Entrance]:
    share = max(options.remembered_bodies // max(len(sources), 1), 1)
    now = time.monotonic()
    clients = ClientRates(FETCHES_OF_A_CLIENT)
    lists = {
        source.provider: AddressList(source.provider, source.feed, options.kept)
        for source in sources.values()
        if source.feed is not None
    }
    opened = {name: open_entrance(source, meter, now=now, remembered_bodies=share) for name, source in sources.items()}
    return {
        name: replace(
            entrance,
            listed=None if entrance.source.feed is None else lists[entrance.source.provider],
            keys=None
            if entrance.source.key_request is None
            else Keys(entrance.source, fetch, errands, entrance.meter, clients),
        )
        for name, entrance in opened.items()
    }


async def _no_fetch(ask: Ask, seconds: float) -> Answer:  # noqa: ARG001 - a `Fetch`
    raise OutgoingError("this edge makes no requests of its own")


def _no_recompile(name: str, secrets: tuple[Secret, ...]) -> Source:  # noqa: ARG001 - a `Recompile`
    raise ValueError("this edge takes no secrets at run time")
