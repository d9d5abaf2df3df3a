"""The embedded engine put together: the edge and its log, the workers and their state."""

import asyncio
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

from gateway.admin.edge import EdgeMetrics, EdgeSample
from gateway.config.plugins import import_router, import_routers
from gateway.config.settings import LogSettings, RouterSettings, Settings
from gateway.core.errors import DamagedError, DependencyError
from gateway.core.source import Source
from gateway.handle.equipment import Ports
from gateway.keep.ports import Filter, Store, Subscription
from gateway.keep.sqlite import state_reader
from gateway.keep.sqlite.catalogue import SqliteCatalogue
from gateway.keep.sqlite.history import SqliteHistory
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME, STATE_FOLDER
from gateway.keep.sqlite.state import LogPlace, SqliteState, refuse_beyond, register
from gateway.process import operations
from gateway.process.runtime import wake_path
from gateway.process.server import serve
from gateway.process.wake import WakeListener, Waker
from gateway.receive.app import Edge
from gateway.wiring.outgoing import Outgoing, outside_of
from gateway.wiring.running import control, drain_when, edge_of, ended, told_by, unless, worker_of
from gateway.wiring.sources import sources


def log_path(settings: LogSettings) -> Path:
    """Return the embedded log's file."""
    return settings.path / FILE_NAME


def state_path(settings: LogSettings, router: str) -> Path:
    """Return the file of one router's state."""
    return settings.path / STATE_FOLDER / f"{router}.db"


def reading(settings: Settings) -> closing[SqliteReader]:
    """Return the log's reader, to be closed."""
    return closing(SqliteReader(log_path(settings.log)))


