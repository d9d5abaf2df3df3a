"""Accepting for an edge that does not: what waits at another's socket is taken by those that run."""

import asyncio
import logging
import select
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

log = logging.getLogger("gateway.process")

# Long enough for a process that runs to wake and accept, short against the deadlines of senders.
_LOOK_EVERY = 0.25
_TAKEN_AT_A_TIME = 256


async def help_out(
    others: Sequence[socket.socket],
    connect: Callable[[], asyncio.Protocol],
    *,
    tls: ssl.SSLContext | None,
    handshake: float | None,
) -> None:
    """Look at the listening sockets of other processes; take what waits there at two looks running.

    Args:
        others: those sockets.
        connect: makes a connection's protocol.
        tls: as the server's own.
        handshake: seconds that a TLS handshake may take.
    """
    if not others:
        return
    poll = select.poll()
    by_number = {each.fileno(): each for each in others}
    for number in by_number:
        poll.register(number, select.POLLIN)
    waited: set[int] = set()
    async with asyncio.TaskGroup() as tasks:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            waiting = {number for number, _ in poll.poll(0)}
            taken = [each for number in waiting & waited for each in _accepted(by_number[number])]
            for connection in taken:
                tasks.create_task(_connected(connection, connect, tls=tls, handshake=handshake))
            if taken:
                log.warning("server.helped_out", extra={"connections": len(taken)})
            waited = waiting


def _accepted(bound: socket.socket) -> list[socket.socket]:
    bound.setblocking(False)  # noqa: FBT003 - the standard library's signature
    found: list[socket.socket] = []
    with suppress(OSError):  # another was quicker, or this process has no file left
        while len(found) < _TAKEN_AT_A_TIME:
            found.append(bound.accept()[0])
    return found


async def _connected(
    connection: socket.socket,
    connect: Callable[[], asyncio.Protocol],
    *,
    tls: ssl.SSLContext | None,
    handshake: float | None,
) -> None:
    connection.setblocking(False)  # noqa: FBT003 - as above
    try:
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(connect, connection, ssl=tls, ssl_handshake_timeout=handshake)
    except OSError:  # the peer went away, or its handshake failed
        connection.close()
