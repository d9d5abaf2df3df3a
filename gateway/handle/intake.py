"""The intake: turns stored events into jobs, leaving out the pairs that have a durable outcome already."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from gateway.api import Handler, Router
from gateway.core.event import Event, identity_digest
from gateway.handle.calls import wall_clock_us
from gateway.handle.crew import Crew
from gateway.handle.durably import durably
from gateway.handle.gates import NO_HANDLER
from gateway.handle.jobs import Job, Report
from gateway.handle.lanes import Window
from gateway.handle.meter import RouterMeter
from gateway.keep.ports import MarkKey, Pair, Parking, Position, Replay, Store, Stored

# What an event weighs in memory beside its body, in bytes; roughly, for the window's bound.
_WEIGHT = 1024


class Intake:
    """Plans jobs.

    Marks are looked up once for a whole batch. A pair of the same mark may be under way at that time, so these are
    counted, and a job that met one looks again before it runs.
    """

    def __init__(self, router: Router, store: Store, parking: Parking, meter: RouterMeter, crew: Crew) -> None:
        self._router = router
        self._store = store
        self._parking = parking
        self._meter = meter
        self._crew = crew
        self._under_way: dict[MarkKey, int] = {}

    async def admit(self, batch: Sequence[Stored], window: Window, report: Report) -> None:
        """Take the next records of the log, in order."""
        planned = [(stored, self._jobs(stored, report)) for stored in batch]
        jobs = [job for _, jobs in planned for job in jobs]
        skip = await self._known(jobs, parked_too=True)
        self._offer(planned, skip, window)

    async def admit_replay(self, batch: Sequence[Stored], window: Window, report: Report, replay: Replay) -> None:
        """Take records that a replay reads again; what failed to decode is a dead letter already."""
        planned = [(stored, self._replayed(stored, report, replay)) for stored in batch]
        jobs = [job for _, jobs in planned for job in jobs]
        skip = await self._known(jobs, parked_too=False)
        self._offer(planned, skip, window)

    async def admit_parked(self, pairs: Sequence[Pair], report: Report) -> None:
        """Take pairs whose retry is due."""
        jobs = [self._parked(pair, report) for pair in pairs]
        marked = await self._known(jobs, parked_too=False)
        for job in jobs:
            job.marked = job in marked
            self._crew.add(job, None)
        self._crew.start_ready()

    def left(self, job: Job) -> None:
        """Forget a job that is finished."""
        for key in job.keys:
            count = self._under_way.pop(key) - 1
            if count:
                self._under_way[key] = count

    def _jobs(self, stored: Stored, report: Report) -> list[Job]:
        event = stored.event
        if event is None:
            return [_unreadable(stored, report)]
        return [
            Job(Pair(handler=handler.name, event=event, position=stored.position), handler, report, fresh=True)
            for handler in self._router.candidates(event)
            if _wanted(handler, event)
        ]

    def _replayed(self, stored: Stored, report: Report, replay: Replay) -> list[Job]:
        event = stored.event
        if event is None:
            return []
        chosen = None if replay.handler is None else self._router.handler(replay.handler)
        first = Pair(
            handler="",
            event=event,
            position=stored.position,
            replay=replay.id if replay.mode == "force" else "",
            replay_id=replay.id,
            new_keys=replay.new_keys,
        )
        return [
            Job(replace(first, handler=handler.name), handler, report, fresh=True)
            for handler in self._router.candidates(event)
            if (replay.handler is None or handler is chosen) and _wanted(handler, event)
        ]

    def _parked(self, pair: Pair, report: Report) -> Job:
        handler = self._router.handler(pair.handler)
        job = Job(pair, handler, report, fresh=False)
        if handler is None:
            job.doom = "handler_gone"
        return job

    async def _known(self, jobs: Sequence[Job], *, parked_too: bool) -> set[Job]:
        """Return the jobs that have a durable outcome; all are counted as under way from now on."""
        for job in jobs:
            for key in job.keys:
                count = self._under_way.get(key, 0)
                job.recheck = job.recheck or count > 0
                self._under_way[key] = count + 1
        keys = [key for job in jobs for key in job.keys]
        if not keys:
            return set()
        marks = await durably(lambda: self._store.marked(keys))
        aside = parked_too and self._parking.parked() + self._parking.dead()
        taken = await durably(lambda: self._parking.taken(keys)) if aside else ()
        if not marks and not taken:
            return set()
        return {job for job in jobs if any(key in marks or key in taken for key in job.keys)}

    def _offer(self, planned: Sequence[tuple[Stored, list[Job]]], skip: set[Job], window: Window) -> None:
        for stored, jobs in planned:
            size = _WEIGHT + (len(stored.event.body) if stored.event else 0)
            wanted = [job for job in jobs if job not in skip]
            slot = window.offer(stored.position, size, len(wanted))
            for job in wanted:
                self._crew.add(job, slot)
        for job in skip:
            self.left(job)
            self._meter.ran(job.key.handler, "duplicate", 0.0)
        self._crew.start_ready()


def _wanted(handler: Handler, event: Event) -> bool:
    """Return whether the handler wants the event; if `where` raises, its run will meet the error and count it."""
    if handler.where is None:
        return True
    try:
        return bool(handler.where(event))
    except BaseException:  # noqa: BLE001 - even a SystemExit: the author's code must not end the worker
        return True


def _unreadable(stored: Stored, report: Report) -> Job:
    """Return the job that makes an undecodable record a dead letter; its position stands in for its identity."""
    error = stored.error or "the record cannot be decoded"
    pair = Pair(handler=NO_HANDLER, event=_stand_in(stored.position), position=stored.position, error=error)
    job = Job(pair, None, report, fresh=True)
    job.doom = "unreadable"
    return job


def _stand_in(position: Position) -> Event:
    event_id = f"unreadable-{position.partition}-{position.offset}"
    identity = identity_digest("unreadable", event_id)
    now_us = wall_clock_us()
    return Event(
        source="unreadable",
        provider="unknown",
        id=event_id,
        type="unknown",
        time_us=None,
        received_us=now_us,
        key=event_id,
        headers={},
        body=b"",
        content_type=None,
        verified_by="",
        flags=("opaque",),
        delivery_id="",
        batch_index=None,
        body_sha256=hashlib.sha256(b"").digest(),
        identity=identity,
        dedupe_key=identity,
    )
