"""Crash blame (design 6.9): after an unclean end, the pairs that may be to blame run one at a time, each noted durably.

Only a crash while alone counts against a pair, so a neighbour of the culprit is never blamed. After three of them the
pair is a dead letter. What may have been running is what each feed hands out first: a window of the log, one round of
due retries, a window of each replay.
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.handle.crew import Runner
from gateway.handle.durably import durably
from gateway.handle.jobs import Job
from gateway.keep.ports import Blame

MOST_CRASHES = 3
FEEDS = frozenset({"log", "parked", "replay"})
_OF_PARTITIONS = frozenset({"log", "parked"})


class Caution:
    """Whether pairs run alone, and the runner that lets them."""

    def __init__(self, blame: Blame, runner: Runner, *, idle: Callable[[], bool], over: Callable[[], None]) -> None:
        self._blame = blame
        self._runner = runner
        self._idle = idle
        self._on_over = over
        self._unseen = set(FEEDS) if blame.unclean() else set()
        self._anew = asyncio.Event()
        self._over = not self._unseen

    @property
    def active(self) -> bool:
        """Whether pairs run alone."""
        return not self._over

    async def handed_out(self, feed: str) -> None:
        """Note that a feed handed out all it may have had running, and wait until all feeds' pairs are finished.

        Returns earlier if the feed must begin anew.
        """
        self._unseen.discard(feed)
        self.may_end()
        if self.active:
            await self._anew.wait()

    def begin_anew(self) -> None:
        """Partitions leave, and with them what was handed out; they may come back, and the one to blame with them."""
        if self.active:
            self._unseen |= _OF_PARTITIONS
            self._wake()

    def may_end(self) -> None:
        """End the caution if nothing is left that may be to blame; called after each finished pair."""
        if self.active and not self._unseen and self._idle():
            self._over = True
            self._wake()
            self._on_over()

    def _wake(self) -> None:
        self._anew.set()
        self._anew = asyncio.Event()

    def run(self, job: Job, released: Callable[[Job], None]) -> Awaitable[float | None]:
        """Run the job: alone while caution lasts. One that killed other workers often enough is not run at all."""
        if self.active:
            return self._run_alone(job, released)
        if job.fresh:  # what an operator sent back is parked, and what is known here of its crashes may be old
            self._condemn(job)
        return self._runner(job, released)

    def _condemn(self, job: Job) -> None:
        if self._blame.crashes(job.key) >= MOST_CRASHES and not job.marked:
            job.doom = "crashed"

    async def _run_alone(self, job: Job, released: Callable[[Job], None]) -> float | None:
        self._condemn(job)
        if job.marked or job.doom is not None:
            return await self._runner(job, released)
        await durably(lambda: self._blame.started_alone(job.key))
        try:
            # Its place is kept until its outcome is durable: the next one's note must not stand beside this one's.
            return await self._runner(job, lambda _job: None)
        finally:
            self._blame.finished_alone(job.key)
