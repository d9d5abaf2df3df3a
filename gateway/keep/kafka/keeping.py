"""The keeper of the producer: starts one though the cluster be absent, and replaces one that died or is stuck.

A new one starts from the configured addresses, so that a cluster whose addresses all changed is found again. Appends
in flight on a replaced one end as unknown; those that wait go with the next, unless that cannot reach the cluster.
"""

import asyncio
import logging
import random
import time
from asyncio import Task
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.keep.kafka.driver import Driver, UnreachableError
from gateway.keep.kafka.lanes import Lanes

log = logging.getLogger("gateway.keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperTimes:
    """In seconds.

    Attributes:
        start: how long a start may take; the client's own timeouts, for each address, should end it before.
        stuck: how long batches may be in flight, or fail, with none acknowledged, before the driver is replaced.
        tick: between two looks at the driver.
        look: between two looks for topics that are missing.
        backoff: after the first failed start; doubled with each further one up to `backoff_most`.
        backoff_most: the longest.
    """

    start: float = 60.0
    stuck: float = 10.0
    tick: float = 0.5
    look: float = 5.0
    backoff: float = 0.25
    backoff_most: float = 3.0


class Keeper:
    """Keeps a driver behind the lanes.

    Args:
        make: makes a driver.
        lanes: what writes through it.
        topics: all that is ever written to.
        times: how long to wait for what.
        now: seconds of a clock that never steps.

    Attributes:
        missing: topics that the cluster did not have when last asked.
    """

    def __init__(
        self,
        make: Callable[[], Driver],
        lanes: Lanes,
        topics: Sequence[str],
        *,
        times: KeeperTimes | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._lanes = lanes
        self._topics = tuple(topics)
        self._times = times or KeeperTimes()
        self._now = now
        self._failure = asyncio.Event()
        self._connected = asyncio.Event()
        self._driver: Driver | None = None
        self._task: Task[None] | None = None
        self._ending: Task[None] | None = None
        self._told_missing: Sequence[str] = ()
        self.missing: Sequence[str] = self._topics
        lanes.on_failure = self._failure.set

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._keep(), name="kafka-keeper")

    async def connected(self, within: float) -> bool:
        """Wait until the cluster was reached for the first time; return whether that came true."""
        try:
            async with asyncio.timeout(within):
                await self._connected.wait()
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Take nothing more, then let the driver go: what is in flight ends as unknown, what waits as not written."""
        self._lanes.shut()
        self._lanes.detach()
        while self._task is not None and not self._task.done():
            self._task.cancel()  # more than once: a client may take a cancellation for its own
            await asyncio.wait({self._task}, timeout=1.0)
        self._task = None
        await self._let_go()

    async def _keep(self) -> None:
        while True:
            driver = await self._started()
            self._connected.set()
            why = await self._watch(driver)
            log.error("kafka.producer_replaced", extra={"reason": why})
            self._lanes.detach()
            await self._let_go()

    async def _started(self) -> Driver:
        """Return a driver that reached the cluster, attached to the lanes; try for as long as it takes."""
        backoff, told = self._times.backoff, ""
        while True:
            self._driver = driver = self._make()
            why = await self._try(driver)
            if not why:
                log.info("kafka.connected")
                return driver
            if why != told:
                log.error("kafka.unreachable", extra={"reason": why})
                told = why
            self._lanes.shut()
            await self._let_go()
            await asyncio.sleep(backoff * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the edges' attempts
            backoff = min(2 * backoff, self._times.backoff_most)

    async def _try(self, driver: Driver) -> str:
        """Start and attach the driver; return what went wrong, or nothing."""
        try:
            async with asyncio.timeout(self._times.start):
                await driver.start()
                await self._find(driver)
        except UnreachableError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever a client raises, the next attempt may do
            return type(error).__name__
        return ""

    async def _find(self, driver: Driver) -> None:
        found = await driver.find(self._topics)
        self.missing = [topic for topic in self._topics if topic not in found]
        if self.missing and self.missing != self._told_missing:
            log.error("kafka.topics_missing", extra={"topics": self.missing})
        self._told_missing = self.missing
        self._lanes.attach(driver, found)

    async def _watch(self, driver: Driver) -> str:
        """Return why the driver must be replaced, once it must."""
        times, looked = self._times, self._now()
        while True:
            await self._wait_for_failure(times.tick)
            self._lanes.tick()
            now, since = self._now(), self._lanes.unacknowledged_since
            if driver.failed:
                return driver.failed
            if since is not None and now - since > times.stuck:
                return "stuck"
            if self.missing and now - looked > times.look:
                looked = now
                await self._look_again(driver)

    async def _wait_for_failure(self, seconds: float) -> None:
        try:
            # Not `wait_for`, which forgets a cancellation that comes in the same turn as what it waits for.
            async with asyncio.timeout(seconds):
                await self._failure.wait()
        except TimeoutError:
            return
        self._failure.clear()

    async def _look_again(self, driver: Driver) -> None:
        try:
            async with asyncio.timeout(self._times.start):
                await self._find(driver)
        except Exception as error:  # noqa: BLE001 - the lanes tell when the driver is of no use
            log.warning("kafka.topics_unknown", extra={"reason": type(error).__name__})

    async def _let_go(self) -> None:
        """Stop the driver, once: who is cancelled meanwhile leaves it to the next call to wait for that."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            self._ending = asyncio.get_running_loop().create_task(driver.stop())
        if self._ending is not None:
            await asyncio.wait({self._ending})
