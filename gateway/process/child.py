"""A child process: an edge, one router's worker, or the indexer. Started by the supervisor, ends with its lifeline."""

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

import uvloop

from gateway import wiring
from gateway.config.secret_values import secret_values
from gateway.core.errors import ConfigError, DependencyError, GatewayError, PluginError, PoisonedError
from gateway.process import logs
from gateway.process.children import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_FAILED, EXIT_POISONED, Orders, receive_orders

log = logging.getLogger("gateway.process")

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the process the orders name; return its exit status."""
    _die_with_the_supervisor()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's Ctrl-C goes to all; the supervisor passes it on in order
    lifeline = socket.socket(fileno=int(sys.argv[1]))
    try:
        orders = receive_orders(lifeline)
    except EOFError:
        return 0
    logs.configure(process=orders.process, secrets=secret_values(orders.settings))
    try:
        uvloop.run(_run(orders, lifeline))
    except PoisonedError:
        return EXIT_POISONED
    except GatewayError as error:
        log.error("child.cannot_start", extra={"cause": str(error)})  # noqa: TRY400 - the message is the remedy
        return _status_of(error)
    except Exception:  # one line that redaction has seen, instead of a bare trace
        log.exception("child.failed")
        return EXIT_FAILED
    return 0


def _status_of(error: GatewayError) -> int:
    if isinstance(error, ConfigError | PluginError):
        return EXIT_CONFIG
    return EXIT_DEPENDENCY if isinstance(error, DependencyError) else EXIT_FAILED


def _die_with_the_supervisor() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _run(orders: Orders, lifeline: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    drain = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, drain.set)
    lifeline.setblocking(False)  # noqa: FBT003 - the standard library's signature
    orphaned = loop.create_task(_ends_with(lifeline, drain))

    def ready() -> None:
        lifeline.send(b"ready")

    await _play(orders, drain, ready)
    orphaned.cancel()


async def _play(orders: Orders, drain: asyncio.Event, ready: Callable[[], None]) -> None:
    role, _, name = orders.process.partition(":")
    if role == "edge":
        sockets = [socket.socket(fileno=number) for number in orders.sockets]
        await wiring.run_edge(orders.settings, orders.process, sockets, drain, ready)
    elif role == "worker":
        await wiring.run_worker(orders.settings, name, drain, ready)
    else:
        await wiring.run_indexer(orders.settings, drain, ready)


async def _ends_with(lifeline: socket.socket, drain: asyncio.Event) -> None:
    while await asyncio.get_running_loop().sock_recv(lifeline, 16):
        pass
    drain.set()


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    os._exit(status)  # a handler's stray thread must not keep a drained process alive
