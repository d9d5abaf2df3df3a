"""What the commands look into, and change, on a cluster: from any machine, whether workers run or not.

What a command changes is a row in Postgres, which running workers notice within about a second.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from typing import Any, NamedTuple, TypeVar

from gateway.config.settings import Settings
from gateway.handle.meter import RouterSample
from gateway.keep.kafka import registering
from gateway.keep.kafka.client import Cluster
from gateway.keep.kafka.topics import events_topic
from gateway.keep.ports import Filter, Position, Replay, Stored
from gateway.keep.postgres import registration, state_reader
from gateway.keep.postgres.catalogue import PostgresCatalogue
from gateway.keep.postgres.connection import connect
from gateway.keep.postgres.offline import RouterOrders, ordering
from gateway.keep.postgres.questions import Connection
from gateway.process import operations
from gateway.wiring.cluster import cluster_of, group_of, kafka_of, topics_of
from gateway.wiring.postgres import dsn_of, pool_of

T = TypeVar("T")
Positions = Mapping[int, int]

_PROCESS = "command"
_LOOK_EVERY = 0.5


def catalogue(settings: Settings) -> PostgresCatalogue:
    """Return what is stored, as far as it is indexed; the log itself is asked for bodies alone.

    Raises:
        DependencyError: Postgres cannot be reached.
    """
    return PostgresCatalogue(_connect(settings), _body_of(settings))


def known_routers(settings: Settings) -> Sequence[str]:
    """Return the routers that have state, configured or not."""
    with closing(_connect(settings)) as connection:
        return state_reader.routers(connection)


def is_running(settings: Settings, router: str) -> bool:
    """Return whether a worker of the router was seen just now, on any machine."""
    with closing(_connect(settings)) as connection:
        return state_reader.summary(connection, router).running


def forget_router(settings: Settings, router: str) -> None:
    """Remove all state of a router that does not run. Its handlers' own tables stay, as does its group on the cluster.

    Raises:
        DependencyError: its worker runs, or Postgres cannot be reached.
    """
    asyncio.run(_forget(settings, router))


async def _forget(settings: Settings, router: str) -> None:
    async with AsyncExitStack() as held:
        await registration.forget(await pool_of(settings, _PROCESS, held, most=1), router)


def router_status(settings: Settings, router: str) -> RouterSample:
    """Return a router's numbers: the state's from Postgres, the log's from the cluster.

    Raises:
        DependencyError: one of them cannot be asked.
    """
    with closing(_connect(settings)) as connection:
        kept = state_reader.summary(connection, router)
        noted = state_reader.cursors(connection, router)
        told = state_reader.gaps(connection, router)
        behind = asyncio.run(_behind(settings, router, noted, told)) if kept.registered else Behind()
        oldest_us = state_reader.oldest_received_after(connection, behind.places)
    return RouterSample(
        backlog_events=behind.events,
        oldest_unprocessed_seconds=0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6),
        retries_parked=kept.parked,
        dead_letters=kept.dead,
        gap_events=kept.gap + behind.gap,
        paused=kept.paused,
    )


class Behind(NamedTuple):
    """How many events come after `places`, and how many before them the log let go that no worker has counted yet."""

    events: int = 0
    gap: int = 0
    places: Mapping[int, int] = {}


async def _behind(settings: Settings, router: str, noted: Positions, told: Positions) -> Behind:
    """Return what a router has before it.

    Args:
        settings: of the gateway.
        router: the router.
        noted: the copy of its positions, which may be older than its group's.
        told: up to where its workers have counted gaps already.
    """
    cluster, topics = _cluster(settings), topics_of(settings)
    before, last, finished = await asyncio.gather(
        registering.begin_positions(cluster, topics),
        registering.end_positions(cluster, topics),
        registering.committed_positions(cluster, group_of(settings, router), topics),
    )
    return behind(before, last, finished, noted, told)


def behind(before: Positions, last: Positions, *finished: Positions) -> Behind:
    """Return what comes after the finished positions, of which the later one counts.

    Args:
        before: the offset before the first of each partition.
        last: the last one.
        finished: up to where all is done, or counted as lost, by as many as know of it; a partition that none knows
            begins at its first.
    """
    gap, places = 0, {}
    for partition, start in before.items():
        done = max((known[partition] for known in finished if partition in known), default=start)
        gap += max(0, start - done)
        places[partition] = max(start, done)
    events = sum(max(0, offset - places.get(partition, offset)) for partition, offset in last.items())
    return Behind(events, gap, places)


def operate(settings: Settings, router: str, op: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Run one operation of a router, whose workers, if any run, notice it.

    Raises:
        DependencyError: Postgres or the cluster cannot be asked, or the router was never registered.
    """
    if op == "replay":
        yield from _replayed(settings, router, **arguments)
        return

    async def operate(orders: RouterOrders) -> Any:
        return await operations.of_state(orders)[op](**arguments)

    yield "result", asyncio.run(_ordered(settings, router, operate))


def _replayed(settings: Settings, router: str, *, id: str, **arguments: Any) -> Iterator[tuple[str, Any]]:  # noqa: A002 - the wire's word
    where, options = operations.replay_arguments(**arguments)
    upto = _ends(settings, where)
    with closing(catalogue(settings)) as stored:
        total = stored.count(where)
    ordered = Replay(id=id, where=where, upto=upto, total=total, **options)
    asyncio.run(_ordered(settings, router, lambda orders: orders.replays.create(ordered)))
    with closing(_connect(settings)) as connection:
        yield from followed(connection, router, ordered)


def followed(connection: Connection, router: str, ordered: Replay) -> Iterator[tuple[str, Any]]:
    """Yield an ordered replay's progress until it is over, or no worker runs that could go on with it."""
    while True:
        found = state_reader.replay(connection, router, ordered.id)
        if found is None or found.state == "done":
            yield "result", _progress(ordered, "done", ordered.total if found is None else found.handed)
            return
        if found.state == "cancelled":
            yield "result", _progress(ordered, "cancelled", found.handed)
            return
        if not state_reader.summary(connection, router).running:
            yield "result", _progress(ordered, "waiting", found.handed)
            return
        yield "progress", _progress(ordered, "running", found.handed)
        time.sleep(_LOOK_EVERY)


def _progress(replay: Replay, state: str, handed: int) -> dict[str, Any]:
    return {"id": replay.id, "state": state, "handed": handed, "total": replay.total}


async def _ordered(settings: Settings, router: str, order: Callable[[RouterOrders], Awaitable[T]]) -> T:
    async with ordering(dsn_of(settings), router=router) as orders:
        return await order(orders)


def _ends(settings: Settings, where: Filter) -> Mapping[int, int]:
    """Return the last offset of each partition that can hold what is asked for."""
    topics = {source: topic for source, topic in topics_of(settings).items() if where.source in (None, source)}
    return asyncio.run(registering.end_positions(_cluster(settings), topics))


def _body_of(settings: Settings) -> Callable[[Position, str], Stored | None]:
    def body_of(position: Position, source: str) -> Stored | None:
        # Its source need not be configured any more.
        topics = {source: events_topic(kafka_of(settings).prefix, source)}
        return registering.read_one(_cluster(settings), topics, position)

    return body_of


def _connect(settings: Settings) -> Connection:
    return connect(dsn_of(settings), name=_PROCESS)


def _cluster(settings: Settings) -> Cluster:
    # Its remarks on each failed try would go to stderr beside our one message.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    return cluster_of(settings, process=_PROCESS)
