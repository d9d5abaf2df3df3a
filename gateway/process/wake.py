"""Telling the workers of this machine that something was stored: a byte to each one's datagram socket.

It may be lost, and then costs at most the subscription's poll: 250 ms.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path


class Waker:
    """Sends from the log's writer thread; never waits, and does not care whether anybody listens."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = [str(path) for path in paths]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's signature

    def __call__(self) -> None:
        """Wake every worker that listens."""
        for path in self._paths:
            with suppress(OSError):  # not running, or its buffer is full: then it is awake
                self._socket.sendto(b"w", path)


class WakeListener:
    """Calls `wake` on the event loop whenever a byte comes; whoever makes it holds the router's lock."""

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._wake = wake
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 - as above
        self._socket.bind(str(path))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(64)
        self._wake()

    def close(self) -> None:
        """Stop listening."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
