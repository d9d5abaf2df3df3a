"""One call of a handler: its context, its deadline, and its end, whatever the handler raises, swallows or ignores."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gateway.api import Handler
from gateway.context import Context, Reaching, RunFacts
from gateway.handle.jobs import Job
from gateway.keep.ports import AlreadyDone, StaleEvent, Store, Turn, Version


class Abandoned(Exception):  # noqa: N818 - an order, not an error
    """The worker ends before this run did: it has no outcome, and begins again with the next worker."""


def wall_clock_us() -> int:
    """Return microseconds since the epoch."""
    return time.time_ns() // 1000


class Call:
    """What a call came to.

    Attributes:
        turn: the transaction it opened and that is still to be ended, or None.
        ended: the store's word that the pair is done or stale, even if the handler swallowed it.
        raised: what it raised, or None.
        unmatched: its `where` said no.
        version: what the stale guard compares, or None.
        seconds: how long it took.
    """

    __slots__ = ("ended", "raised", "seconds", "turn", "unmatched", "version")

    def __init__(self) -> None:
        self.turn: Turn | None = None
        self.ended: AlreadyDone | StaleEvent | None = None
        self.raised: BaseException | None = None
        self.unmatched = False
        self.version: Version | None = None
        self.seconds = 0.0


class Limits(NamedTuple):
    """How long a handler may hold its transaction, and how long it may take to end once cancelled; in seconds."""

    tx: float
    grace: float


class Caller:
    """Calls the handlers of one router.

    `hung` is called when a handler goes on for its grace after it was cancelled: the process must not go on with it.
    """

    def __init__(
        self,
        router: str,
        store: Store,
        limits: Limits,
        *,
        hung: Callable[[Job], None],
        now_us: Callable[[], int],
        reaching: Reaching,
    ) -> None:
        self._router = router
        self._store = store
        self._limits = limits
        self._hung = hung
        self._now_us = now_us
        self._reaching = reaching

    async def call(self, job: Job, handler: Handler) -> Call:
        """Call the handler once, in the current task, and fence its context.

        Raises:
            Abandoned: the worker ends.
        """
        loop = asyncio.get_running_loop()
        call = Call()
        context = Context(self._facts(job, handler), partial(self._begin, job, call), self._reaching)
        began = loop.time()
        job.since = began if job.since is None else job.since
        job.timer = loop.call_later(handler.timeout, self._expire, job, context)
        try:
            await self._run(job, handler, context, call)
        except BaseException as error:  # noqa: BLE001 - a SystemExit of a handler is its failure, not the worker's end
            call.raised = error
        job.timer.cancel()
        tx = context.end("this run is over")
        call.turn, call.ended, call.seconds = tx.turn, call.ended or tx.ended, loop.time() - began
        if job.cause:
            await self._cancelled(job, handler, call)
        return call

    async def _run(self, job: Job, handler: Handler, context: Context, call: Call) -> None:
        event = job.pair.event
        if handler.where is not None and not handler.where(event):
            call.unmatched = True
            return
        if handler.version is not None:
            await self._check_version(handler, handler.version(event), job, call)
            if call.ended is not None:
                return
        await handler.function(event, context)

    async def _check_version(self, handler: Handler, value: int | None, job: Job, call: Call) -> None:
        """Spare a stale event its run. `Store.begin` and `Store.mark` decide for good, in their transaction."""
        if value is None:
            return
        event = job.pair.event
        call.version = Version(event.source, event.key, value)
        for name in handler.names:
            newest = await self._store.newest(name, call.version)
            if newest is not None and newest > value:
                call.ended = StaleEvent()

    async def _begin(self, job: Job, call: Call) -> Turn:
        attempt = job.pair.attempt + 1
        return await self._store.begin(job.key, version=call.version, attempt=attempt, limit=self._limits.tx)

    def _expire(self, job: Job, context: Context) -> None:
        if job.task is None:  # a call outside a worker's task cannot be cancelled, only fenced
            context.end("this run outlived its timeout")
            return
        job.cause = "timeout"
        context.end("this run outlived its timeout")
        job.task.cancel()
        job.timer = asyncio.get_running_loop().call_later(self._limits.grace, self._hung, job)

    async def _cancelled(self, job: Job, handler: Handler, call: Call) -> None:
        """Tell our own cancellations apart from the handler's errors; what it raised on the way out is of no use."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if job.cause == "abandoned":
            await roll_back(call)
            raise Abandoned
        job.cause = ""
        call.raised = TimeoutError(f"no end within {handler.timeout:g} s")

    def _facts(self, job: Job, handler: Handler) -> RunFacts:
        pair = job.pair
        return RunFacts(
            router=self._router,
            handler=handler.name,
            first_name=handler.first_name,
            event=pair.event,
            attempt=pair.attempt + 1,
            deadline_us=self._now_us() + int(handler.timeout * 1e6),
            replay_id=pair.replay_id,
            salt=pair.replay_id if pair.new_keys else "",
        )


async def roll_back(call: Call) -> None:
    """Undo what the call wrote, its mark included."""
    turn, call.turn = call.turn, None
    if turn is not None:
        await turn.rollback()