def prepare(settings: Settings, *, edge: bool, routers: Sequence[str]) -> None:
    """Check the routers, and register the new ones at their start in the log, before anything is served.

    Raises:
        PluginError: a router cannot be imported, or does not fit the configuration.
        DependencyError: there is no log yet to read from, or it cannot be opened, or a router stands beyond its end;
            or the store, if it is in Postgres, cannot be used.
    """
    imported = import_routers(replace(settings, routers=_chosen(settings, routers)))
    if routers and settings.store.engine == "postgres":
        _postgres().verify(settings)
    (settings.log.path / STATE_FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    if edge:
        asyncio.run(_create_log(settings))
    elif not log_path(settings.log).exists():
        raise DependencyError(
            f"there is no log in {settings.log.path} yet; start `gateway serve` or `gateway run` first"
        )
    with reading(settings) as reader:
        if edge:
            _refuse_restored_log(settings, reader.log_id(), reader.last_seq())
        for name, router in imported.items():
            position = reader.last_seq() if router.start == "latest" else reader.first_seq() - 1
            with suppress(DamagedError):  # its worker says so, again and again; the others are not to wait for it
                register(state_path(settings.log, name), name, reader.log_id(), position)


def _refuse_restored_log(settings: Settings, log_id: str, end: int) -> None:
    """Look at all cursors before anything is stored: a log that grew past one again would hide what was skipped."""
    for name in state_names(settings):
        with suppress(DamagedError):  # its worker will say so
            kept = state_reader.summary(state_path(settings.log, name))
            if kept.cursor is not None and kept.log_id == log_id:
                refuse_beyond(name, kept.cursor, end)


def _chosen(settings: Settings, names: Sequence[str]) -> tuple[RouterSettings, ...]:
    return tuple(router for router in settings.routers if router.name in names)


async def _create_log(settings: Settings) -> None:
    # With the sources' own windows: what a crash left in memory goes into the table of ids here.
    log = SqliteLog(_log_options(settings, sources(settings)), wake=lambda: None, on_poison=lambda: None)
    await log.close()


def _log_options(settings: Settings, compiled: Mapping[str, Source]) -> LogOptions:
    log = settings.log
    return LogOptions(
        folder=log.path,
        retention=log.retention,
        max_bytes=log.max_bytes,
        min_free=log.min_free,
        max_queued_events=log.max_queued_events,
        max_queued_bytes=log.max_queued_bytes,
        windows={name: source.dedupe_window for name, source in compiled.items()},
    )


# The edge


async def run_edge(
    settings: Settings, process: str, sockets: Sequence[socket], drain: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Serve deliveries until `drain` is set: stop accepting, answer what is held, then close the log.

    Raises:
        PoisonedError: an I/O error on commit; the process must end.
    """
    compiled = sources(settings)
    poisoned = asyncio.Event()
    waker = Waker([wake_path(settings.log.path, router.name) for router in settings.routers])
    log = SqliteLog(_log_options(settings, compiled), wake=waker, on_poison=poisoned.set)
    metrics = EdgeMetrics(compiled, lambda: _edge_sample(settings, log, edge))
    outgoing = Outgoing()
    edge = edge_of(settings, compiled, log, metrics, outgoing)
    asked = operations.of_edge(log, told_by(process, metrics), edge.pairings, edge.readmission)
    async with AsyncExitStack() as held:
        held.push_async_callback(log.close)
        held.push_async_callback(outgoing.close)
        await control(held, settings, process, asked)
        house = asyncio.create_task(edge.keep_house())
        held.push_async_callback(ended, house)
        serving = serve(edge, sockets=sockets, settings=settings.server, drain=drain, started=ready)
        await unless(poisoned, serving)


def _edge_sample(settings: Settings, log: SqliteLog, edge: Edge) -> EdgeSample:
    disk = os.statvfs(settings.log.path)
    return EdgeSample(
        health=log.health(),
        inflight_deliveries=edge.inflight,
        free_bytes=disk.f_bavail * disk.f_frsize,
        dedupe_ids=edge.remembered_ids,
        key_ages=edge.key_ages(),
        address_list_ages=edge.address_list_ages(),
        quarantined=edge.quarantined(),
        secrets_used=edge.secrets_used(),
    )


# A worker


async def run_worker(settings: Settings, name: str, drain: asyncio.Event, ready: Callable[[], None]) -> None:
    """Run one router's handlers until `drain` is set and what runs has ended.

    Raises:
        PluginError: the router cannot be imported, or its schema is refused.
        PoisonedError: an I/O error on commit; the process must end.
    """
    configured = next(router for router in settings.routers if router.name == name)
    router = import_router(configured)
    poisoned = asyncio.Event()
    async with AsyncExitStack() as held:
        reader = SqliteReader(log_path(settings.log))
        place = LogPlace(reader.log_id(), reader.last_seq())
        state = SqliteState.open(state_path(settings.log, name), router=name, log=place, on_poison=poisoned.set)
        held.push_async_callback(state.close)
        subscription = state.subscribe(reader)
        listener = WakeListener(wake_path(settings.log.path, name), subscription.wake)
        held.callback(listener.close)
        history = SqliteHistory(SqliteReader(log_path(settings.log)))
        held.push_async_callback(history.close)
        ports = replace(_ports(state, subscription, history), store=await _store(settings, state, name, held))
        worker, metrics = worker_of(router, ports, settings, configured.concurrency, outside_of(settings, held))
        process = f"worker:{name}"
        asked = operations.of_worker(worker, state, told_by(process, metrics), partial(count, settings))
        await control(held, settings, process, asked)
        draining = asyncio.create_task(drain_when(drain, worker.drain, settings.server.drain))
        held.push_async_callback(ended, draining)
        ready()
        await unless(poisoned, worker.run())


async def _store(settings: Settings, state: SqliteState, name: str, held: AsyncExitStack) -> Store:
    """Return where the router's marks and tables are: in its state file, or in Postgres (design 6.5)."""
    if settings.store.engine == "sqlite":
        return state.store
    store: Store = await _postgres().open_store(settings, name, held)
    return store


def _postgres() -> Any:
    """Return the module that knows Postgres, whose client few need here."""
    return importlib.import_module("gateway.wiring.postgres")


def _ports(state: SqliteState, subscription: Subscription, history: SqliteHistory) -> Ports:
    return Ports(
        subscription=subscription,
        store=state.store,
        parking=state.parking,
        replays=state.replays,
        history=history,
        pausing=state.pausing,
        blame=state.blame,
    )


def state_names(settings: Settings) -> Sequence[str]:
    """Return the routers that have state, configured or not."""
    return sorted(path.stem for path in (settings.log.path / STATE_FOLDER).glob("*.db"))


def count(settings: Settings, where: Filter) -> tuple[int, int]:
    """Return how many stored events fit, and the log's last offset before they were counted."""
    with reading(settings) as reader:
        end = reader.last_seq()
    with closing(SqliteCatalogue(settings.log.path)) as stored:
        return stored.count(where), end
