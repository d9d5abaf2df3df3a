"""What a worker does when partitions come to it and leave it. The embedded log never asks for it.

A partition that leaves takes its waiting pairs with it: its next owner reads them again. What runs may end for a while,
so that its outcome is committed before the partition goes; what outlives that runs on, and its mark decides.
"""

import asyncio
from collections.abc import Callable, Collection

from gateway.handle.crew import Crew
from gateway.handle.durably import durably
from gateway.handle.jobs import Job, JobEntry
from gateway.handle.lanes import Window
from gateway.keep.ports import Parking


class Rebalance:
    """The `Assignment` of one worker.

    Attributes:
        admitting: held while records that were fetched become jobs, so that a partition does not leave in between.
        leaving: called before anything of a partition that leaves is dropped.
        moves: how often partitions left.
    """

    def __init__(
        self,
        parking: Parking,
        crew: Crew,
        window: Window,
        dropped: Callable[[JobEntry], None],
        commit: Callable[[], None],
        *,
        patience: float,
    ) -> None:
        self.admitting = asyncio.Lock()
        self._parking = parking
        self._crew = crew
        self._window = window
        self._dropped = dropped
        self._commit = commit
        self.moves = 0
        self.leaving: Callable[[], None] = lambda: None
        self._patience = patience

    async def assigned(self, partitions: Collection[int]) -> None:
        """Learn what is parked of these partitions, before anything of them is read."""
        await durably(lambda: self._parking.take(partitions))

    async def revoking(self, partitions: Collection[int]) -> None:
        """Drop what waits, give what runs up to the patience to end, commit, and forget the rest."""
        leaving = frozenset(partitions)

        def leaves(job: Job) -> bool:
            # A replay belongs to the worker that runs it, whosever the partition is.
            return job.pair.position.partition in leaving and not (job.fresh and job.pair.replay_id)

        async with self.admitting:
            self.moves += 1
            self.leaving()
            self._drop(leaves)
            await self._crew.settle(leaves, self._patience)
            self._drop(leaves)  # what failed meanwhile, and would be tried again
            self._commit()
            self._window.drop(leaving)
            self._parking.release(leaving)
        self._commit()  # the window has room again: its feed may wait for that

    def _drop(self, leaves: Callable[[Job], bool]) -> None:
        for entry in self._crew.drop(leaves):
            self._dropped(entry)
