"""Lanes in front of a simulated cluster: bounds, batches, and an outcome for every record."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gateway.core.errors import Unavailable
from gateway.keep.envelope import Record
from gateway.keep.kafka.lanes import LaneOptions, Lanes
from tests.kafka_simulation import Fate, SimulatedCluster, SimulatedDriver
from tests.log_builders import until

Outcome = tuple[int, int] | Literal["not written", "unknown"]


@dataclass
class Waiting:
    """An entry that notes what it is told."""

    record: Record
    size: int = 100
    outcomes: list[Outcome] = field(default_factory=list)

    def written(self, partition: int, offset: int) -> None:
        self.outcomes.append((partition, offset))

    def failed(self, error: Unavailable) -> None:
        assert error.reason == "log_down"
        self.outcomes.append("unknown" if error.written is None else "not written")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """Lanes, their cluster, and a clock."""

    def __init__(self, **options: Any) -> None:
        self.cluster = SimulatedCluster()
        self.clock = Clock()
        self.lanes = Lanes(LaneOptions(**options), now=self.clock)
        self.failures = 0
        self.lanes.on_failure = self._failed

    def _failed(self) -> None:
        self.failures += 1

    async def attach(self) -> SimulatedDriver:
        driver = self.cluster.driver()
        await driver.start()
        self.lanes.attach(driver, await driver.find(["events"]))
        return driver

    def put(self, *values: str, key: str = "a", size: int = 100) -> list[Waiting]:
        entries = [Waiting(Record(key.encode(), value.encode(), []), size) for value in values]
        self.lanes.enqueue([(self.lanes.place("events", entry.record.key), entry) for entry in entries])
        return entries

    async def decided(self, *entries: Waiting) -> list[Outcome]:
        await until(lambda: all(entry.outcomes for entry in entries), "the outcomes")
        assert all(len(entry.outcomes) == 1 for entry in entries), "an entry was told twice"
        return [entry.outcomes[0] for entry in entries]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.attach()
    yield rig
    rig.lanes.detach()


def keys_of_two_partitions(rig: Rig) -> tuple[str, str]:
    """Return two keys that belong in different partitions."""
    return next(
        (a, b)
        for a in "abcdefgh"
        for b in "abcdefgh"
        if rig.lanes.place("events", a.encode()) is not rig.lanes.place("events", b.encode())
    )


async def test_records_of_a_key_are_written_in_order_to_one_partition(rig: Rig) -> None:
    entries = [*rig.put("1", "2"), *rig.put("3"), *rig.put("4", "5")]

    outcomes = await rig.decided(*entries)

    partition = rig.lanes.place("events", b"a").partition
    assert outcomes == [(partition, offset) for offset in range(5)]
    assert rig.cluster.values() == [b"1", b"2", b"3", b"4", b"5"]


async def test_what_comes_in_one_turn_is_one_batch_and_what_comes_meanwhile_the_next(rig: Rig) -> None:
    rig.cluster.fates = [Fate.HELD]
    first = [*rig.put("1"), *rig.put("2")]
    await until(lambda: rig.cluster.held, "the first batch")
    second = [*rig.put("3"), *rig.put("4"), *rig.put("5")]
    rig.cluster.release()

    await rig.decided(*first, *second)

    assert rig.cluster.batches == [[b"1", b"2"], [b"3", b"4", b"5"]]


async def test_a_batch_is_no_larger_than_allowed_but_for_a_record_that_is_alone() -> None:
    rig = Rig(batch_bytes=250)
    await rig.attach()

    await rig.decided(*rig.put("1", "2", "3"), *rig.put("large", size=900), *rig.put("5"))

    assert rig.cluster.batches == [[b"1", b"2"], [b"3"], [b"large"], [b"5"]]


async def test_nothing_is_taken_before_the_cluster_was_reached() -> None:
    rig = Rig()

    with pytest.raises(Unavailable) as refused:
        rig.put("1")

    assert (refused.value.reason, refused.value.written) == ("log_down", False)


async def test_a_topic_the_cluster_does_not_have_takes_nothing(rig: Rig) -> None:
    with pytest.raises(Unavailable) as refused:
        rig.lanes.place("elsewhere", b"a")

    assert refused.value.reason == "log_down"


@pytest.mark.parametrize("bounds", [{"max_queued_events": 3}, {"max_queued_bytes": 300}])
async def test_over_the_budget_of_all_lanes_together_nothing_of_a_call_is_taken(bounds: dict[str, int]) -> None:
    rig = Rig(**bounds)
    await rig.attach()
    one, other = keys_of_two_partitions(rig)
    waiting = rig.put("1", "2", key=one)

    with pytest.raises(Unavailable) as refused:
        rig.put("3", "4", key=other)
    within = rig.put("5", key=other)
    await rig.decided(*waiting, *within)

    assert refused.value.reason == "overloaded"
    assert sorted(rig.cluster.values()) == [b"1", b"2", b"5"]
    assert (rig.lanes.queued_events, rig.lanes.queued_bytes) == (0, 0)


async def test_a_lost_acknowledgement_is_an_unknown_outcome(rig: Rig) -> None:
    rig.cluster.fates = [Fate.ACK_LOST]

    outcomes = await rig.decided(*rig.put("1", "2"))

    assert outcomes == ["unknown", "unknown"]
    assert rig.cluster.values() == [b"1", b"2"]
    assert rig.failures == 1


@pytest.mark.parametrize("fate", [Fate.BROKEN, Fate.GIVEN_UP])
async def test_whatever_the_client_raises_is_an_unknown_outcome_and_the_lane_goes_on(rig: Rig, fate: Fate) -> None:
    rig.cluster.fates = [fate]

    outcomes = await rig.decided(*rig.put("1"))

    assert outcomes == ["unknown"]
    assert await rig.decided(*rig.put("2")) == [(rig.lanes.place("events", b"a").partition, 0)]


async def test_what_the_cluster_refuses_is_certainly_not_written(rig: Rig) -> None:
    rig.cluster.fates = [Fate.REFUSED]

    assert await rig.decided(*rig.put("1")) == ["not written"]
    assert rig.cluster.values() == []


async def test_a_record_too_large_for_the_topic_fails_alone_and_order_is_kept(rig: Rig) -> None:
    rig.cluster.max_bytes = 3
    entries = rig.put("1", "22", "too large", "3")
    entries += rig.put("4")

    outcomes = await rig.decided(*entries)

    partition = rig.lanes.place("events", b"a").partition
    assert outcomes == [(partition, 0), (partition, 1), "not written", (partition, 2), (partition, 3)]
    assert rig.cluster.values() == [b"1", b"22", b"3", b"4"]
    assert rig.lanes.state() == "up", "one large record is no outage"


async def test_failures_in_a_row_open_the_lane_and_end_what_waits_there_as_not_written() -> None:
    rig = Rig(failures=2, batch_bytes=100)
    await rig.attach()
    rig.cluster.fate = Fate.ACK_LOST

    outcomes = await rig.decided(*rig.put("1", "2", "3", "4"))

    assert outcomes == ["unknown", "unknown", "not written", "not written"]
    assert rig.lanes.state() == "down"
    with pytest.raises(Unavailable) as refused:
        rig.put("5")
    assert (refused.value.reason, refused.value.written) == ("log_down", False)


async def test_a_lane_that_is_stuck_opens_and_refuses_at_once_and_one_request_a_while_goes_through(rig: Rig) -> None:
    rig.cluster.fates = [Fate.HELD]
    (stuck,) = rig.put("1")
    await until(lambda: rig.cluster.held, "the batch")
    (behind,) = rig.put("2")
    rig.clock.now += 5.1
    rig.lanes.tick()

    assert await rig.decided(behind) == ["not written"]
    with pytest.raises(Unavailable):
        rig.put("3")
    rig.clock.now += 0.6
    (probe,) = rig.put("4")
    with pytest.raises(Unavailable):
        rig.put("5")

    rig.cluster.release()
    assert await rig.decided(stuck, probe) == [(rig.lanes.place("events", b"a").partition, n) for n in (0, 1)]
    rig.put("6")
    assert rig.lanes.state() == "up"


async def test_a_lane_that_an_append_finds_stuck_is_told_of_and_refuses_what_waits(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.cluster.fates = [Fate.HELD]
    rig.put("1")
    await until(lambda: rig.cluster.held, "the batch")
    (behind,) = rig.put("2")
    rig.clock.now += 5.1

    with pytest.raises(Unavailable):
        rig.put("3")

    assert behind.outcomes == ["not written"]
    assert [record.message for record in caplog.records] == ["kafka.breaker_opened"]


async def test_what_waits_behind_a_batch_that_the_client_gave_up_is_written(rig: Rig) -> None:
    rig.cluster.fates = [Fate.GIVEN_UP]
    rig.put("1")
    await asyncio.sleep(0)

    assert await rig.decided(*rig.put("2")) == [(rig.lanes.place("events", b"a").partition, 0)]


async def test_in_order_a_failed_record_takes_those_of_its_key_along_and_no_others() -> None:
    rig = Rig(in_order=True, batch_bytes=100)
    await rig.attach()
    partition = rig.lanes.place("events", b"a")
    other = next(key for key in "bcdefgh" if rig.lanes.place("events", key.encode()) is partition)
    rig.cluster.fates = [Fate.ACK_LOST]

    outcomes = await rig.decided(*rig.put("1"), *rig.put("2", key=other), *rig.put("3"))

    assert outcomes == ["unknown", (partition.partition, 1), "not written"]
    assert (rig.lanes.queued_events, rig.lanes.queued_bytes) == (0, 0)


async def test_in_order_nothing_goes_with_the_next_driver_that_would_overtake_what_is_unknown() -> None:
    rig = Rig(in_order=True)
    await rig.attach()
    rig.cluster.fates = [Fate.HELD]
    (in_flight,) = rig.put("1")
    await until(lambda: rig.cluster.held, "the batch")
    (waiting,) = rig.put("2")

    rig.lanes.detach()

    assert (in_flight.outcomes, waiting.outcomes) == (["unknown"], ["not written"])
    assert rig.lanes.queued_events == 0


async def test_a_lane_that_is_stuck_leaves_the_others_alone(rig: Rig) -> None:
    one, other = keys_of_two_partitions(rig)
    rig.cluster.fates = [Fate.HELD]
    rig.put("1", key=one)
    await until(lambda: rig.cluster.held, "the batch")
    rig.clock.now += 5.1
    rig.lanes.tick()
    rig.clock.now += 0.1

    outcomes = await rig.decided(*rig.put("2", key=other))

    assert outcomes == [(rig.lanes.place("events", other.encode()).partition, 0)]
    assert rig.lanes.state() == "degraded"
    assert rig.lanes.refusing() == {"events"}


async def test_a_call_with_a_record_for_an_open_lane_is_refused_whole(rig: Rig) -> None:
    one, other = keys_of_two_partitions(rig)
    rig.cluster.fates = [Fate.HELD]
    rig.put("1", key=one)
    await until(lambda: rig.cluster.held, "the batch")
    rig.clock.now += 5.1

    with pytest.raises(Unavailable):
        rig.lanes.enqueue(
            [(rig.lanes.place("events", key.encode()), Waiting(Record(key.encode(), b"2", []))) for key in (other, one)]
        )

    assert rig.lanes.queued_events == 1


async def test_giving_up_the_driver_leaves_what_is_in_flight_unknown_and_sends_what_waits_with_the_next(
    rig: Rig,
) -> None:
    rig.cluster.fates = [Fate.HELD]
    (in_flight,) = rig.put("1")
    await until(lambda: rig.cluster.held, "the batch")
    (waiting,) = rig.put("2")

    rig.lanes.detach()
    rig.cluster.release()  # too late: nobody listens to the old one any more
    await rig.attach()

    assert await rig.decided(in_flight, waiting) == ["unknown", (rig.lanes.place("events", b"a").partition, 0)]


async def test_what_waits_for_a_dead_client_waits_for_the_next_one(rig: Rig) -> None:
    rig.cluster.drivers[-1].die()
    (waiting,) = rig.put("1")
    await asyncio.sleep(0)

    rig.lanes.detach()
    await rig.attach()

    assert await rig.decided(waiting) == [(rig.lanes.place("events", b"a").partition, 0)]
    assert len(rig.cluster.batches) == 1


async def test_shut_lanes_take_nothing_until_there_is_a_driver_again(rig: Rig) -> None:
    rig.lanes.detach()
    (waiting,) = rig.put("1")
    rig.lanes.shut()

    with pytest.raises(Unavailable):
        rig.put("2")
    await rig.attach()

    assert await rig.decided(waiting) == ["not written"]
    assert len(await rig.decided(*rig.put("3"))) == 1


async def test_a_topic_that_grew_keeps_its_keys_where_they_were(rig: Rig) -> None:
    places = [rig.lanes.place("events", bytes([number])).partition for number in range(50)]
    rig.lanes.detach()
    rig.cluster.topics["events"] = 7

    await rig.attach()

    assert [rig.lanes.place("events", bytes([number])).partition for number in range(50)] == places


async def test_the_time_without_an_acknowledgement_runs_from_the_first_batch_and_ends_with_any(rig: Rig) -> None:
    assert rig.lanes.unacknowledged_since is None
    rig.cluster.fates = [Fate.ACK_LOST, Fate.HELD]
    began = rig.clock.now
    await rig.decided(*rig.put("1"))
    rig.clock.now += 3
    rig.put("2")
    await until(lambda: rig.cluster.held, "the batch")
    assert rig.lanes.unacknowledged_since == began

    rig.cluster.release()

    await until(lambda: rig.lanes.unacknowledged_since is None, "the end of it")


async def test_waiting_until_all_is_decided_has_a_deadline(rig: Rig) -> None:
    rig.cluster.fates = [Fate.HELD]
    rig.put("1")
    await until(lambda: rig.cluster.held, "the batch")

    assert not await rig.lanes.empty(within=0.01)
    rig.cluster.release()
    assert await rig.lanes.empty(within=20)
    assert await rig.lanes.empty(within=20)
