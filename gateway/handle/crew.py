"""The crew: starts jobs as lanes, gates and the router's concurrency allow, one task a run, and owns those tasks.

Only the handler's own time counts against the concurrency; waiting for a pair's outcome to become durable does not, or
the disk would set the pace. The lane stays closed until the outcome is durable.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.handle.calls import Abandoned
from gateway.handle.gates import NO_HANDLER, Gate
from gateway.handle.jobs import Job, JobEntry
from gateway.handle.lanes import LaneKey, Lanes, Slot


class Runner(Protocol):
    """What runs one job: see `Dispatcher.run`."""

    def __call__(self, job: Job, released: Callable[[Job], None], /) -> Awaitable[float | None]:
        """Return None once the outcome is durable, or the seconds after which to run the job again in place."""
        ...


class Crew:
    """Runs jobs.

    Attributes:
        lanes: what waits and what runs.
        concurrency: how many handlers may be in a call at a time.
        stopped: nothing new starts.
        failed: completes with the error when a run brings the worker down.
    """

    def __init__(
        self, runner: Runner, gates: dict[str, Gate], *, concurrency: int, finished: Callable[[JobEntry], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.lanes: Lanes[Job] = Lanes()
        self.concurrency = concurrency
        self.stopped = False
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._runner = runner
        self._gates = gates
        self._order = list(gates.values())
        self._finished = finished
        self._calling = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: set[Job] = set()
        self._resting: dict[JobEntry, asyncio.TimerHandle] = {}
        self._settling: Callable[[Job], bool] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def add(self, job: Job, slot: Slot | None) -> None:
        """Put a job into its lane; call `start_ready` when the batch is in."""
        name = NO_HANDLER if job.handler is None else job.handler.name
        self.lanes.add(LaneKey(name, job.pair.event.key), slot, job)

    def idle(self) -> bool:
        """Return whether nothing waits and nothing runs."""
        return not self.lanes.waiting and not self.lanes.started

    def start_ready(self) -> None:
        """Start all that may start."""
        while not self.stopped and self._calling < self.concurrency:
            entry = self._next()
            if entry is None:
                return
            self._start(entry)

    def drop(self, fits: Callable[[Job], bool]) -> list[JobEntry]:
        """Take out of the lanes what does not run and fits; it is the caller's to forget."""
        for entry in [entry for entry in self._resting if fits(entry.item)]:
            self._resting.pop(entry).cancel()
            self.lanes.again(entry)
        return self.lanes.drop(fits)

    async def settle(self, fits: Callable[[Job], bool], seconds: float) -> None:
        """Wait up to `seconds` for the outcomes of those that run and fit; none is tried again: `drop` them after."""
        tasks = {job.task for job in self._jobs if job.task is not None and fits(job)}
        self._settling = fits
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=seconds)
        finally:
            self._settling = None

    async def drain(self, seconds: float, grace: float) -> None:
        """Start nothing more, wait up to `seconds` for what runs, and then up to `grace` for what had to be cancelled.

        What is cancelled has no outcome: it runs again with the next worker.
        """
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for job in self._jobs:
            if job.task is not None and not job.cause:
                job.cause = "abandoned"
                job.task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)

    def _next(self) -> JobEntry | None:
        """Start the next head, handlers taking turns; if rates alone forbid it, come back when they allow."""
        soonest: float | None = None
        now = self._loop.time()
        for index, gate in enumerate(self._order):
            if not self.lanes.can_start(gate.name):
                continue
            wait = gate.wait(now)
            if wait == 0.0:
                self._order.append(self._order.pop(index))
                return self.lanes.start(gate.name)
            if wait is not None and (soonest is None or wait < soonest):
                soonest = wait
        self._come_back(soonest)
        return None

    def _come_back(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self.start_ready)

    def _start(self, entry: JobEntry) -> None:
        job = entry.item
        self._gates[entry.lane.handler].enter()
        self._calling += 1
        job.holds_gate = True
        job.task = task = self._loop.create_task(self._run(entry))
        self._tasks.add(task)
        self._jobs.add(job)
        task.add_done_callback(self._over)

    async def _run(self, entry: JobEntry) -> None:
        job = entry.item
        try:
            again = await self._runner(job, self._release)
        finally:
            self._jobs.discard(job)
            self._release(job)
        if again is None:
            self.lanes.finish(entry)
            self._finished(entry)
        else:
            self._resting[entry] = self._loop.call_later(again, self._again, entry)
        self.start_ready()

    def _release(self, job: Job) -> None:
        if not job.holds_gate:
            return
        job.holds_gate = False
        self._calling -= 1
        self._gates[NO_HANDLER if job.handler is None else job.handler.name].leave()
        self.start_ready()

    def _again(self, entry: JobEntry) -> None:
        if self._settling is not None and self._settling(entry.item):
            return
        del self._resting[entry]
        self.lanes.again(entry)
        self.start_ready()

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, Abandoned) and not self.failed.done():
            self.stopped = True
            self.failed.set_exception(error)
