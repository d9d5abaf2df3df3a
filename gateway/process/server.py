"""Serving an application: bind nothing, accept on given sockets, sweep deadlines, drain in a named sequence."""

import asyncio
import gc
import logging
import resource
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.config.settings import ServerSettings, TlsSettings
from gateway.core.errors import ConfigError
from gateway.process.exchange import Desk, Limits
from gateway.process.helping import help_out
from gateway.process.protocol import GatewayProtocol
from gateway.receive.app import Edge
from gateway.receive.responses import Reply

log = logging.getLogger("gateway.process")

_BACKLOG = 2048
# Hardly anything here is garbage in circles: at the default of 700 the collector takes 4 % of the edge's time.
_GARBAGE_EVERY = 20_000
# Open files beside the connections served: those being turned away, the log's, and what is written now and then.
_OTHER_FILES = 512
_SWEEP_SECONDS = 0.1
# Above the endpoint's own deadline, which answers; the connection is cut only if that fails.
_BACKSTOP_MARGIN = 5.0


def _uncounted(reason: str, reply: Reply, *, client: str, arrival: tuple[float, int]) -> bytes:  # noqa: ARG001 - the port
    return secrets.token_hex(13).encode()


async def serve(
    edge: Edge,
    *,
    sockets: Sequence[socket.socket],
    settings: ServerSettings,
    drain: asyncio.Event,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve the edge on bound sockets until `drain` is set and what is in flight is answered.

    Of several edges on one port each has a socket of its own. A connection that waits at another's longer than that
    one takes to wake (it is dead, starting, or its loop stands still) is accepted here: by whoever comes first.

    Drain: stop accepting, answer what is in flight with `connection: close`, close what is idle, and after
    `settings.drain` seconds cut the rest. The sockets are closed; a supervisor's own copies stay open.

    Args:
        edge: the application, and who counts what the server itself refuses.
        sockets: its own, and then those of the other edges.
        settings: TLS, the most connections, and how many seconds the drain may take.
        drain: set to end.
        started: called when connections are accepted.

    Raises:
        ConfigError: the certificate or its key cannot be used.
    """
    limits = Limits(
        connections=connections_allowed(settings.max_connections),
        request=edge.deadline,
        backstop=edge.deadline + _BACKSTOP_MARGIN,
    )
    tls = None if settings.tls is None else tls_context(settings.tls)
    # What start-up left behind lives for ever: looking through it again costs a pause of 15 ms, many times a minute.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_EVERY)
    desk = Desk(edge.app, limits, edge.refused_by_server)
    await serve_desk(desk, sockets, drain, tls=tls, grace=settings.drain, started=started)


def connections_allowed(wanted: int) -> int:
    """Return for how many connections this process may open files, after raising its limit as far as need be.

    At the usual limit of 1,024 files a thousand idle strangers would have every further sender reset, and the log could
    not open a file.
    """
    needed, unlimited = wanted + _OTHER_FILES, resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != unlimited and soft < needed:
        with suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == unlimited else min(needed, hard), hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == unlimited or soft >= needed:
        return wanted
    allowed = max(soft - _OTHER_FILES, soft // 2)
    log.warning("server.few_files", extra={"limit": soft, "connections": allowed})
    return allowed


async def serve_admin(app: ASGIApp, *, sockets: Sequence[socket.socket], drain: asyncio.Event) -> None:
    """Serve the admin application, with the same care for slow and odd clients."""
    limits = Limits(connections=256, request=5.0, backstop=60.0)
    await serve_desk(Desk(app, limits, _uncounted), sockets, drain, grace=2.0)


async def serve_desk(
    desk: Desk,
    sockets: Sequence[socket.socket],
    drain: asyncio.Event,
    *,
    grace: float,
    tls: ssl.SSLContext | None = None,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve whatever the desk holds; see `serve`."""
    loop = asyncio.get_running_loop()
    config, state = _config(desk), ServerState()

    def connect() -> GatewayProtocol:
        return GatewayProtocol(config, state, desk)

    async with asyncio.TaskGroup() as tasks:
        sweeper = tasks.create_task(_sweep(state))
        handshake = None if tls is None else desk.limits.request
        server = await loop.create_server(
            connect, sock=sockets[0], ssl=tls, backlog=_BACKLOG, ssl_handshake_timeout=handshake
        )
        helping = tasks.create_task(help_out(sockets[1:], connect, tls=tls, handshake=handshake))
        started()
        try:
            await drain.wait()
            helping.cancel()
            server.close()
            await _drained(state, desk, grace)
        finally:
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()
            helping.cancel()
            sweeper.cancel()


def _config(desk: Desk) -> Config:
    config = Config(
        desk.app,
        loop="none",
        http=GatewayProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    config.load()
    return config


async def _drained(state: ServerState, desk: Desk, grace: float) -> None:
    """Answer what is in flight with `connection: close`, close what is idle, and wait for all of it."""
    for connection in list(state.connections):
        connection.shutdown()
    try:
        async with asyncio.timeout(grace):
            await desk.empty.wait()
            await asyncio.gather(*state.tasks, return_exceptions=True)
    except TimeoutError:
        log.warning("drain.cut_short", extra={"connections": len(state.connections), "requests": len(state.tasks)})


async def _sweep(state: ServerState) -> None:
    """Look at every connection's deadline several times a second: far cheaper than a timer for each request."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        now = time.monotonic()
        for connection in list(state.connections):
            if isinstance(connection, GatewayProtocol):
                connection.sweep(now)


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Return the server's context: TLS 1.2 or newer, HTTP/1.1.

    Raises:
        ConfigError: the certificate or its key cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        message = f"server.tls: cannot use {tls.cert} with {tls.key}: {type(error).__name__}"
        raise ConfigError(message) from error
    return context
