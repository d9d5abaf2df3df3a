"""The only module that knows every concrete class: it builds the edge, the workers, and what the commands look into."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from socket import socket
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from gateway.admin.edge import EdgeMetrics, EdgeSample
from gateway.admin.metrics import registry_of
from gateway.admin.processes import ProcessMetrics
from gateway.admin.worker import WorkerMetrics
from gateway.api import Router
from gateway.config.plugins import import_router, import_routers
from gateway.config.settings import LogSettings, RouterSettings, Settings, SourceSettings
from gateway.core.compile import compile_source
from gateway.core.errors import DamagedError, DependencyError, PoisonedError
from gateway.core.source import Source
from gateway.handle.meter import RouterSample
from gateway.handle.pump import Ports, Worker, WorkerSettings
from gateway.keep.ports import Filter, Replay, Subscription
from gateway.keep.sqlite import backup as sqlite_backup
from gateway.keep.sqlite import state_reader
from gateway.keep.sqlite.catalogue import SqliteCatalogue
from gateway.keep.sqlite.connection import FileLock
from gateway.keep.sqlite.history import SqliteHistory
from gateway.keep.sqlite.log import SqliteLog
from gateway.keep.sqlite.options import LogOptions
from gateway.keep.sqlite.reader import SqliteReader
from gateway.keep.sqlite.schema import FILE_NAME, STATE_FOLDER
from gateway.keep.sqlite.state import LogPlace, SqliteState, refuse_beyond, register
from gateway.process import operations
from gateway.process.control import ControlServer
from gateway.process.runtime import control_path, make_runtime_folder, wake_path
from gateway.process.server import serve
from gateway.process.wake import WakeListener, Waker
from gateway.providers import PROVIDERS
from gateway.providers.custom import provider_from
from gateway.receive.app import Edge, EdgeOptions, edge_app


def sources(settings: Settings) -> Mapping[str, Source]:
    """Compile every configured source; `config.load` has found their mistakes before."""
    return {source.name: _source(source) for source in settings.sources}


def _source(settings: SourceSettings) -> Source:
    custom = settings.provider == "custom"
    provider = provider_from(settings.scheme, settings.event) if custom else PROVIDERS[settings.provider]
    return compile_source(provider, name=settings.name, secrets=settings.secrets, options=settings.options)


def without_secrets(settings: Settings) -> Settings:
    """Return the settings as a worker gets them: handlers have no use for what the edge verifies with."""
    return replace(settings, sources=tuple(replace(source, secrets=()) for source in settings.sources))


def secret_texts(settings: Settings) -> frozenset[str]:
    """Return what no log line may hold."""
    return frozenset(secret.text for source in settings.sources for secret in source.secrets)


def log_path(settings: LogSettings) -> Path:
    """Return the embedded log's file."""
    return settings.path / FILE_NAME


def state_path(settings: LogSettings, router: str) -> Path:
    """Return the file of one router's state."""
    return settings.path / STATE_FOLDER / f"{router}.db"


def own_role(settings: Settings, role: str) -> FileLock:
    """Return the lock that keeps a second gateway from playing `role` on this log; enter it to take it."""
    return FileLock(make_runtime_folder(settings.log.path) / role)


def told_by(process: str, *metrics: Collector) -> CollectorRegistry:
    """Return what a process tells in a scrape: of itself, and `metrics`."""
    return registry_of([*metrics, ProcessMetrics(process, version("webhook-gateway"))])


def _reading(settings: Settings) -> closing[SqliteReader]:
    return closing(SqliteReader(log_path(settings.log)))


