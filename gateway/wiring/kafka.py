"""The Kafka engine put together: edges and their log, workers and their state in Postgres, the indexer."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from socket import socket

from gateway.admin.edge import EdgeMetrics, EdgeSample
from gateway.admin.indexer import IndexMetrics, IndexSample
from gateway.api import Router
from gateway.config.plugins import import_router, import_routers
from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.handle.calls import wall_clock_us
from gateway.handle.equipment import Ports
from gateway.handle.indexing import Indexer
from gateway.keep.kafka import registering
from gateway.keep.kafka.client import client_arguments
from gateway.keep.kafka.feed import SeenFeed
from gateway.keep.kafka.history import KafkaHistory
from gateway.keep.kafka.lanes import LaneOptions
from gateway.keep.kafka.log import Destination, KafkaLog, KafkaLogOptions
from gateway.keep.kafka.producer import Producer
from gateway.keep.kafka.seen import Seen
from gateway.keep.kafka.subscription import KafkaSubscription
from gateway.keep.kafka.topics import seen_topic
from gateway.keep.ports import EventLog
from gateway.keep.postgres.index import PostgresIndex
from gateway.keep.postgres.registration import register, registered
from gateway.keep.postgres.state import PostgresState
from gateway.process import operations
from gateway.process.server import serve
from gateway.receive.app import Edge
from gateway.receive.spool import Spool
from gateway.wiring.cluster import (
    INDEX_GROUP,
    INDEXER,
    check_topics,
    cluster_of,
    group_of,
    instance_of,
    kafka_of,
    look_at_topics,
    membership_of,
    plans_of,
    topics_of,
)
from gateway.wiring.outgoing import Outgoing, outside_of
from gateway.wiring.postgres import STATE_CONNECTIONS, open_store, pool_of, verify
from gateway.wiring.running import control, drain_when, edge_of, ended, told_by, unless, worker_of
from gateway.wiring.sources import sources
from gateway.wiring.spooling import open_spools

log = logging.getLogger("gateway.process")

# So that the first deliveries after a start are not refused for want of a connection that takes a moment.
_CONNECT_SECONDS = 5.0
# With a spool none is refused; to wait for long would only keep senders waiting.
_CONNECT_SECONDS_WITH_A_SPOOL = 1.0


def prepare(settings: Settings, *, edge: bool, routers: Sequence[str]) -> None:
    """Check routers, topics and store, and register new routers, before anything is served.

    An edge alone starts without the cluster, too: it answers 503 until that is there.

    Raises:
        PluginError: a router cannot be imported, or does not fit the configuration.
        ConfigError: a topic is not as it must be.
        DependencyError: cluster or store cannot be reached, or the store lacks its tables.
    """
    chosen = tuple(router for router in settings.routers if router.name in routers)
    imported = import_routers(replace(settings, routers=chosen))
    asyncio.run(_check_topics(settings, needed=not edge))
    if edge and not routers:
        return
    verify(settings)
    asyncio.run(_register(settings, tuple(imported.values())))


async def _check_topics(settings: Settings, *, needed: bool) -> None:
    if needed:
        await check_topics(settings, "supervisor")
        return
    try:  # before the port is open: who waits for a cluster that is not there refuses connections meanwhile
        await check_topics(settings, "supervisor", deadline=_CONNECT_SECONDS)
    except DependencyError as error:
        log.warning("kafka.unchecked", extra={"cause": str(error)})


async def _register(settings: Settings, routers: Sequence[Router]) -> None:
    async with AsyncExitStack() as held:
        pool = await pool_of(settings, "register", held, most=1)
        for router in routers:
            if not await registered(pool, router.name):
                await register(pool, router.name, partial(_begin, settings, router), wall_clock_us())


async def _begin(settings: Settings, router: Router) -> Mapping[int, int]:
    """Return where a new router starts, noted for its group, which may have positions of a forgotten namesake."""
    cluster, topics = cluster_of(settings, process="register"), topics_of(settings)
    find = registering.end_positions if router.start == "latest" else registering.begin_positions
    positions = await find(cluster, topics)
    await registering.commit_positions(cluster, group_of(settings, router.name), topics, positions)
    return positions


# The edge


async def run_edge(
    settings: Settings, process: str, sockets: Sequence[socket], drain: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Serve deliveries until `drain` is set: stop accepting, answer what is held, then close the log.

    Raises:
        PoisonedError: an I/O error on a commit of the spool; the process must end.
    """
    compiled = sources(settings)
    poisoned = asyncio.Event()
    async with AsyncExitStack() as held:
        seen, feed, direct = await _open_log(settings, process, held)
        place = (int(process.partition(":")[2] or 1), len(sockets))
        if place[0] == 1:
            held.push_async_callback(ended, asyncio.create_task(look_at_topics(settings, process)))
        spools: Sequence[Spool] = ()
        if kafka_of(settings).spool is not None:
            spools = await open_spools(settings, place, compiled, direct, poisoned.set, held)
        chosen: EventLog = spools[0] if spools else direct

        def sample() -> EdgeSample:
            found = _edge_sample(settings, chosen, edge, spools)
            return replace(found, dedupe_ids=edge.remembered_ids + len(seen), dedupe_lag_seconds=feed.lag_seconds)

        metrics = EdgeMetrics(compiled, sample)
        outgoing = Outgoing()
        held.push_async_callback(outgoing.close)
        edge = edge_of(settings, compiled, chosen, metrics, outgoing)
        held.push_async_callback(ended, asyncio.create_task(edge.keep_house()))
        await control(
            held,
            settings,
            process,
            operations.of_edge(chosen, told_by(process, metrics), edge.pairings, edge.readmission),
        )
        serving = serve(edge, sockets=sockets, settings=settings.server, drain=drain, started=ready)
        await unless(poisoned, serving)


