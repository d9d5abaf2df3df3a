"""Watches one consumer: whether the cluster answers, and whether what could be read is read.

A cluster that is down is not a consumer that is stuck: it is waited for. Only when its bootstrap addresses answer and
our connections do not, another consumer is made, which learns the brokers' addresses anew.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

from aiokafka.errors import KafkaError

from gateway.keep.kafka.consumer import GroupConsumer, Pace, ReplaceError
from gateway.keep.kafka.handover import Handover
from gateway.keep.kafka.progress import Progress

_log = logging.getLogger("gateway.keep")

_SAY_EVERY = 60.0
_ASK_TOPICS_EVERY = 10.0


class Vigil:
    """Asked about once a second. `answers` says whether the bootstrap addresses answer."""

    def __init__(
        self, consumer: GroupConsumer, handover: Handover, answers: Callable[[], Awaitable[bool]], pace: Pace
    ) -> None:
        self._consumer = consumer
        self._handover = handover
        self._answers = answers
        self._pace = pace
        self._progress: Progress[int] = Progress(pace.stuck)
        self._joining: Progress[str] = Progress(2 * pace.rebalance + pace.session)
        self._heard_at = time.monotonic()
        self._asked_at = 0.0
        self._said_at = 0.0

    async def look(self, positions: Mapping[int, int], *, waiting: Collection[int], joining: bool) -> None:
        """Take the next offsets to read; those `waiting` are not read now, for a reason.

        Raises:
            ReplaceError: another consumer is wanted.
        """
        if self._consumer.ended():
            raise ReplaceError("a task inside it ended")
        try:
            ends = await self._ends(positions)
        except (KafkaError, TimeoutError):
            await self._unheard()
            return
        self._heard_at = now = time.monotonic()
        self._handover.survey(ends, time.time_ns() // 1000)
        behind = {
            partition: offset
            for partition, offset in positions.items()
            if ends.get(partition, 0) > offset and partition not in waiting
        }
        if self._progress.stuck(behind, now):
            raise ReplaceError("it stands still although there is more to read")
        if self._joining.stuck({"group": 0} if joining else {}, now):
            raise ReplaceError("it does not come into its group")

    async def _ends(self, positions: Mapping[int, int]) -> Mapping[int, int]:
        if not positions:
            await self._ask_topics()
            return {}
        try:
            return await self._consumer.ends(positions.keys())
        except (KafkaError, TimeoutError):
            return await self._ends_one_by_one(positions)

    async def _ends_one_by_one(self, positions: Mapping[int, int]) -> Mapping[int, int]:
        """Ask for each: one partition without a leader spoils a common answer."""
        asked = [self._consumer.ends([partition]) for partition in positions]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        known = {number: end for answer in answers if isinstance(answer, dict) for number, end in answer.items()}
        if not known:
            raise TimeoutError
        return known

    async def _ask_topics(self) -> None:
        """Without a partition to ask for, ask for the topics now and then."""
        now = time.monotonic()
        if now - self._asked_at < _ASK_TOPICS_EVERY and self._asked_at > 0.0:
            return
        missing = await self._consumer.missing()
        self._asked_at = time.monotonic()
        if missing:
            self._say("subscription.topics_missing", topics=missing[:10])

    async def _unheard(self) -> None:
        silent = time.monotonic() - self._heard_at
        self._asked_at = 0.0
        self._say("subscription.cluster_unreachable", seconds=round(silent))
        if silent > self._pace.unheard and await self._answers():
            raise ReplaceError("the cluster answers elsewhere", stuck=False)

    def _say(self, what: str, **more: object) -> None:
        now = time.monotonic()
        if now - self._said_at > _SAY_EVERY or self._said_at == 0.0:
            self._said_at = now
            _log.warning(what, extra=more)
