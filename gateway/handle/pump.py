"""The worker of one router: reads the log, wakes parked retries, replays, and commits what is wholly finished.

The commit point moves only past events whose every pair has a durable outcome, so that what a crash interrupts is read
again. `Worker.run` is the whole life, its last step the shutdown sequence.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from gateway.api import Router
from gateway.core.errors import PluginError, Unavailable
from gateway.handle.breaker import Breaker
from gateway.handle.calls import wall_clock_us
from gateway.handle.caution import Caution
from gateway.handle.crew import Crew
from gateway.handle.dispatch import Dispatcher, Hooks, Rules
from gateway.handle.durably import durably
from gateway.handle.equipment import Ports, WorkerSettings
from gateway.handle.gates import gates_of
from gateway.handle.intake import Intake
from gateway.handle.jobs import Job, JobEntry
from gateway.handle.lanes import Window
from gateway.handle.meter import RouterMeter, RouterSample
from gateway.handle.rebalance import Rebalance
from gateway.handle.replay import Replayer
from gateway.keep.ports import Backlog, Outcome, Pair, Replay

log = logging.getLogger("gateway.handle")

EXIT_HUNG = 71

_PARTITIONS_WITHIN = 120.0
_EXPIRE_EVERY = 60.0
_EXPIRE_SLICE = 1000


class Worker:
    """Runs one router's handlers until drained."""

    def __init__(
        self,
        router: Router,
        ports: Ports,
        meter: RouterMeter,
        *,
        settings: WorkerSettings | None = None,
        now_us: Callable[[], int] = wall_clock_us,
        kill: Callable[[int], None] = os._exit,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._router = router
        self._ports = ports
        self._meter = meter
        self._settings = settings = settings or WorkerSettings()
        self._now_us = now_us
        self._kill = kill
        self._window = Window()
        self._breaker = Breaker()
        self._backlog = Backlog(0, 0.0)
        self._halt: asyncio.Future[float] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._going = asyncio.Event()
        self._room = asyncio.Event()
        self._parked_room = asyncio.Event()
        self._parked_under_way = 0
        self._partitions_by = self._loop.time() + _PARTITIONS_WITHIN
        self._writes: set[asyncio.Future[None]] = set()
        dispatcher = self._dispatcher()
        self._crew = Crew(
            self._run_job,
            gates_of(router.handlers),
            concurrency=settings.concurrency,
            finished=self._job_finished,
        )
        self._caution = Caution(ports.blame, dispatcher.run, idle=self._crew.idle, over=self._end_caution)
        if self._caution.active:
            self._crew.concurrency = 1
        self._intake = Intake(router, ports.store, ports.parking, meter, self._crew)
        self._replayer = Replayer(ports.replays, ports.history, self._intake, meter, self._caution, self._going)
        leaving = (self._job_dropped, self._commit)
        self._rebalance = Rebalance(ports.parking, self._crew, self._window, *leaving, patience=settings.revoke)
        self._rebalance.leaving = self._caution.begin_anew
        ports.subscription.listen(self._rebalance)

    def _dispatcher(self) -> Dispatcher:
        settings, ports = self._settings, self._ports
        rules = Rules(
            tx_timeout=settings.tx_timeout,
            grace=settings.grace,
            held_most=settings.held_most,
            conflicts=settings.conflicts,
            contracts=settings.contracts,
            outside=settings.outside,
        )
        hooks = Hooks(hung=self._hung, ended=self._judge, now_us=self._now_us)
        return Dispatcher(self._router.name, ports.store, ports.parking, self._meter, rules=rules, hooks=hooks)

    # What others ask of a worker

    async def run(self) -> None:
        """Handle events until `drain` is called; returns when the shutdown sequence is done.

        Raises:
            PluginError: the router's schema is refused.
            PoisonedError: the store is lost; the process must end.
            TimeoutError: the router's lifespan did not open in time.
        """
        try:
            await durably(lambda: self._ports.store.apply_schema(self._router.schema))
            async with self._lifespan():
                self._go()
                grace = await self._feed_until_halted()
                await self._shut_down(grace)
        finally:
            self._ended.set()

    async def drain(self, seconds: float) -> None:
        """Start nothing more and end `run`; of the `seconds` for what runs, the last are to abandon what still does."""
        if not self._halt.done():
            self._halt.set_result(seconds)
        await self._ended.wait()

    async def pause(self, cause: str = "operator") -> None:
        """Start nothing more until `resume`; durable, so that a restart does not resume it."""
        await self._pause(cause)

    async def resume(self) -> None:
        """Go on after a pause, whatever its cause."""
        await self._ports.pausing.set_paused("")
        self._breaker.reset()
        self._go()

    async def replay(self, replay: Replay) -> None:
        """Begin a replay once it is durable; it goes on after a restart."""
        if replay.handler is not None and self._router.handler(replay.handler) is None:
            raise PluginError(f"router {self._router.name!r} has no handler {replay.handler!r}")
        await self._replayer.submit(replay)

    async def cancel_replay(self, replay_id: str) -> bool:
        """Stop a replay; what it handed out still runs. Return whether there was one."""
        return await self._replayer.cancel(replay_id)

    def replays(self) -> Sequence[Replay]:
        """Return the replays that are not finished, with their progress."""
        return self._replayer.running()

    def sample(self) -> RouterSample:
        """Return the numbers of a scrape, without waiting; the backlog is about a second old."""
        return RouterSample(
            backlog_events=self._backlog.events,
            oldest_unprocessed_seconds=self._backlog.oldest_seconds,
            retries_parked=self._ports.parking.parked(),
            dead_letters=self._ports.parking.dead(),
            gap_events=self._backlog.gap_events,
            paused="" if self._going.is_set() else self._ports.pausing.paused(),  # what it does, not what was ordered
        )

    # Life

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        """Open the router's shared clients, and close them whatever happens."""
        if self._router.lifespan is None:
            yield
            return
        manager = self._router.lifespan()
        async with asyncio.timeout(self._settings.patience):
            await manager.__aenter__()
        try:
            yield
        finally:
            try:
                async with asyncio.timeout(self._settings.farewell):
                    await manager.__aexit__(None, None, None)
            except Exception:  # a client that does not close must not keep the gateway from ending
                log.exception("router.lifespan_failed", extra={"router": self._router.name})

    async def _feed_until_halted(self) -> float:
        """Run the feeds until `drain`; return the seconds that the draining may take."""
        feeds = (self._feed_log(), self._feed_parked(), self._replayer.run(), self._tend())
        tasks: set[asyncio.Future[Any]] = {asyncio.ensure_future(feed) for feed in feeds}
        try:
            done, _ = await asyncio.wait({*tasks, self._halt, self._crew.failed}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {self._halt}:
                task.result()
        except BaseException:
            await self._crew.drain(0.0, self._settings.grace)
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._halt.result()

    async def _shut_down(self, seconds: float) -> None:
        """End in order: nothing starts, what runs ends or is abandoned, progress is noted, the exit is clean.

        The feeds have ended before; the lifespan closes, and the ports are closed by their owner, afterwards.
        """
        grace = min(seconds, self._settings.grace)
        await self._crew.drain(seconds - grace, grace)
        if self._crew.failed.done():
            self._crew.failed.result()
        if self._writes:
            await asyncio.wait(self._writes, timeout=grace)
        self._commit()
        with suppress(Unavailable):  # then the next worker begins with caution, and a replay a little earlier
            await self._replayer.save()
            await self._ports.blame.clean_exit()

    def _go(self) -> None:
        if self._ports.pausing.paused():
            self._crew.stopped = True
            return
        self._crew.stopped = self._halt.done()
        self._going.set()
        self._crew.start_ready()

    # Feeds

    async def _feed_log(self) -> None:
        read = 0
        while True:
            await self._going.wait()
            await self._window_has_room()
            stay = self._stay()
            batch = await self._ports.subscription.fetch(
                max_events=self._settings.window_events - self._window.events,
                max_bytes=max(1, self._settings.window_bytes - self._window.bytes),
            )
            async with self._rebalance.admitting:
                await self._intake.admit(batch, self._window, self._log_finished)
            self._commit()
            read += len(batch)
            through = not batch and stay is not None and stay == self._stay()
            if self._caution.active and (through or read >= self._settings.window_events):
                await self._caution.handed_out("log")
                read = 0

    async def _feed_parked(self) -> None:
        settings = self._settings
        while True:
            await self._going.wait()
            async with self._rebalance.admitting:  # what is due of a partition that leaves is the next owner's
                room, stay = settings.parked_most - self._parked_under_way, self._stay()
                due = await self._due(room) if room else ()
                pairs = due or ()
                self._parked_under_way += len(pairs)
                self._parked_room.clear()
                await self._intake.admit_parked(pairs, self._parked_finished)
            if stay is not None and due is not None:
                await self._caution.handed_out("parked")
            with suppress(TimeoutError):
                async with asyncio.timeout(settings.poll):
                    await self._parked_room.wait()

    async def _due(self, room: int) -> Sequence[Pair] | None:
        """Return what is due, None if that cannot be known now: it is asked again at the next poll."""
        try:
            return await self._ports.parking.due(self._now_us(), room)
        except Unavailable as error:
            log.warning("store.unavailable", extra={"reason": error.reason})
            return None

    async def _tend(self) -> None:
        """Keep the numbers of a scrape, follow what was ordered elsewhere, and forget old marks."""
        expires_at = 0.0
        while True:
            now = self._loop.time()
            self._backlog = await self._ports.subscription.backlog()
            self._follow_pausing()
            await self._replayer.adopt()
            if now >= expires_at:
                before_us = self._now_us() - int(self._settings.marks * 1e6)
                removed = 0
                with suppress(Unavailable):  # a full disk is the others' trouble first
                    removed = await self._ports.store.expire(before_us, _EXPIRE_SLICE)
                expires_at = now + (0.0 if removed == _EXPIRE_SLICE else _EXPIRE_EVERY)
            await asyncio.sleep(self._settings.tend)

    def _follow_pausing(self) -> None:
        """Do what another worker, or a command on another machine, has ordered."""
        paused = bool(self._ports.pausing.paused())
        if paused and self._going.is_set():
            self._crew.stopped = True
            self._going.clear()
        elif not paused and not self._going.is_set():
            self._breaker.reset()
            self._go()

    def _stay(self) -> int | None:
        """Return which stay of partitions with us this is, None without any: that nothing comes then says nothing.

        After long, that none came counts as a stay of none: there may be more workers than partitions.
        """
        waited = self._loop.time() > self._partitions_by
        return self._rebalance.moves if waited or self._ports.subscription.committed() else None

    async def _window_has_room(self) -> None:
        """Wait for a good part of the window to be free: reading one by one behind a slow event would cost too much."""
        settings, window = self._settings, self._window
        while window.events > settings.window_events * 3 // 4 or window.bytes >= settings.window_bytes:
            self._room.clear()
            await self._room.wait()

    # What comes of it

    async def _run_job(self, job: Job, released: Callable[[Job], None]) -> float | None:
        return await self._caution.run(job, released)

    def _job_finished(self, entry: JobEntry) -> None:
        self._intake.left(entry.item)
        entry.item.report(entry)
        self._caution.may_end()

    def _job_dropped(self, entry: JobEntry) -> None:
        self._intake.left(entry.item)
        if entry.slot is None:
            self._parked_finished(entry)
        self._caution.may_end()

    def _log_finished(self, entry: JobEntry) -> None:
        if entry.slot is not None and self._window.finish(entry.slot):
            self._meter.done(max(0.0, (self._now_us() - entry.item.pair.event.received_us) / 1e6))
            self._commit()

    def _parked_finished(self, _entry: JobEntry) -> None:
        if self._parked_under_way >= self._settings.parked_most:
            self._parked_room.set()
        self._parked_under_way -= 1

    def _commit(self) -> None:
        positions = self._window.take_commits()
        if positions:
            self._ports.subscription.commit(positions)
        self._room.set()

    def _end_caution(self) -> None:
        log.info("worker.caution_over", extra={"router": self._router.name})
        self._crew.concurrency = self._settings.concurrency
        self._crew.start_ready()

    def _judge(self, _job: Job, outcome: Outcome) -> None:
        if outcome != "duplicate" and self._breaker.record(dead=outcome == "dead") and self._going.is_set():
            self._write(self._pause("breaker"))

    def _pause(self, cause: str) -> "asyncio.Future[None]":
        self._crew.stopped = True
        self._going.clear()
        level = logging.WARNING if cause == "operator" else logging.ERROR
        log.log(level, "router.paused", extra={"router": self._router.name, "cause": cause})
        return self._ports.pausing.set_paused(cause)

    def _hung(self, job: Job) -> None:
        """End the process: nothing in it can stop a handler that ignores its cancellation."""
        facts = {"router": self._router.name, "handler": job.key.handler, "event_id": job.pair.event.id}
        log.critical("handler.hung", extra=facts)
        if self._caution.active:  # the note that it runs alone counts as the crash
            self._kill(EXIT_HUNG)
            return
        noted = self._ports.blame.crashed(job.key)
        noted.add_done_callback(lambda _: self._kill(EXIT_HUNG))
        self._loop.call_later(self._settings.grace, self._kill, EXIT_HUNG)

    def _write(self, write: "asyncio.Future[None]") -> None:
        """Own a write that nobody waits for; the shutdown does."""

        def written(future: "asyncio.Future[None]") -> None:
            self._writes.discard(future)
            if not future.cancelled() and future.exception() is not None:
                log.error("worker.write_failed", extra={"router": self._router.name})

        self._writes.add(write)
        write.add_done_callback(written)
