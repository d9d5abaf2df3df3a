"""The supervisor: owns the listening socket, the admin port and the children, and ends them in order.

It touches no event. A dead edge leaves connections waiting in the socket's backlog, not refused; a dead worker harms
its own router alone. Shutdown is one sequence: stop accepting (the edge answers what it holds), then the workers
finish what runs, then the admin port closes.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from gateway import wiring
from gateway.admin.app import admin_app
from gateway.admin.health import Readiness, assess
from gateway.admin.metrics import text
from gateway.config.settings import ServerSettings, Settings
from gateway.core.errors import DependencyError, GatewayError
from gateway.process import control, logs, runtime, server
from gateway.process.children import Child, Orders

log = logging.getLogger("gateway.process")

_SCRAPE_DEADLINE = 2.0
_BACKLOG = 4096


def run(settings: Settings, *, edge: bool, routers: Sequence[str], on_ready: Callable[[], None] = lambda: None) -> int:
    """Run the edge (if `edge`) and a worker for each of `routers` until SIGINT or SIGTERM; return the exit status.

    Raises:
        DependencyError: a port or a file is held by another process, or a child could not start.
        ConfigError: a router cannot be imported or does not fit the configuration.
    """
    logs.configure(process="supervisor", secrets=wiring.secret_texts(settings))
    with ExitStack() as held:
        runtime.make_runtime_folder(settings.log.path)
        for role in (("edge",) if edge else ()) + tuple(f"worker-{name}" for name in routers):
            held.enter_context(wiring.own_role(settings, role))
        wiring.prepare(settings, edge=edge, routers=routers)
        server = settings.server
        public = [held.enter_context(_bind(server.host, server.port, "server.port"))] if edge else []
        admin = _bind_admin(settings.server, required=edge)
        if admin is not None:
            held.enter_context(admin)
        return asyncio.run(_Supervisor(settings, public, admin, routers).run(on_ready))


def _bind(host: str, port: int, setting: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError as error:
        raise DependencyError(
            f"cannot listen on {host}:{port} ({error.strerror}); stop what uses it, or set {setting}"
        ) from error
    return bound


def _bind_admin(settings: ServerSettings, *, required: bool) -> socket.socket | None:
    try:
        return _bind(settings.admin_host, settings.admin_port, "server.admin_port")
    except DependencyError:
        if required:
            raise
        return None


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        public: Sequence[socket.socket],
        admin: socket.socket | None,
        routers: Sequence[str],
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._registry = wiring.told_by("supervisor")
        self._stopping = asyncio.Event()
        fds = tuple(bound.fileno() for bound in public)
        self._edge = [Child(Orders(process="edge", settings=settings, sockets=fds))] if public else []
        without = wiring.without_secrets(settings)
        self._workers = [Child(Orders(process=f"worker:{name}", settings=without)) for name in routers]

    async def run(self, on_ready: Callable[[], None]) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        admin_drain = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._admin is not None:
                    tasks.create_task(self._serve_admin(self._admin, admin_drain))
                kept = [tasks.create_task(child.keep()) for child in (*self._workers, *self._edge)]
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
        for children in (self._edge, self._workers):
            await asyncio.gather(*(child.end(grace) for child in children))

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        ready = asyncio.gather(*(child.ready.wait() for child in (*self._edge, *self._workers)))
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
        children = (*self._edge, *self._workers)
        texts = await asyncio.gather(*(self._ask(child, "metrics") for child in children))
        own = [("supervisor", text(self._registry))]
        return own + [
            (child.name, None if text is None else text.encode()) for child, text in zip(children, texts, strict=True)
        ]

    async def _readiness(self) -> Readiness:
        children = (*self._edge, *self._workers)
        answers = await asyncio.gather(*(self._ask(child, "health") for child in children))
        named = {child.name: answer for child, answer in zip(children, answers, strict=True)}
        return assess(named, draining=self._stopping.is_set())
