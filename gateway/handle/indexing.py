"""The indexer: writes down what the log holds, batch by batch, so that it can be listed where the log cannot be asked.

It commits a batch once it is written: a crash lets some be written again, and leaves none out.
"""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from typing import Any

from gateway.core.errors import Unavailable
from gateway.handle.calls import wall_clock_us
from gateway.handle.durably import durably
from gateway.keep.ports import Backlog, Index, Subscription

_BATCH_EVENTS = 2000
_BATCH_BYTES = 16 * 2**20
_TEND_EVERY = 1.0
_EXPIRE_EVERY = 60.0
_EXPIRE_SLICE = 10_000


class Indexer:
    """Copies from a subscription into an index until drained; it has no partition to make ready for.

    Args:
        subscription: what is read; the caller closes it.
        index: where it is written.
        retention: seconds after which an entry is removed.
        now_us: the wall clock in microseconds.
    """

    def __init__(
        self,
        subscription: Subscription,
        index: Index,
        *,
        retention: float,
        now_us: Callable[[], int] = wall_clock_us,
    ) -> None:
        self._subscription = subscription
        self._index = index
        self._retention_us = int(retention * 1e6)
        self._now_us = now_us
        self._backlog = Backlog(0, 0.0)
        self._halt: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        subscription.listen(self)

    async def assigned(self, partitions: Collection[int]) -> None:
        """Do nothing: an entry is written wherever it comes from."""

    async def revoking(self, partitions: Collection[int]) -> None:
        """Do nothing: what the next owner writes once more is left as it is."""

    def sample(self) -> Backlog:
        """Return how much is stored and not indexed yet, and how old the oldest of it is: the lag in seconds."""
        return self._backlog

    async def run(self) -> None:
        """Index until `drain` is called."""
        copying, tending = asyncio.create_task(self._copy()), asyncio.create_task(self._tend())
        try:
            any_of: set[asyncio.Future[Any]] = {copying, tending, self._halt}
            await asyncio.wait(any_of, return_when=asyncio.FIRST_COMPLETED)
            if self._halt.done():
                await asyncio.wait({copying}, timeout=self._halt.result())
            for task in (copying, tending):
                if task.done():
                    task.result()
        finally:
            copying.cancel()
            tending.cancel()
            await asyncio.gather(copying, tending, return_exceptions=True)
            self._ended.set()

    async def drain(self, seconds: float) -> None:
        """Fetch nothing more, and end `run`; what was fetched has `seconds` to be written, and is read again if not."""
        if not self._halt.done():
            self._halt.set_result(seconds)
        await self._ended.wait()

    async def _copy(self) -> None:
        while not self._halt.done():
            batch = await self._subscription.fetch(max_events=_BATCH_EVENTS, max_bytes=_BATCH_BYTES)
            if batch:
                await durably(partial(self._index.write, batch))
                self._subscription.commit({stored.position.partition: stored.position.offset for stored in batch})

    async def _tend(self) -> None:
        """Keep the numbers of a scrape, and remove old entries."""
        expires_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            with suppress(Unavailable):  # asked again in a second
                self._backlog = await self._subscription.backlog()
                if loop.time() >= expires_at:
                    removed = await self._index.expire(self._now_us() - self._retention_us, _EXPIRE_SLICE)
                    expires_at = loop.time() + (0.0 if removed == _EXPIRE_SLICE else _EXPIRE_EVERY)
            await asyncio.sleep(_TEND_EVERY)
