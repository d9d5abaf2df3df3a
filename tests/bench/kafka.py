"""The Kafka rows: one broker and one Postgres on this machine, the gateway on both, beside the same bare function."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.local import kafka as local_kafka
from deploy.local import postgres as local_postgres
from gateway.keep.envelope import to_record
from gateway.keep.kafka.topics import events_topic
from gateway.keep.postgres import migrations
from tests.bench.handlers import AGES, NOOP, ROW
from tests.bench.load import Load, Run
from tests.bench.prefill import stored_event
from tests.bench.probes import bare_function, fdatasync_ms, metric, rate_between, rss_mb, runs
from tests.bench.table import Row, at_least, at_most, only
from tests.kafka_rig import Kafka
from tests.postgres_rig import PostgresServer
from tests.running import RunningGateway, running

PARTITIONS = 12
BACKLOG = 60_000
CONFIG = """
server: {{{{host: 127.0.0.1, port: {{port}}, admin_port: {{admin_port}}}}}}
log:
  engine: kafka
  bootstrap: "{bootstrap}"
  prefix: {prefix}
  path: var
  topics: {{{{partitions: {partitions}, replication: 1, min_insync: 1}}}}
store: {{{{engine: postgres, dsn: "{dsn}"}}}}
sources:
  stripe: {{{{provider: stripe, secrets: [{{{{env: TEST_STRIPE_SECRET}}}}]}}}}
  github: {{{{provider: github, secrets: [{{{{env: TEST_GITHUB_SECRET}}}}]}}}}
routers:
  ledger: {{{{use: "ledger_handlers:router"}}}}
