"""The only rooms that know every concrete class: they build the edge, the workers, and what the commands look into.

An engine's modules are imported when a configuration names it, so that the embedded gateway loads no Kafka client.
"""

import asyncio
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import Any, Protocol, cast

from gateway.config.settings import Settings
from gateway.handle.meter import RouterSample
from gateway.keep.ports import Catalogue
from gateway.wiring.running import own_role, told_by
from gateway.wiring.sources import sources, without_secrets

__all__ = [
    "backup",
    "catalogue",
    "forget_router",
    "is_running",
    "known_routers",
    "operate",
    "own_role",
    "prepare",
    "router_status",
    "run_edge",
    "run_indexer",
    "run_worker",
    "sources",
    "told_by",
    "without_secrets",
]


class _Engine(Protocol):
    def prepare(self, settings: Settings, *, edge: bool, routers: Sequence[str]) -> None: ...
    async def run_edge(
        self,
        settings: Settings,
        process: str,
        sockets: Sequence[socket],
        drain: asyncio.Event,
        ready: Callable[[], None],
    ) -> None: ...
    async def run_worker(
        self, settings: Settings, name: str, drain: asyncio.Event, ready: Callable[[], None]
    ) -> None: ...


class _Commands(Protocol):
    def catalogue(self, settings: Settings) -> Catalogue: ...
    def known_routers(self, settings: Settings) -> Sequence[str]: ...
    def forget_router(self, settings: Settings, router: str) -> None: ...
    def router_status(self, settings: Settings, router: str) -> RouterSample: ...
    def is_running(self, settings: Settings, router: str) -> bool: ...
    def operate(
        self, settings: Settings, router: str, op: str, arguments: Mapping[str, Any]
    ) -> Iterator[tuple[str, Any]]: ...


def _engine(settings: Settings) -> _Engine:
    name = "kafka" if settings.log.engine == "kafka" else "embedded"
    return cast("_Engine", importlib.import_module(f"gateway.wiring.{name}"))


def _commands(settings: Settings) -> _Commands:
    name = "cluster_commands" if settings.log.engine == "kafka" else "embedded_commands"
    return cast("_Commands", importlib.import_module(f"gateway.wiring.{name}"))


def prepare(settings: Settings, *, edge: bool, routers: Sequence[str]) -> None:
    """Check the routers, and register the new ones at their start in the log, before anything is served.

    Raises:
        PluginError: a router cannot be imported, or does not fit the configuration.
        DependencyError: log or store cannot be used, or a router stands beyond the log's end.
    """
    _engine(settings).prepare(settings, edge=edge, routers=routers)


async def run_edge(
    settings: Settings, process: str, sockets: Sequence[socket], drain: asyncio.Event, ready: Callable[[], None]
) -> None:
    """Serve deliveries until `drain` is set: stop accepting, answer what is held, then close the log.

    Raises:
        PoisonedError: what is durable is unknown; the process must end.
    """
    await _engine(settings).run_edge(settings, process, sockets, drain, ready)


async def run_worker(settings: Settings, name: str, drain: asyncio.Event, ready: Callable[[], None]) -> None:
    """Run one router's handlers until `drain` is set and what runs has ended.

    Raises:
        PluginError: the router cannot be imported, or its schema is refused.
        PoisonedError: what is durable is unknown; the process must end.
    """
    await _engine(settings).run_worker(settings, name, drain, ready)


async def run_indexer(settings: Settings, drain: asyncio.Event, ready: Callable[[], None]) -> None:
    """Write the metadata of stored events into the store until `drain` is set; on Kafka alone."""
    kafka = importlib.import_module("gateway.wiring.kafka")
    await kafka.run_indexer(settings, drain, ready)


def catalogue(settings: Settings) -> Catalogue:
    """Return what is stored, to be read beside a running gateway.

    Raises:
        DependencyError: there is no log yet, or it cannot be reached.
    """
    return _commands(settings).catalogue(settings)


def known_routers(settings: Settings) -> Sequence[str]:
    """Return the routers that have state, configured or not."""
    return _commands(settings).known_routers(settings)


def forget_router(settings: Settings, router: str) -> None:
    """Remove all state of a router that does not run.

    Raises:
        DependencyError: its worker runs, or the store cannot be reached.
    """
    _commands(settings).forget_router(settings, router)


def router_status(settings: Settings, router: str) -> RouterSample:
    """Return a router's numbers, read from what is stored."""
    return _commands(settings).router_status(settings, router)


def is_running(settings: Settings, router: str) -> bool:
    """Return whether a worker of the router runs: on this machine, on a cluster on any."""
    return _commands(settings).is_running(settings, router)


def operate(settings: Settings, router: str, op: str, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Run one operation of a router, its worker running or not.

    Yields ("progress", value) as it comes and ("result", value) last.

    Raises:
        DependencyError: the worker does not answer, the state is held by another process or cannot be reached, or the
            router was never registered.
        GatewayError: it was refused, with the reason.
    """
    return _commands(settings).operate(settings, router, op, arguments)


def backup(settings: Settings, destination: Path) -> Iterator[tuple[str, int, int]]:
    """Copy the embedded log and all state; yields each file's name, its pages copied, and its pages in all."""
    commands = importlib.import_module("gateway.wiring.embedded_commands")
    copied: Iterator[tuple[str, int, int]] = commands.backup(settings, destination)
    return copied
