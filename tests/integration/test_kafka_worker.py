"""Whole workers on Kafka: partitions move between them under load, and nothing is lost."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.api import Context, Event
from gateway.handle.equipment import Ports, WorkerSettings
from gateway.handle.pump import Worker
from gateway.keep.kafka.client import Cluster
from gateway.keep.kafka.consumer import Membership
from gateway.keep.kafka.history import KafkaHistory
from gateway.keep.kafka.subscription import KafkaSubscription
from gateway.keep.sqlite.state import SqliteState, wall_us
from tests.kafka_reader_rig import DEADLINE, QUICK, SourceTopic, source_topic
from tests.kafka_rig import Kafka
from tests.worker_rig import CountingMeter, make_event, make_replay, router_of

SETTINGS = WorkerSettings(poll=0.05, tend=0.05, grace=0.2, tx_timeout=30.0, patience=5.0, revoke=5.0, window_events=200)


class KafkaWorker:
    """One worker with its own marks in memory, as if each were on a machine of its own."""

    def __init__(self, topic: SourceTopic, handle: Any, **options: Any) -> None:
        cluster, topics = Cluster(bootstrap=(topic.bootstrap,)), {topic.source: topic.name}
        self.state = SqliteState.in_memory("r", now_us=wall_us)
        membership = Membership(router="r", group=topic.group, topics=topics)
        self.subscription = KafkaSubscription(cluster, membership, now_us=wall_us, pace=QUICK)
        self.history = KafkaHistory(cluster, topics)
        self.meter = CountingMeter()
        ports = Ports(
            subscription=self.subscription,
            store=self.state.store,
            parking=self.state.parking,
            replays=self.state.replays,
            history=self.history,
            pausing=self.state.pausing,
            blame=self.state.blame,
        )
        self.worker = Worker(router_of(handle, **options), ports, self.meter, settings=SETTINGS, kill=lambda _: None)
        self.task = asyncio.create_task(self.worker.run())

    async def stop(self, seconds: float = 10.0) -> None:
        """End in order; a second call does nothing."""
        if not self.task.done():
            await self.worker.drain(seconds)
        await asyncio.gather(self.task)
        await self.subscription.close()
        await self.history.close()
        await self.state.close()


class Crowd:
    """Several workers of one router, and what their handlers did."""

    def __init__(self, topic: SourceTopic) -> None:
        self.topic = topic
        self.runs: Counter[str] = Counter()
        self.order: dict[str, list[int]] = defaultdict(list)
        self.workers: list[KafkaWorker] = []
        self.hold = 0.0

    async def handle(self, event: Event, ctx: Context) -> None:
        await asyncio.sleep(self.hold)
        self.order[event.key].append(int(event.id.removeprefix("evt_")))
        self.runs[event.id] += 1

    def join(self, **options: Any) -> KafkaWorker:
        worker = KafkaWorker(self.topic, self.handle, **options)
        self.workers.append(worker)
        return worker

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                for worker in self.workers:
                    if worker.task.done():
                        worker.task.result()
                if condition():
                    return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def crowd(kafka: Kafka, prefix: str, *, partitions: int) -> AsyncIterator[Crowd]:
    async with source_topic(kafka.bootstrap, prefix, partitions=partitions) as readers:
        made = Crowd(readers.topic)
        try:
            yield made
        finally:
            await asyncio.gather(*[worker.stop(0.0) for worker in made.workers])


async def put(topic: SourceTopic, start: int, count: int, partitions: int) -> None:
    """Append events of four keys for each partition, spread over all partitions."""
    for partition in range(partitions):
        numbers = range(start + partition * count, start + (partition + 1) * count)
        batch = [make_event(number, key=f"p{partition}-{number % 4}") for number in numbers]
        await topic.put_events(batch, partition=partition)


async def test_every_event_is_handled_and_committed(kafka: Kafka, kafka_prefix: str) -> None:
    async with crowd(kafka, kafka_prefix, partitions=2) as made:
        await put(made.topic, 0, 200, 2)
        worker = made.join()

        await made.until(lambda: len(made.runs) == 400)
        await made.topic.until_committed({0: 200, 1: 200})

        assert set(made.runs.values()) == {1}
        assert all(numbers == sorted(numbers) for numbers in made.order.values())
        await made.until(lambda: worker.worker.sample().backlog_events == 0)


async def test_partitions_move_under_load_without_loss_and_commits_have_no_holes(
    kafka: Kafka, kafka_prefix: str
) -> None:
    async with crowd(kafka, kafka_prefix, partitions=4) as made:
        made.hold = 0.01
        await put(made.topic, 0, 250, 4)
        first = made.join()
        await made.until(lambda: len(made.runs) > 100)
        second = made.join()
        await made.until(lambda: len(second.subscription.committed()) == 2 and second.meter.ages)
        await put(made.topic, 1000, 250, 4)
        await first.stop()
        assert contiguous(await made.topic.committed(), made)

        await made.until(lambda: len(made.runs) == 2000)
        await made.topic.until_committed(dict.fromkeys(range(4), 500))

        again = sum(made.runs.values()) - 2000
        assert again <= 2 * SETTINGS.concurrency  # what ran on past the patience, of two rebalances


def contiguous(committed: dict[int, int | None], made: Crowd) -> bool:
    """Return whether everything before the group's positions was handled."""
    for partition, offset in committed.items():
        early = range(partition * 250, partition * 250 + min(offset or 0, 250))
        late = range(1000 + partition * 250, 1000 + partition * 250 + max(0, (offset or 0) - 250))
        if any(not made.runs[f"evt_{number}"] for number in [*early, *late]):
            return False
    return True


async def test_an_event_whose_handler_does_not_end_in_time_is_run_by_the_next_owner(
    kafka: Kafka, kafka_prefix: str
) -> None:
    async with crowd(kafka, kafka_prefix, partitions=1) as made:
        stuck, entered = asyncio.Event(), asyncio.Event()

        async def block(event: Event, ctx: Context) -> None:
            entered.set()
            await stuck.wait()

        await put(made.topic, 0, 3, 1)
        slow = KafkaWorker(made.topic, block, timeout=60.0)
        made.workers.append(slow)
        await entered.wait()
        await slow.stop(0.5)
        made.join()

        await made.until(lambda: len(made.runs) == 3)
        await made.topic.until_committed({0: 3})


async def test_an_unreadable_record_becomes_a_dead_letter_and_holds_up_nothing(kafka: Kafka, kafka_prefix: str) -> None:
    async with crowd(kafka, kafka_prefix, partitions=1) as made:
        await made.topic.put_raw(b"{}", headers=[])
        await put(made.topic, 0, 3, 1)
        worker = made.join()

        await made.until(lambda: len(made.runs) == 3)
        await made.topic.until_committed({0: 4})

        assert [reason for _, reason in worker.meter.deaths] == ["unreadable"]


async def test_a_replay_reads_kafka_again(kafka: Kafka, kafka_prefix: str) -> None:
    async with crowd(kafka, kafka_prefix, partitions=2) as made:
        await put(made.topic, 0, 50, 2)
        worker = made.join()
        await made.until(lambda: len(made.runs) == 100)
        one, other = made.topic.partitions

        await worker.worker.replay(make_replay(mode="force", upto={one: 49, other: 9}))

        await made.until(lambda: not worker.worker.replays())
        assert sum(made.runs.values()) == 160