def prepare(settings: Settings, *, edge: bool, routers: Sequence[str]) -> None:
    """Check the routers, and register the new ones at their start in the log, before anything is served.

    Raises:
        PluginError: a router cannot be imported, or does not fit the configuration.
        DependencyError: there is no log yet to read from, or it cannot be opened, or a router stands beyond its end.
    """
    imported = import_routers(replace(settings, routers=_chosen(settings, routers)))
    (settings.log.path / STATE_FOLDER).mkdir(mode=0o700, parents=True, exist_ok=True)
    if edge:
        asyncio.run(_create_log(settings))
    elif not log_path(settings.log).exists():
        raise DependencyError(
            f"there is no log in {settings.log.path} yet; start `gateway serve` or `gateway run` first"
        )
    with _reading(settings) as reader:
        if edge:
            _refuse_restored_log(settings, reader.log_id(), reader.last_seq())
        for name, router in imported.items():
            position = reader.last_seq() if router.start == "latest" else reader.first_seq() - 1
            with suppress(DamagedError):  # its worker says so, again and again; the others are not to wait for it
                register(state_path(settings.log, name), name, reader.log_id(), position)


def _refuse_restored_log(settings: Settings, log_id: str, end: int) -> None:
    """Look at all cursors before anything is stored: a log that grew past one again would hide what was skipped."""
    for name in known_routers(settings):
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
    settings: Settings, sockets: Sequence[socket], drain: asyncio.Event, ready: Callable[[], None]
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
    edge = edge_app(compiled, log, metrics, options=_edge_options(settings))
    asked = operations.of_edge(log, told_by("edge", metrics))
    async with AsyncExitStack() as held:
        held.push_async_callback(log.close)
        await _control(held, settings, "edge", asked)
        house = asyncio.create_task(edge.keep_house())
        held.push_async_callback(_ended, house)
        serving = serve(edge, sockets=sockets, settings=settings.server, drain=drain, started=ready)
        await _unless(poisoned, serving)


def _edge_options(settings: Settings) -> EdgeOptions:
    return EdgeOptions(
        trusted_proxies=settings.server.trusted_proxies,
        max_buffered=settings.server.max_buffered,
        max_buffered_per_client=settings.server.max_buffered_per_client,
        rejections=settings.log.path,
    )


