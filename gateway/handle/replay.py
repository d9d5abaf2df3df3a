"""Replays: stored events read again for one router's handlers, in order, slowly if asked, resumed after a crash.

`missing` skips the pairs that have a mark; `force` runs them under a mark that holds the replay's id, so that it, too,
runs each pair once however often it is resumed. Progress is durable only up to what is wholly finished.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from gateway.core.errors import Unavailable
from gateway.handle.caution import Caution
from gateway.handle.durably import durably
from gateway.handle.intake import Intake
from gateway.handle.jobs import JobEntry
from gateway.handle.lanes import Window
from gateway.handle.meter import RouterMeter
from gateway.handle.rates import Bucket
from gateway.keep.ports import History, Replay, Replays, Stored

log = logging.getLogger("gateway.handle")

WINDOW_EVENTS = 256
WINDOW_BYTES = 8 * 2**20
_SAVE_EVERY = 1.0


class Replayer:
    """Runs a router's replays one after the other, beside the live events and inside the same concurrency."""

    def __init__(
        self,
        replays: Replays,
        history: History,
        intake: Intake,
        meter: RouterMeter,
        caution: Caution,
        going: asyncio.Event,
    ) -> None:
        self._replays = replays
        self._history = history
        self._intake = intake
        self._meter = meter
        self._caution = caution
        self._going = going
        self._queue: dict[str, Replay] = {replay.id: replay for replay in replays.running()}
        self._more = asyncio.Event()
        self._moved = asyncio.Event()

    async def submit(self, replay: Replay) -> None:
        """Queue a replay once it is durable."""
        await self._replays.save(replay)
        self._queue[replay.id] = replay
        self._more.set()

    async def cancel(self, replay_id: str) -> bool:
        """Stop a replay; return whether it was there."""
        replay = self._queue.get(replay_id)
        if replay is None:
            return False
        await self._replays.save(replace(replay, state="cancelled"))
        self._drop(replay_id)
        return True

    async def adopt(self) -> None:
        """Take up the replays that were ordered elsewhere, and let go of those that another worker runs."""
        with suppress(Unavailable):  # in a second it is asked again
            mine = {replay.id: replay for replay in await self._replays.adopt()}
            for replay_id in self._queue.keys() - mine.keys():
                self._drop(replay_id)
            if mine.keys() - self._queue.keys():
                self._queue = {**mine, **self._queue}
                self._more.set()

    def running(self) -> Sequence[Replay]:
        """Return the replays that are not finished, with their progress."""
        return list(self._queue.values())

    async def save(self) -> None:
        """Make the progress of all replays durable.

        Raises:
            Unavailable: the store cannot take it now.
        """
        for replay in self.running():
            await self._replays.save(replay)

    async def run(self) -> None:
        """Run replays as they come, for ever."""
        while True:
            for replay_id in list(self._queue):
                if replay_id in self._queue:  # else it was cancelled while it waited
                    await self._replay(replay_id)
            await self._caution.handed_out("replay")
            self._more.clear()
            if not self._queue:
                await self._more.wait()

    async def _replay(self, replay_id: str) -> None:
        progress = _Progress(self._queue[replay_id])
        await self._hand_out(replay_id, progress)
        if self._caution.active:
            await self._caution.handed_out("replay")
        while progress.window.events and replay_id in self._queue:
            await self._movement()
        replay = self._queue.get(replay_id)
        if replay is not None:
            await durably(lambda: self._replays.save(replace(replay, state="done")))
            self._drop(replay_id)
            log.info("replay.done", extra={"replay": replay_id, "events": replay.handed})

    def _drop(self, replay_id: str) -> None:
        self._queue.pop(replay_id, None)
        self._moved.set()

    async def _hand_out(self, replay_id: str, progress: "_Progress") -> None:
        replay, window = self._queue[replay_id], progress.window
        bucket = None if replay.rate is None else Bucket(replay.rate)
        told = partial(self._finished, replay_id, progress)
        upto = dict(replay.at)
        while replay_id in self._queue:
            await self._going.wait()
            while window.events > WINDOW_EVENTS // 2 or window.bytes > WINDOW_BYTES:
                await self._movement()
            batch = await self._read(replay, upto, window)
            if not batch:
                return
            for chunk in [batch] if bucket is None else [[stored] for stored in batch]:
                await self._pace(bucket)
                progress.offered += len(chunk)
                await self._intake.admit_replay(chunk, window, told, replay)
                self._meter.replayed(len(chunk))
            upto.update(stored.position for stored in batch)
            await self._note(replay_id, progress)
            if self._caution.active and progress.offered >= WINDOW_EVENTS:
                await self._caution.handed_out("replay")

    async def _read(self, replay: Replay, after: dict[int, int], window: Window) -> Sequence[Stored]:
        return await self._history.read(
            replay.where,
            after=after,
            upto=replay.upto,
            max_events=WINDOW_EVENTS - window.events,
            max_bytes=WINDOW_BYTES,
        )

    async def _pace(self, bucket: Bucket | None) -> None:
        if bucket is None:
            return
        await asyncio.sleep(bucket.wait(asyncio.get_running_loop().time()))
        bucket.take()
        await self._going.wait()

    async def _note(self, replay_id: str, progress: "_Progress") -> None:
        """Note how far everything is finished; durable about once a second."""
        self._update(replay_id, progress)
        now = asyncio.get_running_loop().time()
        if now >= progress.save_at and replay_id in self._queue:
            progress.save_at = now + _SAVE_EVERY
            with suppress(Unavailable):  # the next one will do
                await self._replays.save(self._queue[replay_id])

    def _finished(self, replay_id: str, progress: "_Progress", entry: JobEntry) -> None:
        if entry.slot is not None and progress.window.finish(entry.slot):
            self._update(replay_id, progress)
            self._moved.set()

    def _update(self, replay_id: str, progress: "_Progress") -> None:
        replay, moved = self._queue.get(replay_id), progress.window.take_commits()
        if replay is not None and moved:
            handed = progress.before + progress.offered - progress.window.events
            self._queue[replay_id] = replace(replay, at={**replay.at, **moved}, handed=handed)

    async def _movement(self) -> None:
        """Wait for an event to be finished; the caller has just seen that it must, and nothing ran since."""
        self._moved.clear()
        await self._moved.wait()


class _Progress:
    """How far one replay got since this worker took it up."""

    __slots__ = ("before", "offered", "save_at", "window")

    def __init__(self, replay: Replay) -> None:
        self.window = Window()
        self.before = replay.handed
        self.offered = 0
        self.save_at = 0.0
