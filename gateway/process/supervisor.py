"""The supervisor: owns the listening sockets, the admin port and the children, and ends them in order.

It touches no event. A dead edge leaves connections waiting in its socket's backlog, not refused; a dead worker harms
its own router alone. Shutdown is one sequence: stop accepting (the edges answer what they hold), then the workers
finish what runs, then the admin port closes.

Several edges have a socket each on the one port (SO_REUSEPORT), among which the system shares out connections; of one
socket for all, the first to wake takes nearly every connection of a burst. What waits at the socket of an edge that
does not accept, the others take (`server.serve`).
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from gateway import wiring
from gateway.admin.app import admin_app
from gateway.admin.health import Readiness, assess
from gateway.admin.metrics import text
from gateway.config.secret_values import secret_values
from gateway.config.settings import ServerSettings, Settings
from gateway.core.errors import DependencyError, GatewayError
from gateway.process import control, logs, runtime, server
from gateway.process.children import Child, Orders

log = logging.getLogger("gateway.process")

_SCRAPE_DEADLINE = 2.0
_BACKLOG = 4096


def run(
    settings: Settings,
    *,
    edges: int = 0,
    routers: Sequence[str] = (),
    indexer: bool = False,
    on_ready: Callable[[], None] = lambda: None,
) -> int:
    """Run `edges` edges, a worker for each of `routers` and the indexer until SIGINT or SIGTERM; return the status.

    Raises:
        DependencyError: a port or a file is held by another process, or a child could not start.
        ConfigError: a router cannot be imported or does not fit the configuration.
    """
    logs.configure(process="supervisor", secrets=secret_values(settings))
    with ExitStack() as held:
        runtime.make_runtime_folder(settings.log.path)
        roles = ["edge"] * bool(edges) + [f"worker-{name}" for name in routers] + ["indexer"] * indexer
        for role in roles:
            held.enter_context(wiring.own_role(settings, role))
        wiring.prepare(settings, edge=bool(edges), routers=routers)
        public = [held.enter_context(bound) for bound in _bind_public(settings.server, edges)]
        admin = _bind_admin(settings.server, required=bool(edges))
        if admin is not None:
            held.enter_context(admin)
        children = _children(settings, public, routers, indexer=indexer)
        return asyncio.run(_Supervisor(settings, children, admin).run(on_ready))


def _bind_public(settings: ServerSettings, edges: int) -> list[socket.socket]:
    """Return a listening socket for each edge, all on one port."""
    if edges == 0:
        return []
    if edges == 1:
        return [_bind(settings.host, settings.port, "server.port")]
    # Sockets that share a port would share it with another gateway's, too: a first one that does not finds that out.
    with _bind(settings.host, settings.port, "server.port", listen=False) as alone:
        port = alone.getsockname()[1]
    return [_bind(settings.host, port, "server.port", shared=True) for _ in range(edges)]


def _bind(host: str, port: int, setting: str, *, shared: bool = False, listen: bool = True) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with ExitStack() as held:
            bound = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.bind((host, port))
            if listen:
                bound.listen(_BACKLOG)
            held.pop_all()
    except OSError as error:
        raise DependencyError(
            f"cannot listen on {host}:{port} ({error.strerror}); stop what uses it, or set {setting}"
        ) from error
    return bound


def _bind_admin(settings: ServerSettings, *, required: bool) -> socket.socket | None:
    try:
        return _bind(settings.admin_host, settings.admin_port, "server.admin_port")
    except DependencyError as error:
        if required:
            raise
        # Beside an edge on the same machine, workers may run without one; that their numbers are nowhere must be said.
        log.warning("admin.port_taken", extra={"cause": f"no metrics and no /readyz of this command: {error}"})
        return None


def _children(
    settings: Settings, public: Sequence[socket.socket], routers: Sequence[str], *, indexer: bool
) -> list[list[Child]]:
    """Return the children in the order in which they end; those of one list end at a time."""
    fds = [bound.fileno() for bound in public]
    names = ["edge"] if len(fds) == 1 else [f"edge:{number}" for number in range(1, len(fds) + 1)]
    at_the_rim = replace(  # an edge has no use for the database, and none for what handlers fetch with
        settings,
        store=replace(settings.store, dsn=None),
        sources=tuple(replace(source, fetch=None) for source in settings.sources),
    )
    without = wiring.without_secrets(settings)
    edges = [
        # Its own socket first; see `server.serve`.
        Child(Orders(process=name, settings=at_the_rim, sockets=(*fds[index:], *fds[:index])))
        for index, name in enumerate(names if fds else [])
    ]
    behind = [f"worker:{name}" for name in routers] + ["indexer"] * indexer
    return [edges, [Child(Orders(process=name, settings=without)) for name in behind]]


class _Supervisor:
    def __init__(self, settings: Settings, children: Sequence[Sequence[Child]], admin: socket.socket | None) -> None:
        self._settings = settings
        self._admin = admin
        self._registry = wiring.told_by("supervisor")
        self._stopping = asyncio.Event()
        self._by_end = children
        self._children = [child for group in children for child in group]

    async def run(self, on_ready: Callable[[], None]) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        admin_drain = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._admin is not None:
                    tasks.create_task(self._serve_admin(self._admin, admin_drain))
                kept = [tasks.create_task(child.keep()) for child in reversed(self._children)]
                tasks.create_task(self._announce(on_ready))
                await self._stopping.wait()
                await self._drain()
                await asyncio.gather(*kept)
                admin_drain.set()
        except* DependencyError as failed:
            raise failed.exceptions[0] from None
        return 0

    async def _drain(self) -> None:
        """Stop accepting, then let the workers finish; the admin port shows it all."""
        log.info("gateway.stopping")
        grace = self._settings.server.drain
        for children in self._by_end:
            await asyncio.gather(*(child.end(grace) for child in children))

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        ready = asyncio.gather(*(child.ready.wait() for child in self._children))
        stopped = asyncio.ensure_future(self._stopping.wait())
        both: set[asyncio.Future[Any]] = {ready, stopped}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            on_ready()  # first, so that no line of log falls between its lines
            log.info("gateway.ready")
        ready.cancel()
        stopped.cancel()
        await asyncio.gather(ready, stopped, return_exceptions=True)

    async def _serve_admin(self, bound: socket.socket, drain: asyncio.Event) -> None:
        app = admin_app(collect=self._collect, readiness=self._readiness)
        await server.serve_admin(app, sockets=[bound], drain=drain)

    async def _ask(self, child: Child, op: str) -> str | None:
        path = runtime.control_path(self._settings.log.path, child.name)
        with contextlib.suppress(GatewayError):  # a child that cannot answer is shown as down
            return str(await control.call(path, op, deadline=_SCRAPE_DEADLINE))
        return None

    async def _collect(self) -> list[tuple[str, bytes | None]]:
        texts = await asyncio.gather(*(self._ask(child, "metrics") for child in self._children))
        told = zip(self._children, texts, strict=True)
        own = [("supervisor", text(self._registry))]
        return own + [(child.name, None if text is None else text.encode()) for child, text in told]

    async def _readiness(self) -> Readiness:
        answers = await asyncio.gather(*(self._ask(child, "health") for child in self._children))
        named = {child.name: answer for child, answer in zip(self._children, answers, strict=True)}
        return assess(named, draining=self._stopping.is_set())
