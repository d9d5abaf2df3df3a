"""Group commit: what is asked while one transaction is under way goes into the next, in order."""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, Literal, TypeVar

from gateway.core.errors import Unavailable
from gateway.keep.postgres.asking import Asker

T = TypeVar("T")

_MOST = 256
_MOST_BYTES = 8 * 2**20


class Group(Generic[T]):
    """Hands items to `write`, up to 256 or about 8 MiB at a time, one batch after the other.

    A batch is written whole or not at all. One that the server refuses is written again item by item, so that a bad one
    costs only itself. When the server is away, all that waits fails at once: whoever needs it asks again.
    """

    def __init__(self, asker: Asker, write: Callable[[Sequence[T]], Awaitable[None]], size: Callable[[T], int]) -> None:
        self._asker = asker
        self._write = write
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[T, Future[None]]] = deque()
        self._running = False

    def submit(self, item: T) -> "Future[None]":
        """Queue an item; the future completes when it is durable, or with `Unavailable`."""
        future: Future[None] = self._loop.create_future()
        self._queue.append((item, future))
        if not self._running:
            self._running = True
            self._asker.own(self._run())
        return future

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._settle(self._next())
        finally:
            self._running = False
            self._fail_waiting(written=False)

    async def _settle(self, batch: Sequence[tuple[T, "Future[None]"]]) -> None:
        try:
            await self._write([item for item, _ in batch])
        except Unavailable as error:
            _fail(batch, error.written)
            self._fail_waiting(written=False)
        except asyncio.CancelledError:
            _fail(batch, None)
            raise
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits
            if len(batch) == 1:
                _complete(batch[0][1], error)
                return
            for one in batch:
                await self._settle([one])
        else:
            for _, future in batch:
                _complete(future, None)

    def _fail_waiting(self, *, written: Literal[False] | None) -> None:
        _fail(self._queue, written)
        self._queue.clear()

    def _next(self) -> list[tuple[T, "Future[None]"]]:
        batch = [self._queue.popleft()]
        room = _MOST_BYTES - self._size(batch[0][0])
        while self._queue and len(batch) < _MOST:
            room -= self._size(self._queue[0][0])
            if room < 0:
                break
            batch.append(self._queue.popleft())
        return batch


def _fail(entries: "Iterable[tuple[T, Future[None]]]", written: Literal[False] | None) -> None:
    for _, future in entries:
        _complete(future, Unavailable("store_down", written=written))


def _complete(future: "Future[None]", error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
        future.exception()  # seen: whoever waits is told again