async def _open_log(settings: Settings, process: str, held: AsyncExitStack) -> tuple[Seen, SeenFeed, KafkaLog]:
    """Open the log, its memory and what feeds that; they end in the order: log, feed."""
    compiled, kafka = sources(settings), kafka_of(settings)
    arguments = client_arguments(cluster_of(settings, process=process))

    def make_driver() -> Producer:
        return Producer(arguments)

    seen = Seen(kafka.dedupe_max_ids)
    feed = SeenFeed(seen, arguments, make_driver, topic=seen_topic(kafka.prefix), warm=kafka.dedupe_warm)
    feeding = asyncio.create_task(feed.run())
    held.push_async_callback(ended, feeding)
    held.push_async_callback(feed.close)
    topics = topics_of(settings)
    limits = {plan.name: plan.max_message_bytes for plan in plans_of(settings)}
    options = KafkaLogOptions(
        destinations={
            source: Destination(topic=topic, max_message_bytes=limits[topic]) for source, topic in topics.items()
        },
        lanes=LaneOptions(
            max_queued_events=settings.log.max_queued_events,
            max_queued_bytes=settings.log.max_queued_bytes,
            deadline=max(source.deadline for source in compiled.values()),
            in_order=kafka.spool is not None,
        ),
    )
    opened = KafkaLog(options, make_driver, seen, feed.note)
    held.push_async_callback(opened.close)
    await opened.connected(_CONNECT_SECONDS if kafka.spool is None else _CONNECT_SECONDS_WITH_A_SPOOL)
    return seen, feed, opened


