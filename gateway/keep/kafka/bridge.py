"""Calls from the client's thread into the worker's loop: partitions come and go there, and the store is asked there."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from gateway.keep.kafka.placing import Places
from gateway.keep.ports import Assignment

T = TypeVar("T")


class Bridge:
    """The worker, as the client's thread sees it. Made on the worker's loop; its coroutines run on the client's."""

    def __init__(self, assignment: Assignment | None, places: Places | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._assignment = assignment
        self._places = places
        # A revocation may outlast the client's patience; what is assigned next waits for it.
        self._turn = asyncio.Lock()

    async def assigned(self, partitions: Collection[int]) -> None:
        """Have the worker make ready for these partitions, however long that takes; cancelled if they go again."""
        await asyncio.wrap_future(self._call(self._assigned(partitions)))

    async def revoking(self, partitions: Collection[int], *, within: float) -> bool:
        """Have the worker let go of these partitions; return whether it did so in time. If not, it goes on with it."""
        client, done = asyncio.get_running_loop(), asyncio.Event()
        call = self._call(self._revoking(partitions))
        call.add_done_callback(lambda _: tell(client, done.set))
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await done.wait()
        if call.done():
            call.result()
        return call.done()

    async def load(self) -> Mapping[int, int]:
        """Return the positions that the store keeps, none if there is no store for them.

        Raises:
            Unavailable: the store cannot be asked now.
        """
        if self._places is None:
            return {}
        return await asyncio.wrap_future(self._call(self._places.load()))

    def save(self, positions: Mapping[int, int]) -> None:
        """Pass on to the store what the group knows now."""
        if self._places is not None:
            tell(self._loop, lambda: self._save(positions))

    def note_gap(self, partition: int, after: int, events: int) -> None:
        """Pass on to the store what the log let go before it was handled."""
        places = self._places
        if places is not None:
            tell(self._loop, lambda: places.note_gap(partition, after, events))

    def _save(self, positions: Mapping[int, int]) -> None:
        if self._places is not None:
            self._places.save(positions)

    async def _assigned(self, partitions: Collection[int]) -> None:
        async with self._turn:
            if self._assignment is not None:
                await self._assignment.assigned(partitions)

    async def _revoking(self, partitions: Collection[int]) -> None:
        async with self._turn:
            if self._assignment is not None:
                await self._assignment.revoking(partitions)

    def _call(self, call: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        try:
            return asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError:  # the worker's loop is closed, and whoever waits for it is ending, too
            call.close()
            raise


def tell(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Have another thread's loop make a call; nothing happens if it has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
