"""One router's reading of the Kafka log, in a consumer group that all its workers share.

The client runs in a thread of its own on a loop of its own, so that a handler that blocks the worker's loop does not
cost the worker its membership. A consumer that stands still is replaced; several in a row end the process. A cluster
that is away is waited for.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from gateway.keep.kafka.bridge import Bridge, tell
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.consumer import GroupConsumer, Membership, Pace
from gateway.keep.kafka.handover import Handover
from gateway.keep.kafka.member import Member
from gateway.keep.kafka.placing import Places
from gateway.keep.kafka.reading import Reading
from gateway.keep.kafka.starts import Starts
from gateway.keep.kafka.vigil import Vigil
from gateway.keep.ports import Assignment, Backlog, Stored

_log = logging.getLogger("gateway.keep")

_WAIT_SECONDS = 1.0
_PROBE_SECONDS = 10.0
_CLOSE_SECONDS = 30.0


class KafkaSubscription:
    """The subscription of one router. `places` keeps a copy of its positions, should the group lose them.

    Made on the worker's loop; nothing connects before the first `fetch` or `backlog`.

    Raises:
        ConfigError: the cluster's settings cannot be used.
    """

    def __init__(
        self,
        cluster: Cluster,
        membership: Membership,
        *,
        now_us: Callable[[], int],
        places: Places | None = None,
        pace: Pace | None = None,
    ) -> None:
        client_arguments(cluster)  # what cannot be used is said before anything runs
        self._cluster = cluster
        self._membership = membership
        self._places = places
        self._now_us = now_us
        self._pace = pace or Pace()
        self._loop = asyncio.get_running_loop()
        self._handover = Handover(
            most_events=self._pace.ahead_events, most_bytes=self._pace.ahead_bytes, arrived=self._wake
        )
        self._assignment: Assignment | None = None
        self._bridge: Bridge | None = None
        self._reading: Reading | None = None
        self._woken = asyncio.Event()
        self._ended = asyncio.Event()
        self._failure: Exception | None = None
        self._closed = False

    def listen(self, assignment: Assignment) -> None:
        """Tell `assignment` of partitions that come and go, from the first `fetch` on; it is awaited."""
        self._assignment = assignment

    async def fetch(self, *, max_events: int, max_bytes: int) -> Sequence[Stored]:
        """Return the next records in order, at least one if any is there; wait up to a second for one, else empty.

        Raises:
            DependencyError: a position is beyond its partition's end; says what to do.
            PoisonedError: the client stands still, whatever is tried; the process must end.
        """
        self._start()
        until = self._loop.time() + _WAIT_SECONDS
        while not self._closed:
            if self._failure is not None:
                raise self._failure
            self._woken.clear()
            batch = self._handover.take(max_events, max_bytes)
            left = until - self._loop.time()
            if batch or left <= 0:
                return batch
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()
        return ()

    def commit(self, positions: Mapping[int, int]) -> None:
        """Note that all up to these offsets is durably handled; written with the next group, never moved back.

        A partition that was taken away meanwhile is passed over, and so is what was not fetched since it came.
        """
        self._handover.note(positions)

    def committed(self) -> Mapping[int, int]:
        """Return the last position noted for each partition that is ours; one below the beginning for a new one."""
        return self._handover.committed()

    async def backlog(self) -> Backlog:
        """Return how much is stored past the committed positions of our partitions; about a second old.

        Joins the group as a first `fetch` does, so that a router which starts paused is measured, too.
        """
        self._start()
        return self._handover.backlog(self._now_us())

    async def close(self) -> None:
        """Write what is noted, leave the group and stop reading; wakes a waiting `fetch`. A second call does nothing.

        Takes at most half a minute, whatever the cluster does.
        """
        if self._closed:
            return
        self._closed = True
        self._woken.set()
        if self._reading is None:
            return
        self._reading.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            _log.error("subscription.close_timed_out", extra={"router": self._membership.router})

    def _start(self) -> None:
        if self._reading is not None or self._closed:
            return
        self._bridge = Bridge(self._assignment, self._places)
        self._reading = Reading(
            self._member,
            replacements=self._pace.replacements,
            failed=self._fail,
            ended=lambda: tell(self._loop, self._ended.set),
        )
        self._reading.start()

    # In the client's thread

    def _member(self) -> Member:
        assert self._bridge is not None  # noqa: S101 - made before the thread
        # Read anew for each consumer: certificates may have been renewed, and tokens belong to a loop.
        arguments = client_arguments(self._cluster)
        consumer = GroupConsumer(arguments, self._membership, self._pace)
        return Member(
            consumer,
            self._handover,
            self._bridge,
            Starts(consumer, self._bridge, self._membership),
            Vigil(consumer, self._handover, self._bootstrap_answers, self._pace),
            pace=self._pace,
        )

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        tell(self._loop, self._woken.set)

    async def _bootstrap_answers(self) -> bool:
        """Return whether the cluster answers at the addresses that the configuration has."""
        consumer: Any = AIOKafkaConsumer
        probe = consumer(**client_arguments(self._cluster), request_timeout_ms=int(_PROBE_SECONDS * 1000))
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await probe.start()
            return True
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_PROBE_SECONDS):
                    await probe.stop()
