"""Asking Postgres with deadlines: whoever asks is answered or refused in time, whatever the server does.

A question runs in a task of its own, so that a server that says nothing can be left alone: what was asked of it ends
by itself, a few seconds later, and its connection with it.
"""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gateway.core.errors import Unavailable
from gateway.keep.postgres.connection import Connection, Pool, reaching

T = TypeVar("T")

Work = Callable[[Connection], Awaitable[T]]

ASK_SECONDS = 10.0


class Asker:
    """One pool, and the tasks that use it. Whoever opened the pool closes it, after `close`."""

    def __init__(self, pool: Pool, *, seconds: float = ASK_SECONDS) -> None:
        self.seconds = seconds
        self._pool = pool
        self._tasks: set[asyncio.Task[Any]] = set()

    async def ask(self, work: Work[T]) -> T:
        """Return what `work` returns, which is given a connection in autocommit mode.

        Raises:
            Unavailable: the server cannot be asked, or did not answer in time; what was to be written may be written.
        """
        task = self.own(self._work(work))
        try:
            await asyncio.wait({task}, timeout=self.seconds)
        finally:
            answered = task.done() and not task.cancelled()
            task.cancel()
        if not answered:
            raise Unavailable("store_down", written=None)
        with reaching(written=True):
            return task.result()

    def own(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run a coroutine as a task of ours, which `close` ends."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self, seconds: float) -> None:
        """Give what was begun some seconds to end, then cancel it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def _work(self, work: Work[T]) -> T:
        async with self._pool.connection(timeout=self.seconds) as connection:
            return await work(connection)


class InOrder:
    """Writes of which each is asked when the one before it is answered; only the end of their asker cancels one."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._turn = asyncio.Lock()

    def begin(self, work: Work[T], done: Callable[[T], None] | None = None) -> "Future[T]":
        """Ask in turn; `done` is told the answer before the future completes, with `Unavailable` if there is none."""
        future: Future[T] = asyncio.get_running_loop().create_future()
        task = self._asker.own(self._ask(work, done))
        task.add_done_callback(lambda _: hand_over(task, future))
        return future

    async def _ask(self, work: Work[T], done: Callable[[T], None] | None) -> T:
        try:
            async with asyncio.timeout(self._asker.seconds):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable("store_down") from None
        try:
            answer = await self._asker.ask(work)
        finally:
            self._turn.release()
        if done is not None:
            done(answer)
        return answer


def hand_over(task: "asyncio.Task[T]", future: "Future[T]") -> None:
    """Complete the future as the task ended; nobody needs to wait for it."""
    error = Unavailable("store_down", written=None) if task.cancelled() else task.exception()
    if future.done():
        return
    if error is None:
        future.set_result(task.result())
    else:
        future.set_exception(error)
        future.exception()  # seen: whoever waits is told again
