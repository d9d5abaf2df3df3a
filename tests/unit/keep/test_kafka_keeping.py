"""The keeper of the producer, over a simulated cluster: starts without it, replaces what is dead or stuck."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from gateway.core.errors import Unavailable
from gateway.keep.envelope import Record
from gateway.keep.kafka.keeping import Keeper, KeeperTimes
from gateway.keep.kafka.lanes import LaneOptions, Lanes
from tests.kafka_simulation import Fate, SimulatedCluster, SimulatedDriver
from tests.log_builders import until

QUICK = KeeperTimes(start=5.0, stuck=0.2, tick=0.02, look=0.02, backoff=0.01, backoff_most=0.05)


@dataclass
class Waiting:
    record: Record = field(default_factory=lambda: Record(b"a", b"1", []))
    size: int = 100
    outcomes: list[str] = field(default_factory=list)

    def written(self, partition: int, offset: int) -> None:
        self.outcomes.append("written")

    def failed(self, error: Unavailable) -> None:
        self.outcomes.append("unknown" if error.written is None else "not written")


class Rig:
    def __init__(self, **cluster: object) -> None:
        self.cluster = SimulatedCluster(**cluster)  # type: ignore[arg-type]
        self.lanes = Lanes(LaneOptions())
        self.keeper = Keeper(self.cluster.driver, self.lanes, ["events"], times=QUICK)

    @property
    def drivers(self) -> list[SimulatedDriver]:
        return self.cluster.drivers

    def put(self) -> Waiting:
        entry = Waiting()
        self.lanes.enqueue([(self.lanes.place("events", b"a"), entry)])
        return entry

    async def put_until_taken(self) -> Waiting:
        """Append as senders do: again and again while refused."""
        taken: list[Waiting] = []

        def put() -> bool:
            try:
                taken.append(self.put())
            except Unavailable:
                return False
            return True

        await until(put, "an append that is taken")
        return taken[0]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    rig.keeper.start()
    assert await rig.keeper.connected(20)
    yield rig
    await rig.keeper.stop()


async def test_it_tries_for_as_long_as_the_cluster_is_absent_and_finds_it_then() -> None:
    rig = Rig(reachable=False)
    rig.keeper.start()
    await until(lambda: len(rig.drivers) > 3, "attempts")
    assert rig.lanes.state() == "down"
    with pytest.raises(Unavailable):
        rig.put()

    rig.cluster.reachable = True

    assert await rig.keeper.connected(20)
    entry = rig.put()
    await until(lambda: entry.outcomes, "the outcome")
    assert entry.outcomes == ["written"]
    await rig.keeper.stop()
    assert all(driver.stopped for driver in rig.drivers)


async def test_waiting_for_the_cluster_has_a_deadline() -> None:
    rig = Rig(reachable=False)
    rig.keeper.start()

    assert not await rig.keeper.connected(0.05)
    await rig.keeper.stop()


async def test_a_topic_that_is_missing_is_found_once_it_is_made() -> None:
    rig = Rig(topics={})
    rig.keeper.start()
    assert await rig.keeper.connected(20)
    assert rig.keeper.missing == ["events"]

    rig.cluster.topics["events"] = 2

    await until(lambda: not rig.keeper.missing, "the topic")
    entry = rig.put()
    await until(lambda: entry.outcomes, "the outcome")
    assert len(rig.drivers) == 1
    await rig.keeper.stop()


async def test_a_dead_sender_is_replaced_without_an_append_and_the_old_one_is_stopped(rig: Rig) -> None:
    rig.drivers[0].die()

    await until(lambda: len(rig.drivers) == 2 and rig.drivers[1].started, "another")
    entry = await rig.put_until_taken()
    await until(lambda: entry.outcomes, "the outcome")

    assert entry.outcomes == ["written"]
    assert rig.drivers[0].stopped
    assert not rig.drivers[1].stopped


async def test_a_batch_in_flight_without_any_answer_gets_another_producer(rig: Rig) -> None:
    rig.cluster.fates = [Fate.HELD]
    entry = rig.put()

    await until(lambda: len(rig.drivers) == 2 and rig.drivers[1].started, "another")

    assert entry.outcomes == ["unknown"]
    entry = await rig.put_until_taken()
    await until(lambda: entry.outcomes, "the outcome")
    assert entry.outcomes == ["written"]


async def test_batches_that_fail_and_fail_get_another_producer_which_starts_from_the_configured_addresses(
    rig: Rig,
) -> None:
    rig.cluster.fate = Fate.ACK_LOST

    def sending() -> bool:
        with suppress(Unavailable):  # its breaker is open
            rig.put()
        return len(rig.drivers) > 1

    await until(sending, "another")
    rig.cluster.fate = Fate.ACKNOWLEDGED
    entry = await rig.put_until_taken()
    await until(lambda: entry.outcomes, "the outcome")
    assert entry.outcomes == ["written"]


async def test_what_waits_while_the_cluster_is_found_to_be_gone_is_certainly_not_written(rig: Rig) -> None:
    rig.cluster.fates = [Fate.HELD]
    in_flight = rig.put()
    await until(lambda: rig.cluster.held, "the batch")
    waiting = rig.put()
    rig.cluster.reachable = False
    rig.drivers[0].die()

    await until(lambda: waiting.outcomes, "the outcome")

    assert (in_flight.outcomes, waiting.outcomes) == (["unknown"], ["not written"])
    assert rig.lanes.state() == "down"


async def test_a_producer_that_acknowledges_is_kept(rig: Rig) -> None:
    for _ in range(50):
        entry = rig.put()
        await until(lambda entry=entry: entry.outcomes, "the outcome")  # type: ignore[misc]
    assert len(rig.drivers) == 1


async def test_stopping_ends_what_is_in_flight_as_unknown_and_lets_the_producer_go(rig: Rig) -> None:
    rig.cluster.fates = [Fate.HELD]
    entry = rig.put()
    await until(lambda: rig.cluster.held, "the batch")

    await rig.keeper.stop()

    assert entry.outcomes == ["unknown"]
    assert [driver.stopped for driver in rig.drivers] == [True]
    await rig.keeper.stop()


async def test_stopping_in_the_turn_in_which_the_last_batch_failed_ends(rig: Rig) -> None:
    await asyncio.sleep(0)  # the keeper waits for a failure
    rig.cluster.fate = Fate.ACK_LOST
    entry = rig.put()

    assert await rig.lanes.empty(within=20)
    async with asyncio.timeout(20):
        await rig.keeper.stop()

    assert entry.outcomes == ["unknown"]
    assert all(driver.stopped for driver in rig.drivers)


async def test_a_topic_that_is_missing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(topics={})
    rig.keeper.start()
    assert await rig.keeper.connected(20)
    for _ in range(2):
        rig.drivers[-1].die()
        drivers = len(rig.drivers)
        await until(lambda: len(rig.drivers) > drivers and rig.drivers[-1].started, "another")  # noqa: B023
    await rig.keeper.stop()

    told = [record for record in caplog.records if record.message == "kafka.topics_missing"]
    assert [vars(record)["topics"] for record in told] == [["events"]]