def _edge_sample(settings: Settings, event_log: EventLog, edge: Edge, spools: Sequence[Spool]) -> EdgeSample:
    sample = EdgeSample(
        health=event_log.health(),
        inflight_deliveries=edge.inflight,
        free_bytes=None,
        stored=False,
        spool_events=None,
        spool_oldest_seconds=None,
        spool_held_events=None,
        spool_set_aside_events=None,
        key_ages=edge.key_ages(),
        address_list_ages=edge.address_list_ages(),
        quarantined=edge.quarantined(),
        secrets_used=edge.secrets_used(),
    )
    folder = kafka_of(settings).spool
    if folder is None:
        return sample
    disk = os.statvfs(folder)
    return replace(
        sample,
        free_bytes=disk.f_bavail * disk.f_frsize,
        spool_events=sum(spool.backlog.events for spool in spools),
        spool_oldest_seconds=max((spool.backlog.oldest_seconds for spool in spools), default=0.0),
        spool_held_events=sum(spool.held for spool in spools),
        spool_set_aside_events=sum(spool.aside for spool in spools),
    )


# Workers and the indexer


async def run_worker(settings: Settings, name: str, drain: asyncio.Event, ready: Callable[[], None]) -> None:
    """Run one router's handlers until `drain` is set and what runs has ended.

    Raises:
        PluginError: the router cannot be imported, or its schema is refused.
        PoisonedError: the client of Kafka stands still; the process must end.
        DependencyError: Postgres cannot be reached at the start, or a position is beyond its partition's end.
    """
    configured = next(router for router in settings.routers if router.name == name)
    router = import_router(configured)
    process = f"worker:{name}"
    async with AsyncExitStack() as held:
        ports = await _ports(settings, router, held)
        worker, metrics = worker_of(router, ports, settings, configured.concurrency, outside_of(settings, held))
        await control(held, settings, process, operations.of_process(told_by(process, metrics)))
        draining = asyncio.create_task(drain_when(drain, worker.drain, settings.server.drain))
        held.push_async_callback(ended, draining)
        ready()
        await worker.run()


async def run_indexer(settings: Settings, drain: asyncio.Event, ready: Callable[[], None]) -> None:
    """Write the metadata of stored events into the store until `drain` is set.

    Raises:
        PoisonedError: the client of Kafka stands still; the process must end.
    """
    async with AsyncExitStack() as held:
        pool = await pool_of(settings, INDEXER, held)
        cluster = cluster_of(settings, process=INDEXER)
        subscription = KafkaSubscription(cluster, membership_of(settings, INDEX_GROUP), now_us=wall_clock_us)
        held.push_async_callback(subscription.close)
        indexer = Indexer(subscription, PostgresIndex(pool), retention=settings.log.retention)

        def sample() -> IndexSample:
            backlog = indexer.sample()
            return IndexSample(backlog_events=backlog.events, lag_seconds=backlog.oldest_seconds)

        await control(held, settings, INDEXER, operations.of_process(told_by(INDEXER, IndexMetrics(sample))))
        draining = asyncio.create_task(drain_when(drain, indexer.drain, settings.server.drain))
        held.push_async_callback(ended, draining)
        ready()
        await indexer.run()


async def _ports(settings: Settings, router: Router, held: AsyncExitStack) -> Ports:
    """Open what a worker works with; it ends in the order: history, subscription, store, state."""
    name = router.name
    process = f"worker:{name}"
    cluster = cluster_of(settings, process=process)
    # A pool of its own: handlers that hold their transactions must not keep retries and pauses waiting.
    pool = await pool_of(settings, f"{process} state", held, most=STATE_CONNECTIONS)
    strict = [each for handler in router.handlers if handler.order == "strict" for each in handler.names]
    state = await PostgresState.open(
        pool, router=name, instance=instance_of(settings, name), now_us=wall_clock_us, strict=strict
    )
    held.push_async_callback(state.close)
    store = await open_store(settings, name, held)
    subscription = KafkaSubscription(cluster, membership_of(settings, name), now_us=wall_clock_us, places=state.places)
    held.push_async_callback(subscription.close)
    history = KafkaHistory(cluster, topics_of(settings))
    held.push_async_callback(history.close)
    return Ports(
        subscription=subscription,
        store=store,
        parking=state.parking,
        replays=state.replays,
        history=history,
        pausing=state.pausing,
        blame=state.blame,
    )
