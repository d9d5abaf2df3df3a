"""One child process, kept alive: spawned afresh, watched, restarted with a growing pause, ended in order.

A child inherits one socket, its lifeline: it reads its orders from it, writes `ready` to it, and ends when it closes.
A new interpreter is started instead of a fork, because SQLite connections and threads do not survive one.
"""

import asyncio
import logging
import pickle
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

from gateway.config.settings import Settings
from gateway.core.errors import DependencyError
from gateway.process import control, runtime

log = logging.getLogger("gateway.process")

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_DEPENDENCY = 3
EXIT_POISONED = 70

_PING_EVERY = 2.0
_SILENT_FOR = 10.0
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_STEADY_AFTER = 10.0
_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What a child needs to know. `sockets` are inherited descriptors, of several edges its own first.

    `process` is `edge`, `edge:<number>` of several, `worker:<router>` or `indexer`.
    """

    process: str
    settings: Settings
    sockets: tuple[int, ...] = ()
    log_level: str = "info"


def receive_orders(lifeline: socket.socket) -> Orders:
    """Read the orders, in the child.

    Raises:
        EOFError: the supervisor died before it gave them.
    """
    length = _LENGTH.unpack(_exactly(lifeline, _LENGTH.size))[0]
    orders = pickle.loads(_exactly(lifeline, length))  # noqa: S301 - written by our own supervisor on an inherited socket
    assert isinstance(orders, Orders)  # noqa: S101
    return orders


def _exactly(lifeline: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = lifeline.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class Child:
    """Keeps one process running until told to end it."""

    def __init__(self, orders: Orders, sockets: Sequence[socket.socket] = ()) -> None:
        self.name = orders.process
        self.ready = asyncio.Event()
        self.restarts = -1
        self.pid: int | None = None
        self._orders = orders
        self._sockets = sockets
        self._was_ready = False
        self._ending = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        """Run the process again and again until `end`.

        Raises:
            DependencyError: its first start failed for want of something outside, or for a mistake in its settings.
        """
        pause = _SHORTEST_PAUSE
        while not self._ending.is_set():
            began = time.monotonic()
            self.restarts += 1
            status = await self._once()
            if self._ending.is_set():
                return
            log.error("child.ended", extra={"child": self.name, "status": status})
            if self.restarts == 0 and not self._was_ready and status in (EXIT_CONFIG, EXIT_DEPENDENCY):
                raise DependencyError(f"{self.name} could not start; its log line above says why")
            pause = next_pause(pause, lived=time.monotonic() - began)
            await self._wait_for_end(pause)

    async def end(self, grace: float) -> None:
        """Ask the process to drain; kill it after `grace` seconds."""
        self._ending.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await process.wait()
        except TimeoutError:
            log.warning("child.killed", extra={"child": self.name, "cause": "did not drain in time"})
            _kill(process)
            await process.wait()

    async def _wait_for_end(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            pass

    async def _once(self) -> int:
        ours, theirs = socket.socketpair()
        with closing(ours):
            with closing(theirs):
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "gateway.process.child", str(theirs.fileno())),
                    pass_fds=(theirs.fileno(), *self._orders.sockets),
                    stdin=asyncio.subprocess.DEVNULL,
                )
            self.pid = self._process.pid
            if self._ending.is_set():  # `end` came while it was being started, and found nobody to tell
                _kill(self._process)
            ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
            watch = asyncio.create_task(self._watch(ours, self._process))
            try:
                return await self._process.wait()
            finally:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
                self.ready.clear()

    async def _watch(self, lifeline: socket.socket, process: asyncio.subprocess.Process) -> None:
        loop = asyncio.get_running_loop()
        orders = pickle.dumps(self._orders)
        await loop.sock_sendall(lifeline, _LENGTH.pack(len(orders)) + orders)
        if not await loop.sock_recv(lifeline, 16):
            return
        self.ready.set()
        self._was_ready = True
        path = runtime.control_path(self._orders.settings.log.path, self.name)
        answered = time.monotonic()
        while time.monotonic() - answered < _SILENT_FOR:
            await asyncio.sleep(_PING_EVERY)
            try:
                await control.call(path, "ping", deadline=_PING_EVERY)
                answered = time.monotonic()
            except DependencyError:
                continue
        log.error("child.killed", extra={"child": self.name, "cause": "its loop did not tick for ten seconds"})
        _kill(process)


def next_pause(last: float, *, lived: float) -> float:
    """Return the seconds to wait before the next start: doubled, unless the process had `lived` long enough. Pure."""
    return _SHORTEST_PAUSE if lived > _STEADY_AFTER else min(last * 2, _LONGEST_PAUSE)


def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
