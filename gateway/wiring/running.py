"""What the processes of every engine have in common: their locks, their sockets, their end."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from importlib.metadata import version

from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector

from gateway.admin.edge import EdgeMetrics
from gateway.admin.metrics import registry_of
from gateway.admin.processes import ProcessMetrics
from gateway.admin.worker import WorkerMetrics
from gateway.api import Router
from gateway.config.settings import Settings
from gateway.core.errors import PoisonedError
from gateway.core.event import Event
from gateway.core.source import Source
from gateway.handle.equipment import Ports, WorkerSettings
from gateway.handle.fetching import Outside
from gateway.handle.meter import RouterSample
from gateway.handle.pump import Worker
from gateway.keep.ports import EventLog
from gateway.keep.sqlite.connection import FileLock
from gateway.process import operations
from gateway.process.control import ControlServer
from gateway.process.runtime import control_path, make_runtime_folder
from gateway.receive.app import Edge, EdgeOptions, edge_app
from gateway.receive.quarantined import Bounds
from gateway.wiring.outgoing import Outgoing
from gateway.wiring.sources import recompiled, suspect_of


def own_role(settings: Settings, role: str) -> FileLock:
    """Return the lock that keeps a second gateway from playing `role` on this log; enter it to take it."""
    return FileLock(make_runtime_folder(settings.log.path) / role)


def told_by(process: str, *metrics: Collector) -> CollectorRegistry:
    """Return what a process tells in a scrape: of itself, and `metrics`."""
    return registry_of([*metrics, ProcessMetrics(process, version("webhook-gateway"))])


def edge_of(
    settings: Settings, compiled: Mapping[str, Source], log: EventLog, metrics: EdgeMetrics, outgoing: Outgoing
) -> Edge:
    """Return the edge on this log."""
    return edge_app(
        compiled,
        log,
        metrics,
        options=_edge_options(settings),
        fetch=outgoing.fetch,
        recompile=partial(recompiled, settings),
        suspect_of=partial(suspect_of, settings),
    )


def _edge_options(settings: Settings) -> EdgeOptions:
    """Return what the edge may take; the log knows the ids."""
    return EdgeOptions(
        trusted_proxies=settings.server.trusted_proxies,
        max_buffered=settings.server.max_buffered,
        max_buffered_per_client=settings.server.max_buffered_per_client,
        rejections=settings.log.path,
        kept=settings.log.path,
        failed_rate=settings.server.failed_rate,
        quarantine={
            source.name: Bounds(source.quarantine.max_bytes, source.quarantine.max_age)
            for source in settings.sources
            if source.quarantine is not None
        },
    )


def worker_of(
    router: Router, ports: Ports, settings: Settings, concurrency: int, outside: Outside
) -> tuple[Worker, WorkerMetrics]:
    """Return the worker of one router, and its metrics."""

    def sample() -> RouterSample:
        return worker.sample()

    metrics = WorkerMetrics(router.name, [handler.name for handler in router.handlers], sample)
    chosen = WorkerSettings(
        concurrency=concurrency,
        marks=settings.store.marks,
        conflicts={source.name: source.options.on_conflict for source in settings.sources},
        contracts=contracts_of(settings),
        outside=outside,
    )
    worker = Worker(router, ports, metrics, settings=chosen)
    return worker, metrics


def contracts_of(settings: Settings) -> Mapping[str, Callable[[Event], str]]:
    """Return, for each source that requires something, what tells what an event breaks."""
    requiring = [source for source in settings.sources if source.require]
    if not requiring:  # what reads schemas takes 8 MiB
        return {}
    contracts = importlib.import_module("gateway.handle.contracts")
    return {source.name: contracts.Contract(source.require).broken for source in requiring}


async def drain_when(drain: asyncio.Event, end: Callable[[float], Awaitable[None]], seconds: float) -> None:
    """Call `end` once `drain` is set, with most of the `seconds` that the supervisor waits."""
    await drain.wait()
    await end(seconds * 0.8)  # the supervisor kills at the whole of it


async def control(
    held: AsyncExitStack, settings: Settings, process: str, asked: Mapping[str, operations.Operation]
) -> None:
    """Answer `asked` on the process's control socket for as long as `held` holds."""
    server = ControlServer(control_path(settings.log.path, process), asked)
    await server.start()
    held.push_async_callback(server.close)


async def ended(task: "asyncio.Task[None]") -> None:
    """End a task, whatever comes of it."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def unless(poisoned: asyncio.Event, work: "asyncio.Future[None] | Coroutine[None, None, None]") -> None:
    """Await `work`; if the process is poisoned first, give it up.

    Raises:
        PoisonedError: it was.
    """
    working = asyncio.ensure_future(work)
    failing = asyncio.ensure_future(poisoned.wait())
    await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
    failing.cancel()
    if poisoned.is_set():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        raise PoisonedError
    await working