"""


class Stage:
    """The servers, and gateways on them, each with topics and a database of its own."""

    def __init__(self, kafka: Kafka, postgres: PostgresServer) -> None:
        self._kafka = kafka
        self._postgres = postgres
        self._count = 0

    @property
    def bootstrap(self) -> str:
        """Where the broker is."""
        return self._kafka.bootstrap

    @contextmanager
    def gateway(self, handlers: str, *, words: str, stored: int = 0) -> Iterator[RunningGateway]:
        """Run a gateway, on topics that hold `stored` events."""
        self._count += 1
        prefix = f"bench{self._count}"
        dsn = self._postgres.create(prefix)
        migrations.apply(dsn)
        text = CONFIG.format(bootstrap=self.bootstrap, prefix=prefix, dsn=dsn, partitions=PARTITIONS)
        with tempfile.TemporaryDirectory(prefix=f"{prefix}-") as folder:
            made = RunningGateway(
                Path(folder), config=text, handlers={"ledger_handlers": handlers}, words="topics create"
            ).command("topics", "create", "--config", "gateway.yaml")
            if made.returncode:
                raise RuntimeError(made.stderr)
            if stored:
                uvloop.run(_fill(self.bootstrap, prefix, stored))
            with running(Path(folder), config=text, handlers={"ledger_handlers": handlers}, words=words) as started:
                yield started

    def stored(self, started: RunningGateway) -> int:
        """Return how many events the log holds."""
        prefix = next(
            line.split()[1] for line in (started.folder / "gateway.yaml").read_text().splitlines() if "prefix" in line
        )
        return asyncio.run(_ends(self.bootstrap, events_topic(prefix, "github")))


@contextmanager
def stage() -> Iterator[Stage]:
    """Start the servers, and end them."""
    with ExitStack() as held:
        kafka, postgres = Kafka(), PostgresServer()
        kafka.start()
        held.callback(kafka.end)
        postgres.start()
        held.callback(postgres.end)
        yield Stage(kafka, postgres)


async def _fill(bootstrap: str, prefix: str, count: int) -> None:
    make: Any = AIOKafkaProducer  # it has no types
    producer = make(bootstrap_servers=bootstrap, acks="all", max_batch_size=2**18)
    await producer.start()
    try:
        for start in range(0, count, 2000):
            sent = []
            for number in range(start, min(count, start + 2000)):
                record = to_record(stored_event(number))
                topic = events_topic(prefix, "github")
                place = {"key": record.key, "headers": record.headers, "partition": number % PARTITIONS}
                sent.append(await producer.send(topic, record.value, **place))
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def _ends(bootstrap: str, topic: str) -> int:
    make: Any = AIOKafkaConsumer  # it has no types
    consumer = make(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        found = await consumer.end_offsets([TopicPartition(topic, number) for number in range(PARTITIONS)])
        return sum(found.values())
    finally:
        await consumer.stop()


def rows(load: Load, folder: str, seconds: int) -> list[Row]:
    """Take all figures on Kafka."""
    lacking = local_kafka.lacking() or local_postgres.lacking()
    if lacking:
        return [Row(f"Kafka: not measured; {lacking}", "", "", None)]
    with stage() as on:
        steps: list[Callable[[], list[Row]]] = [
            lambda: _edge_rows(on, load, folder, seconds),
            lambda: _worker_rows(on),
            lambda: [_latency_row(on, load, seconds)],
        ]
        return [row for step in steps for row in step()]


def _edge_rows(on: Stage, load: Load, folder: str, seconds: int) -> list[Row]:
    with bare_function() as bare, on.gateway(NOOP, words="serve") as one:
        rest = rss_mb(one.pid("edge"))
        with on.gateway(NOOP, words="serve --workers 2") as two:
            load.closed(one.port, connections=16, seconds=2)
            load.closed(two.port, connections=16, seconds=2)
            taken: dict[str, list[Run]] = {"bare": [], "one": [], "one at 128": [], "two at 128": []}
            spent = metric(one, 'process_cpu_seconds_total{process="edge"}')
            for _ in range(3):
                taken["bare"].append(load.closed(bare, connections=64, seconds=seconds))
                taken["one"].append(load.closed(one.port, connections=64, seconds=seconds))
                taken["one at 128"].append(load.closed(one.port, connections=128, seconds=seconds))
                taken["two at 128"].append(load.closed(two.port, connections=128, seconds=seconds))
            spent = metric(one, 'process_cpu_seconds_total{process="edge"}') - spent
            both = taken["one"] + taken["one at 128"]
            rate = {name: statistics.median(run.rate for run in them) for name, them in taken.items()}
            quiet = load.closed(one.port, connections=1, seconds=seconds)
            steady = load.open(one.port, rate=rate["one"] / 3, seconds=seconds)
            acknowledged = sum(run.requests - run.errors for run in [*both, quiet, steady])
            missing = max(0, acknowledged - on.stored(one))
    return [
        only("Kafka: accepted, 64 connections", rate["one"], "events/s"),
        only("  p99 of it", statistics.median(run.p99 for run in taken["one"]), "ms"),
        at_least("Kafka: accepted against the bare function (aim 0.5)", rate["one"] / rate["bare"], 0.33),
        at_least(
            "Kafka: two edge processes against one, 128 connections", rate["two at 128"] / rate["one at 128"], 1.3
        ),
        only("  accepted by two", rate["two at 128"], "events/s"),
        only("  processor time of the edge", 1e6 * spent / sum(run.requests for run in both), "µs an event"),
        at_most("Kafka: ack p50 at one connection", quiet.p50, 1 + fdatasync_ms(folder), "ms"),
        at_most("Kafka: ack p50 at a third of the peak, open loop", steady.p50, 2, "ms"),
        at_most("Kafka: ack p99 at a third of the peak, open loop", steady.p99, 10, "ms"),
        Row("Kafka: acknowledged events missing from the log", f"{missing}", "<= 0", missing == 0),
        at_most("Kafka: edge memory at rest", rest, 80, "MB"),
    ]


def _worker_rows(on: Stage) -> list[Row]:
    rates = []
    for handlers in (NOOP, ROW):
        with on.gateway(handlers, words="work --router ledger", stored=BACKLOG) as started:
            rates.append(rate_between(lambda: runs(started), BACKLOG * 0.1, BACKLOG * 0.9))
    return [
        at_least("Kafka and Postgres: handler runs, no-op handler, one worker", rates[0], 10_000, "runs/s"),
        at_least("Kafka and Postgres: handler runs, mark and one row, one worker", rates[1], 3_000, "runs/s"),
    ]


def _latency_row(on: Stage, load: Load, seconds: int) -> Row:
    with on.gateway(AGES, words="run") as started:
        time.sleep(2)  # until the group has settled: what is measured is an idle machine, not a start
        load.open(started.port, rate=100, seconds=seconds)
        ages = sorted(float(line) * 1e3 for line in (started.folder / "ages").read_text().split())
        return at_most("Kafka: received to handled, idle machine, p99", ages[int(len(ages) * 0.99)], 50, "ms")
