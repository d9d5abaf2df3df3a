"""A job: one pair on its way through the worker, from its lane to a durable outcome."""

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

from gateway.api import Handler
from gateway.handle.lanes import Entry
from gateway.keep.ports import DeadReason, MarkKey, Pair

Cause = Literal["", "timeout", "abandoned"]
Report: TypeAlias = "Callable[[JobEntry], None]"


class Job:
    """One pair to run.

    Attributes:
        pair: what runs; replaced after a failed run, whose attempt it counts.
        handler: whose run it is, None only for a pair that is doomed.
        key: the mark this job writes: under the handler's present name.
        keys: the marks that make it a duplicate: those under former names too.
        doom: why it becomes a dead letter without being run, or None.
        marked: it has a mark already, so it is a duplicate.
        recheck: a pair of the same mark was under way when marks were looked up, so look again before running.
        fresh: it comes from the log, not from parking: nobody has looked at it yet.
        report: whom to tell when its outcome is durable: the feed that it came from.
        since: the loop's time when the first of the inline runs began, or None.
        cause: why its task was cancelled, if it was.
        task: the task that runs it.
        timer: what ends its run in time.
        holds_gate: it counts against the concurrency.
    """

    __slots__ = (
        "cause",
        "doom",
        "fresh",
        "handler",
        "holds_gate",
        "key",
        "keys",
        "marked",
        "pair",
        "recheck",
        "report",
        "since",
        "task",
        "timer",
    )

    def __init__(self, pair: Pair, handler: Handler | None, report: Report, *, fresh: bool) -> None:
        self.pair = pair
        self.handler = handler
        self.report = report
        names = (pair.handler,) if handler is None else handler.names
        self.keys = [MarkKey(name, pair.event.dedupe_key, pair.replay) for name in names]
        self.key = self.keys[0]
        self.fresh = fresh
        self.doom: DeadReason | None = None
        self.marked = False
        self.recheck = False
        self.since: float | None = None
        self.cause: Cause = ""
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.holds_gate = False


JobEntry: TypeAlias = Entry[Job]
