"""One membership of a router's group, from joining to leaving, on the client's loop.

It finds where each partition begins, reads ahead as far as the handover has room, and writes finished positions to the
group. Each change of the assignment is a new epoch: what was read in an earlier one is let go, and every partition is
sought anew before it is read.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Collection
from contextlib import suppress
from typing import Any

from aiokafka.errors import KafkaError

from gateway.keep.kafka.bridge import Bridge, tell
from gateway.keep.kafka.consumer import Displaced, FencedError, GroupConsumer, Pace, ReplaceError, Unreadable
from gateway.keep.kafka.handover import Handover
from gateway.keep.kafka.records import Read
from gateway.keep.kafka.starts import Starts
from gateway.keep.kafka.suspects import Suspects
from gateway.keep.kafka.vigil import Vigil

_log = logging.getLogger("gateway.keep")

_JOIN_SECONDS = 60.0
_POLL_SECONDS = 0.2
_LOOK_EVERY = 1.0
_POLL_RECORDS = 500
_SEARCH_PAUSE = 0.05
_ERROR_PAUSE = 1.0
_PAUSE_AFTER = 5.0
# Of the group's patience with a member that lets go: for the worker, and for the last commit.
_WORKER_SHARE = 0.7
_COMMIT_SHARE = 0.2
# A worker that ends has little time; what is not written is read again, and meets its marks.
_FAREWELL_SECONDS = 3.0


class Member:
    """One consumer at work.

    Attributes:
        has_read: whether it ever read a record.
    """

    def __init__(
        self,
        consumer: GroupConsumer,
        handover: Handover,
        bridge: Bridge,
        starts: Starts,
        vigil: Vigil,
        *,
        pace: Pace,
    ) -> None:
        self.has_read = False
        self._consumer = consumer
        self._handover = handover
        self._bridge = bridge
        self._starts = starts
        self._vigil = vigil
        self._pace = pace
        self._epoch = 0
        self._joined = False
        self._next: dict[int, int] = {}
        self._unplaced: dict[int, int | None] = {}
        self._told: set[int] = set()
        self._suspects = Suspects()
        self._placing: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._letting_go = asyncio.Lock()
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, closing: asyncio.Event) -> None:
        """Live until `closing` is set; then leave the group with what is finished written.

        Raises:
            ReplaceError: another consumer is wanted.
            DependencyError: a position is beyond its partition's end.
            KafkaError, OSError, TimeoutError: the cluster does not answer, or refuses us.
        """
        try:
            await _first_of(closing.wait(), self._live())
        finally:
            await self._leave(for_good=closing.is_set())

    async def _live(self) -> None:
        async with asyncio.timeout(_JOIN_SECONDS):
            await self._consumer.join(self._revoked, self._assigned)
        await _first_of(self._read(), self._write_regularly(), self._watch(), asyncio.shield(self._broken))

    # Partitions that come and go

    def _assigned(self, partitions: Collection[int]) -> None:
        self._new_epoch()
        self._joined = True
        self._unplaced = dict.fromkeys(partitions)
        self._changed.set()

    async def _revoked(self, _partitions: Collection[int]) -> None:
        self._new_epoch()
        await self._let_go()

    def _new_epoch(self) -> None:
        self._epoch += 1
        self._joined = False
        self._next.clear()
        self._unplaced.clear()
        self._suspects = Suspects()

    async def _let_go(self) -> None:
        """Have the worker let go of everything, write what it finished, and forget the rest."""
        self._handover.stop(self._told)
        async with self._letting_go:
            await self._halt_placing()
            going, self._told = self._told, set()
            if not going:
                return
            try:
                if not await self._bridge.revoking(going, within=_WORKER_SHARE * self._pace.rebalance):
                    _log.error("subscription.revocation_timed_out", extra={"partitions": len(going)})
            except Exception as error:  # noqa: BLE001 - the worker's: it ends the subscription, not aiokafka's task
                self._break(error)
            await self._write(within=min(self._pace.commit_within, _COMMIT_SHARE * self._pace.rebalance))
            self._handover.shut(going)

    async def _leave(self, *, for_good: bool) -> None:
        await self._halt_placing()
        if for_good:
            await self._write(within=min(self._pace.commit_within, _FAREWELL_SECONDS))
        else:
            self._new_epoch()
            await self._let_go()
        await self._consumer.stop(within=_FAREWELL_SECONDS if for_good else None)

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    # Reading

    async def _read(self) -> None:
        while True:
            if self._consumer.ended():
                raise ReplaceError("a task inside it ended")
            if self._unplaced:
                await self._place()
            elif not self._next:
                self._changed.clear()
                await self._changed.wait()
            elif self._handover.full():
                await self._wait_for_room()
            else:
                await self._poll()

    async def _place(self) -> None:
        self._placing = asyncio.create_task(self._begin(dict(self._unplaced)))
        await asyncio.wait({self._placing})
        if not self._placing.cancelled():  # else the partitions went again
            self._placing.result()

    async def _begin(self, wanted: dict[int, int | None]) -> None:
        fresh = [partition for partition, known in wanted.items() if known is None]
        if fresh:
            self._told.update(fresh)
            await self._bridge.assigned(fresh)
        for partition, start in (await self._starts.find(wanted)).items():
            self._consumer.seek(partition, start.offset)
            self._next[partition] = start.offset
            self._handover.count_gap(start.gap)
            if wanted[partition] is None:
                self._handover.open(partition, start.offset, written=start.known == "group" and not start.gap)
        self._unplaced = {}

    async def _halt_placing(self) -> None:
        if self._placing is not None and not self._placing.done():
            self._placing.cancel()
            await asyncio.wait({self._placing})

    async def _poll(self) -> None:
        now = time.monotonic()
        due = self._suspects.due(now)
        if due is not None:
            await self._take_from([due], wait=_POLL_SECONDS, most=1)
        elif self._suspects.searching(now):
            await self._search()
        else:
            await self._take_from(self._suspects.sound(self._next), wait=_POLL_SECONDS, most=_POLL_RECORDS)

    async def _search(self) -> None:
        """Poll each for one record; the one that cannot be read ends the turn, for all are placed anew."""
        found = False
        for partition in self._suspects.sound(self._next):
            if partition in self._next and not self._unplaced:
                found = await self._take_from([partition], wait=0.0, most=1) or found
        if not found:
            await asyncio.sleep(_SEARCH_PAUSE)

    async def _take_from(self, polled: list[int], *, wait: float, most: int) -> bool:
        """Poll these, and hand over what came; return whether anything did."""
        epoch = self._epoch
        try:
            found = await self._consumer.poll(polled, wait=wait, most=most)
        except (Displaced, Unreadable) as trouble:
            if epoch == self._epoch:
                self._seek_anew(polled, trouble)
                await asyncio.sleep(_ERROR_PAUSE)
            return False
        if found and epoch == self._epoch:
            self._take(found)
        return bool(found)

    def _take(self, found: list[Read]) -> None:
        for read in found:
            self._next[read.stored.position.partition] = read.stored.position.offset + 1
            self._suspects.read(read.stored.position.partition)
        self.has_read = True
        self._handover.put(found)

    def _seek_anew(self, polled: list[int], trouble: Displaced | Unreadable) -> None:
        """Place all partitions where the records that were read end: the error may have passed over others."""
        self._unplaced = dict(self._next)
        if isinstance(trouble, Unreadable):
            culprit = self._suspects.failed(polled, time.monotonic())
            if culprit is not None:
                where = {"partition": culprit, "offset": self._next[culprit], "error": str(trouble)}
                _log.error("subscription.batch_unreadable", extra=where)

    async def _wait_for_room(self) -> None:
        """Wait until the worker has taken half; if that takes long, hold nothing back in the client either."""
        room, loop = asyncio.Event(), asyncio.get_running_loop()
        self._handover.when_room(lambda: tell(loop, room.set))
        with suppress(TimeoutError):
            async with asyncio.timeout(_PAUSE_AFTER):
                await room.wait()
        if room.is_set():
            return
        epoch, held = self._epoch, list(self._next)
        await self._consumer.pause(held)
        await room.wait()
        if epoch == self._epoch:
            self._consumer.resume(held)

    # Writing and watching

    async def _write_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._pace.commit_every)
            await self._write(within=self._pace.commit_within)

    async def _write(self, *, within: float) -> None:
        try:
            async with asyncio.timeout(within), self._writing:
                positions = self._handover.unwritten()
                if not positions:
                    return
                await self._consumer.commit(positions, within=within)
                self._handover.wrote(positions)
        except FencedError:
            _log.warning("subscription.commit_fenced")
        except (KafkaError, TimeoutError) as error:
            _log.warning("subscription.commit_failed", extra={"error": type(error).__name__})
        else:
            self._bridge.save(positions)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            waiting = self._next.keys() if self._handover.full() or self._unplaced else self._suspects.culprits.keys()
            await self._vigil.look(dict(self._next), waiting=waiting, joining=not self._joined)


async def _first_of(*parts: Awaitable[Any]) -> None:
    """Run them side by side until one of them ends, and end with it; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.cancelled():  # by a cancelled task inside the client, whose result it asked for
                raise ReplaceError("a task inside it was cancelled")
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