def _edge_sample(settings: Settings, log: SqliteLog, edge: Edge) -> EdgeSample:
    disk = os.statvfs(settings.log.path)
    return EdgeSample(
        health=log.health(),
        inflight_deliveries=edge.inflight,
        free_bytes=disk.f_bavail * disk.f_frsize,
        dedupe_ids=edge.remembered_ids,
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
        ports = _ports(state, subscription, history)
        worker, metrics = _worker(router, ports, settings, configured.concurrency)
        process = f"worker:{name}"
        asked = operations.of_worker(worker, state, told_by(process, metrics), partial(_count, settings))
        await _control(held, settings, process, asked)
        draining = asyncio.create_task(_drain_when(drain, worker, settings.server.drain))
        held.push_async_callback(_ended, draining)
        ready()
        await _unless(poisoned, worker.run())


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


def _worker(router: Router, ports: Ports, settings: Settings, concurrency: int) -> tuple[Worker, WorkerMetrics]:
    def sample() -> RouterSample:
        return worker.sample()

    metrics = WorkerMetrics(router.name, [handler.name for handler in router.handlers], sample)
    chosen = WorkerSettings(
        concurrency=concurrency,
        marks=settings.store.marks,
        conflicts={source.name: source.options.on_conflict for source in settings.sources},
    )
    worker = Worker(router, ports, metrics, settings=chosen)
    return worker, metrics


async def _drain_when(drain: asyncio.Event, worker: Worker, seconds: float) -> None:
    await drain.wait()
    await worker.drain(seconds * 0.8)  # the supervisor kills at the whole of it


# What both share


async def _control(
    held: AsyncExitStack, settings: Settings, process: str, asked: Mapping[str, operations.Operation]
) -> None:
    control = ControlServer(control_path(settings.log.path, process), asked)
    await control.start()
    held.push_async_callback(control.close)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _unless(poisoned: asyncio.Event, work: "asyncio.Future[None] | Coroutine[None, None, None]") -> None:
    """Await `work`; if the disk fails first, give it up."""
    working = asyncio.ensure_future(work)
    failing = asyncio.ensure_future(poisoned.wait())
    await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
    failing.cancel()
    if poisoned.is_set():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise PoisonedError
    await working


# What the commands look into


def catalogue(settings: Settings) -> SqliteCatalogue:
    """Return what is stored, to be read beside a running gateway.

    Raises:
        DependencyError: there is no log yet.
    """
    return SqliteCatalogue(settings.log.path)


def _count(settings: Settings, where: Filter) -> tuple[int, int]:
    """Return how many stored events fit, and the log's last offset before they were counted."""
    with _reading(settings) as reader:
        end = reader.last_seq()
    with closing(catalogue(settings)) as stored:
        return stored.count(where), end


def known_routers(settings: Settings) -> Sequence[str]:
    """Return the routers that have state, configured or not."""
    return sorted(path.stem for path in (settings.log.path / STATE_FOLDER).glob("*.db"))


def forget_router(settings: Settings, router: str) -> None:
    """Remove all state of a router that does not run.

    Raises:
        DependencyError: its worker holds the file.
    """
    path = state_path(settings.log, router)
    with FileLock(path):
        for ending in ("", "-wal", "-shm"):
            Path(f"{path}{ending}").unlink(missing_ok=True)


def router_status(settings: Settings, router: str) -> RouterSample:
    """Return a router's numbers, read from its files."""
    kept = state_reader.summary(state_path(settings.log, router))
    sample = RouterSample(
        backlog_events=0,
        oldest_unprocessed_seconds=0.0,
        retries_parked=kept.parked,
        dead_letters=kept.dead,
        gap_events=0,
        paused=kept.paused,
    )
    if not log_path(settings.log).exists() or kept.cursor is None:
        return sample
    with _reading(settings) as reader:
        oldest_us = reader.oldest_received_after(kept.cursor)
        return replace(
            sample,
            backlog_events=reader.count_after(kept.cursor),
            oldest_unprocessed_seconds=0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6),
            gap_events=reader.gap_events(router),
        )


def operate_offline(
    settings: Settings, router: str, op: str, arguments: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Run one operation of a router whose worker does not run, with its file's lock; yields as a control call does.

    Raises:
        DependencyError: the file is held by another process, or the router was never registered.
    """
    yield "result", asyncio.run(_operated(settings, router, op, arguments))


async def _operated(settings: Settings, router: str, op: str, arguments: Mapping[str, Any]) -> Any:
    if not state_path(settings.log, router).exists():
        raise DependencyError(f"router {router} has no state yet; it is made when `gateway run` first starts it")
    with _reading(settings) as reader:
        place = LogPlace(reader.log_id(), reader.last_seq())
    state = SqliteState.open(state_path(settings.log, router), router=router, log=place)
    try:
        asked = partial(_begin_replay, settings, state, place) if op == "replay" else operations.of_state(state)[op]
        answer = await asked(**arguments)
        if not state.blame.unclean():  # else the next worker would be cautious for no reason
            await state.blame.clean_exit()
        return answer
    finally:
        await state.close()


async def _begin_replay(settings: Settings, state: SqliteState, place: LogPlace, **arguments: Any) -> dict[str, Any]:
    replay_id = str(arguments.pop("id"))
    where, options = operations.replay_arguments(**arguments)
    total, _ = _count(settings, where)
    await state.replays.save(Replay(id=replay_id, where=where, upto={0: place.end}, total=total, **options))
    return {"id": replay_id, "state": "waiting", "handed": 0, "total": total}


def backup(settings: Settings, destination: Path) -> Iterator[tuple[str, int, int]]:
    """Copy log and state; yields each file's name, its pages copied, and its pages in all."""
    return sqlite_backup.backup(settings.log.path, destination)
