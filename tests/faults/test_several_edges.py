"""`gateway serve --workers 2` on Kafka: one port, one admin endpoint, and an edge that dies under load."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from tests.running import RunningGateway, running, until
from tests.sender import Connection, stripe_body, stripe_headers

pytestmark = pytest.mark.timeout(300)

CONFIG = """
server: {{{{host: 127.0.0.1, port: {{port}}, admin_port: {{admin_port}}}}}}
log:
  engine: kafka
  bootstrap: "{bootstrap}"
  prefix: {prefix}
  path: var
  topics: {{{{partitions: 4, replication: 1, min_insync: 1}}}}
store: {{{{engine: postgres, dsn: {{{{env: NOT_SET_WHERE_EDGES_RUN}}}}}}}}
sources:
  stripe: {{{{provider: stripe, secrets: [{{{{env: TEST_STRIPE_SECRET}}}}]}}}}
"""


@pytest.fixture
def gateway(tmp_path: Path, kafka, kafka_prefix) -> Iterator[RunningGateway]:
    config = CONFIG.format(bootstrap=kafka.bootstrap, prefix=kafka_prefix)
    made = RunningGateway(tmp_path, config=config).command("topics", "create", "--config", "gateway.yaml")
    assert made.returncode == 0, made.stderr
    with running(tmp_path, config=config, words="serve --workers 2") as started:
        until(lambda: all(started.pid(name) for name in ("edge:1", "edge:2")))
        yield started


def series(gateway: RunningGateway, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    _, text = gateway.admin("/metrics")
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples if sample.name == name}


class Source:
    """Sends its own events one after the other, and each again until it is answered 200."""

    def __init__(self, port: int, number: int) -> None:
        self._connection = Connection(port, deadline=60.0)
        self._number = number
        self.acknowledged: list[str] = []
        self.cut = 0
        self.others: list[int] = []

    async def run(self, stop: asyncio.Event) -> None:
        try:
            await self._run(stop)
        finally:
            self.close()

    def close(self) -> None:
        self._connection.close()

    async def _run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            event_id = f"evt_{self._number}_{len(self.acknowledged)}"
            while not await self.send(event_id):
                pass
            self.acknowledged.append(event_id)
            if len(self.acknowledged) % 10 == 0:
                self._connection.close()  # so that new connections come all the time

    async def send(self, event_id: str) -> bool:
        body = stripe_body(event_id)
        answer = await self._connection.post("/webhooks/stripe", body, stripe_headers(body))
        if answer.status == 0:
            self.cut += 1
        elif answer.status != 200:
            self.others.append(answer.status)
        return answer.status == 200


async def stored_ids(bootstrap: str, topic: str) -> set[str]:
    client: Any = AIOKafkaConsumer
    consumer = client(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        place: Any = TopicPartition
        partitions = [place(topic, number) for number in range(4)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: set[str] = set()
        async with asyncio.timeout(60):
            while any([await consumer.position(each) < ends[each] for each in partitions]):
                fetched = await consumer.getmany(timeout_ms=500)
                found |= {json.loads(record.value)["id"] for records in fetched.values() for record in records}
        return found
    finally:
        await consumer.stop()


def test_the_admin_endpoint_adds_up_what_the_edges_tell(gateway):
    async def send() -> None:
        sources = [Source(gateway.port, number) for number in range(32)]
        await asyncio.gather(*(source.send(f"evt_{number}") for number, source in enumerate(sources)))
        for source in sources:
            source.close()
        await asyncio.sleep(0)

    asyncio.run(send())

    assert series(gateway, "gateway_up") == {(("process", name),): 1.0 for name in ("edge:1", "edge:2", "supervisor")}
    accepted = series(gateway, "gateway_deliveries_total")
    assert accepted[("outcome", "accepted"), ("reason", ""), ("source", "stripe")] == 32
    assert json.loads(gateway.admin("/readyz?verbose")[1])["parts"] == {"edge:1": "ok", "edge:2": "ok"}


def test_an_edge_killed_under_load_loses_nothing_and_refuses_nobody(gateway, kafka, kafka_prefix):
    sources = [Source(gateway.port, number) for number in range(16)]
    before = gateway.pid("edge:1")

    async def load() -> None:
        stop = asyncio.Event()
        sending = [asyncio.create_task(source.run(stop)) for source in sources]
        await reached(sources, 10)
        gateway.kill("edge:1")
        await reached(sources, 20)
        async with asyncio.timeout(60):
            while await asyncio.to_thread(gateway.pid, "edge:1") in (None, before):
                pass
        await reached(sources, 20)
        stop.set()
        await asyncio.gather(*sending)

    asyncio.run(load())

    acknowledged = {event_id for source in sources for event_id in source.acknowledged}
    assert acknowledged <= asyncio.run(stored_ids(kafka.bootstrap, f"{kafka_prefix}.events.stripe"))
    assert not any(source.others for source in sources), "no delivery was refused"
    assert max(source.cut for source in sources) <= 1, "cut off is what the dead edge was answering, and nothing else"
    assert gateway.ready()


async def reached(sources: list[Source], more: int) -> None:
    """Wait until every source has had so many more acknowledgements."""
    then = [len(source.acknowledged) for source in sources]
    async with asyncio.timeout(120):
        while any(len(each.acknowledged) < had + more for each, had in zip(sources, then, strict=True)):  # noqa: ASYNC110 - what is waited for has no event to set
            await asyncio.sleep(0.01)


def test_all_edges_drain_and_end(gateway):
    assert gateway.stop() == 0
