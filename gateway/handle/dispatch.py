"""Dispatch: one run of one pair, and its outcome made durable before anybody is told of it.

Mark first: the first use of `ctx.tx` writes the mark, ahead of the handler's rows and in their transaction. A run that
never used it is marked afterwards. Each pair succeeds, retries and dies alone.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.api import Handler
from gateway.core.errors import PoisonedError, Unavailable
from gateway.core.event import Event
from gateway.core.source import OnConflict
from gateway.handle import failures, retrying
from gateway.handle.calls import Call, Caller, Limits, roll_back, wall_clock_us
from gateway.handle.durably import STORE_PAUSE, durably
from gateway.handle.fetching import Fetching, Outside
from gateway.handle.jobs import Job
from gateway.handle.meter import RouterMeter
from gateway.keep.ports import AlreadyDone, DeadReason, Outcome, Pair, Parking, StaleEvent, Store

log = logging.getLogger("gateway.handle")

Settled = Outcome | Literal["unmatched"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator decides about runs; times in seconds.

    By source, `conflicts` is `on_conflict`, and `contracts` tells what an event breaks, empty if it fits. `outside` is
    what handlers may ask of others.
    """

    tx_timeout: float = 1.0
    grace: float = 5.0
    held_most: int = 1000
    conflicts: Mapping[str, OnConflict] = field(default_factory=dict)
    contracts: Mapping[str, Callable[[Event], str]] = field(default_factory=dict)
    outside: Outside = field(default_factory=Outside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the dispatcher tells and asks the worker.

    Attributes:
        hung: a handler ignored its cancellation for the whole grace.
        ended: a pair came to a final outcome by its handler's doing; the breaker counts them.
        now_us: the wall clock.
    """

    hung: Callable[[Job], None]
    ended: Callable[[Job, Outcome], None]
    now_us: Callable[[], int] = wall_clock_us


class Dispatcher:
    """Runs the pairs of one router."""

    def __init__(
        self,
        router: str,
        store: Store,
        parking: Parking,
        meter: RouterMeter,
        rules: Rules,
        hooks: Hooks,
    ) -> None:
        self._router = router
        self._store = store
        self._parking = parking
        self._meter = meter
        self._rules = rules
        self._ended = hooks.ended
        self._now_us = hooks.now_us
        self._caller = Caller(
            router,
            store,
            Limits(rules.tx_timeout, rules.grace),
            hung=hooks.hung,
            now_us=hooks.now_us,
            reaching=Fetching(rules.outside, hooks.now_us),
        )

    async def run(self, job: Job, released: Callable[[Job], None]) -> float | None:
        """Run one pair; call `released` when the handler is out of the way.

        Returns None once its outcome is durable, or the seconds after which to run it again in place.

        Raises:
            Abandoned: the worker ends.
            PoisonedError: the store is lost.
        """
        if await self._settled_early(job) or job.handler is None:
            return None
        call = await self._caller.call(job, job.handler)
        # The turn ends before anything else is waited for: other handlers of the router stand behind it.
        outcome = await self._success(job, call, released)
        if outcome is not None:
            await self._finish(job, outcome, call.seconds)
            return None
        if isinstance(call.raised, Unavailable):
            log.warning("store.unavailable", extra=self._facts(job, call.raised))
            return STORE_PAUSE
        return await self._failure(job, job.handler, call)

    async def _settled_early(self, job: Job) -> bool:
        if job.recheck:
            job.marked = bool(await durably(lambda: self._store.marked(job.keys)))
        if job.marked:
            await self._finish(job, "duplicate", 0.0)
            return True
        doom = job.doom or self._conflict(job)
        if doom == "skip":
            await self._mark(job, "duplicate")
            await self._finish(job, "duplicate", 0.0)
        elif doom is not None:
            await self._bury(job, job.pair, doom, job.pair.error or doom)
        return doom is not None or await self._broken(job) or await self._held(job)

    def _conflict(self, job: Job) -> DeadReason | Literal["skip"] | None:
        """Return what becomes of another body under an unsigned id; one that an operator sent back simply runs."""
        event = job.pair.event
        if not job.fresh or "id_conflict" not in event.flags:
            return None
        policy = self._rules.conflicts.get(event.source, "dead")
        return "id_conflict" if policy == "dead" else "skip" if policy == "skip" else None

    async def _broken(self, job: Job) -> bool:
        """Bury a pair whose event breaks its source's contract: before its first run here, retried ones too."""
        contract = self._rules.contracts.get(job.pair.event.source)
        if contract is None or job.since is not None:
            return False
        broken = contract(job.pair.event)
        if broken:
            await self._bury(job, job.pair, "contract", broken)
        return bool(broken)

    async def _held(self, job: Job) -> bool:
        """Put a fresh pair of a strict handler behind those of its key that wait for a retry."""
        handler, key = job.handler, job.pair.event.key
        if not job.fresh or job.pair.replay_id or handler is None or handler.order != "strict":
            return False
        before = sum(self._parking.holds(name, key) for name in handler.names)
        if before >= self._rules.held_most:
            await self._bury(job, job.pair, "held_too_many", f"{before} events of the key wait already")
        elif before:
            await durably(lambda: self._parking.hold(job.pair))
        return before > 0

    async def _success(self, job: Job, call: Call, released: Callable[[Job], None]) -> Settled | None:
        """Return the outcome of a call that needs no other one, durable; None if it failed, undone."""
        try:
            if call.ended is None and call.raised is None and call.turn is not None:
                durable = call.turn.finish()
                call.turn = None
                released(job)
                await durable
                return "done"
        except (AlreadyDone, StaleEvent) as ended:
            call.ended = ended
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a deferred constraint, or a turn that was over its limit
            call.raised = error
        await roll_back(call)
        released(job)
        if isinstance(call.raised, PoisonedError):
            raise call.raised
        return await self._without_turn(job, call)

    async def _without_turn(self, job: Job, call: Call) -> Settled | None:
        if isinstance(call.ended, AlreadyDone):
            return "duplicate"
        if isinstance(call.ended, StaleEvent):
            await self._mark(job, "stale")
            return "stale"
        if call.raised is not None:
            return None
        if call.unmatched:
            return "unmatched"
        await durably(lambda: self._store.mark(job.key, "done", version=call.version, attempt=job.pair.attempt + 1))
        return "done"

    async def _failure(self, job: Job, handler: Handler, call: Call) -> float | None:
        error = call.raised or RuntimeError("failed without an exception")
        now_us, pair = self._now_us(), job.pair
        job.pair = failed = replace(
            pair,
            attempt=pair.attempt + 1,
            first_failed_us=pair.first_failed_us or now_us,
            error=failures.error_text(error),
        )
        elapsed = asyncio.get_running_loop().time() - (job.since or 0.0)
        chance = random.uniform(-1.0, 1.0)  # noqa: S311 - it spreads retries, it guards nothing
        next_step = retrying.after_failure(
            handler.retry, failed.attempt, error, elapsed=elapsed, jitter=chance, now_us=now_us
        )
        if isinstance(next_step, retrying.Dead):
            await self._bury(job, failed, next_step.reason, failed.error, error, call.seconds)
            return None
        self._meter.ran(handler.name, "retry", call.seconds)
        if isinstance(next_step, retrying.Inline):
            return next_step.delay
        log.warning("handler.parked", extra=self._facts(job, error, due_us=next_step.due_us))
        due_us = next_step.due_us
        await durably(lambda: self._parking.park(failed, due_us=due_us, error=failed.error))
        return None

    async def _bury(
        self,
        job: Job,
        pair: Pair,
        reason: DeadReason,
        text: str,
        error: BaseException | None = None,
        seconds: float = 0.0,
    ) -> None:
        trace = "" if error is None else failures.trace_text(error)
        log.error("handler.dead", extra=self._facts(job, error, reason=reason))
        await durably(lambda: self._parking.bury(pair, reason=reason, error=text, trace=trace))
        outcome: Outcome = "crashed" if reason == "crashed" else "dead"
        self._meter.ran(job.key.handler, outcome, seconds)
        self._meter.died(job.key.handler, reason)
        if reason in ("gave_up", "attempts"):  # the others are not the handler's doing
            self._ended(job, outcome)

    async def _finish(self, job: Job, outcome: Settled, seconds: float) -> None:
        if job.pair.parked_id is not None or job.pair.replay_id:  # a replay may finish what is parked or dead
            await durably(lambda: self._parking.settle(job.pair))
        if outcome == "unmatched":
            return
        self._meter.ran(job.key.handler, outcome, seconds)
        self._ended(job, outcome)

    async def _mark(self, job: Job, outcome: Outcome) -> None:
        await durably(lambda: self._store.mark(job.key, outcome, version=None, attempt=job.pair.attempt))

    def _facts(self, job: Job, error: BaseException | None = None, **more: object) -> dict[str, object]:
        """Return what a log line says of a pair: no body, and of an exception its type alone."""
        event = job.pair.event
        facts: dict[str, object] = {
            "router": self._router,
            "handler": job.key.handler,
            "source": event.source,
            "event_type": event.type,
            "event_id": event.id,
            "attempt": job.pair.attempt,
        }
        if error is not None:
            facts["error"] = type(error).__name__
        return {**facts, **more}
