"""What the fault tests on Kafka need: gateways that share a prefix and a database, and a load whose answers are kept.

A `Deployment` is one prefix on a cluster and one database; any number of gateways run on it, each in a folder of its
own. `load` sends events from a thread of its own, each again, the same bytes, until it is acknowledged, as a provider
does. What must hold afterwards is in `tests.kafka_fault_checker`.
"""

import asyncio
import itertools
import os
import secrets
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.fault_rig import Delivery, stripe
from tests.kafka_rig import KafkaCluster
from tests.running import RunningGateway, until
from tests.sender import Answer, Connection

ROUTER = "ledger"
SOURCE = "stripe"
PARTITIONS = 3
DEADLINE = 1.0  # of the sources, in seconds
GRACE = 0.25  # what an answer may take beyond it
AGAIN = 0.05  # the pause of a sender that was not acknowledged

LEDGER = '''
from gateway import Context, Event, Router

SCHEMA = """
create table if not exists effect (
    number bigint generated always as identity, source text, id text, key text, attempt integer
)
"""
router = Router("ledger", schema=SCHEMA, start="earliest")


@router.on("*", name="write-effect")
async def write_effect(event: Event, ctx: Context) -> None:
    row = {"source": event.source, "id": event.id, "key": event.key, "attempt": ctx.attempt}
    await ctx.tx.execute(
        "insert into effect (source, id, key, attempt) values (:source, :id, :key, :attempt)", row
    )
'''

_CONFIG = """\
server: {{{{host: 127.0.0.1, port: {{port}}, admin_port: {{admin_port}}}}}}
log:
  engine: kafka
  bootstrap: "{bootstrap}"
  prefix: {prefix}
  path: var
  topics: {{{{partitions: {partitions}, replication: {replication}, min_insync: {min_insync}}}}}
{spool}
store: {{{{engine: postgres, dsn: {{{{env: TEST_DATABASE_URL}}}}}}}}
sources:
  stripe: {{{{provider: stripe, secrets: [{{{{env: TEST_STRIPE_SECRET}}}}], deadline: {deadline}s}}}}
  github: {{{{provider: github, secrets: [{{{{env: TEST_GITHUB_SECRET}}}}], deadline: {deadline}s}}}}
routers:
{routers}
"""


class KafkaGateway(RunningGateway):
    """One gateway of a deployment, not started yet."""

    def __init__(
        self, folder: Path, *, config: str, handlers: Mapping[str, str], words: str, environ: Mapping[str, str]
    ) -> None:
        self._more = environ
        super().__init__(folder, config=config, handlers=dict(handlers), words=words)

    def _environ(self) -> dict[str, str]:
        return {**super()._environ(), **self._more}


@dataclass
class Deployment:
    """Gateways on one cluster, prefix and database. `handlers` has the routers' modules, `<router>_handlers`."""

    folder: Path
    kafka: KafkaCluster
    dsn: str
    partitions: int = PARTITIONS
    deadline: float = DEADLINE
    handlers: Mapping[str, str] = field(default_factory=lambda: {f"{ROUTER}_handlers": LEDGER})
    prefix: str = field(default_factory=lambda: f"f{secrets.token_hex(4)}")

    def gateway(self, words: str = "run", *, name: str = "gateway", spool: bool = False) -> KafkaGateway:
        """Return a gateway in a folder of its own: `run`, `serve`, `serve --workers 2`, `work`, ..."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        environ = {"TEST_DATABASE_URL": self.dsn}
        return KafkaGateway(
            folder, config=self._config(spool=spool), handlers=self.handlers, words=words, environ=environ
        )

    @contextmanager
    def running(
        self, words: str = "run", *, name: str = "gateway", spool: bool = False, wait: bool = True
    ) -> Iterator[KafkaGateway]:
        """Start a gateway, and end it whatever happens; its output is shown when the test fails."""
        gateway = self.gateway(words, name=name, spool=spool)
        try:
            gateway.start(wait=wait)
            yield gateway
        except BaseException:
            print(f"--- {name}:\n{gateway.output.read_text()[-8000:]}")  # noqa: T201 - pytest shows it with the failure
            raise
        finally:
            gateway.end()

    def create_topics(self) -> None:
        made = self.gateway(name="topics").command("topics", "create", "--config", "gateway.yaml")
        assert made.returncode == 0, made.stderr

    def topic(self, source: str = SOURCE) -> str:
        return f"{self.prefix}.events.{source}"

    def group(self, router: str = ROUTER) -> str:
        return f"{self.prefix}.{router}"

    def _config(self, *, spool: bool) -> str:
        brokers = len(self.kafka.brokers)
        names = [module.removesuffix("_handlers") for module in self.handlers]
        return _CONFIG.format(
            bootstrap=self.kafka.bootstrap,
            prefix=self.prefix,
            partitions=self.partitions,
            replication=brokers,
            min_insync=min(2, brokers),
            spool="  spool: spool" if spool else "",
            deadline=self.deadline,
            routers="\n".join(f'  {name}: {{{{use: "{name}_handlers:router"}}}}' for name in names),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """One attempt at one delivery; `began` and `ended` on `time.monotonic`'s clock, `ended_ms` on the wall's."""

    id: str
    key: str
    began: float
    ended: float
    ended_ms: float
    answer: Answer

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass
class Ledger:
    """Every attempt and its answer, in the order of the answers."""

    sent: list[Sent] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)

    def note(self, sent: Sent) -> None:
        self.sent.append(sent)
        if sent.answer.acknowledged:
            self.acknowledged.add(sent.id)

    def refused(self, *, since: float = 0.0) -> list[Sent]:
        """Return what was answered, and not with a 2xx."""
        return [sent for sent in self.sent if sent.began >= since and sent.answer.status >= 300]

    def reached(self, *, since: float) -> dict[int, int]:
        """Return how many events were acknowledged in each partition, of those sent since then."""
        taken = [sent for sent in self.sent if sent.began >= since and sent.answer.acknowledged]
        return Counter(partition_of(sent.key) for sent in taken)

    def late(self, *, without: Sequence[tuple[float, float]] = (), deadline: float = DEADLINE) -> list[Sent]:
        """Return what was answered too late, or not at all, by the sender's clock.

        `without` has times, (since, until), in which there was no edge: who waited for one then does not count.
        """
        slow = [sent for sent in self.sent if sent.seconds > deadline + GRACE]
        return [sent for sent in slow if not any(sent.began < until and sent.ended > since for since, until in without)]

    def order(self) -> dict[str, list[str]]:
        """Return the ids of each key in the order in which they were first acknowledged."""
        found: dict[str, dict[str, None]] = {}
        for sent in self.sent:
            if sent.answer.acknowledged:
                found.setdefault(sent.key, {})[sent.id] = None
        return {key: list(ids) for key, ids in found.items()}

    async def post(self, connection: Connection, delivery: Delivery, event_id: str, key: str = "") -> Answer:
        """Send once, and keep the answer."""
        began = time.monotonic()
        answer = await connection.post(delivery.path, delivery.body, delivery.headers)
        self.note(Sent(event_id, key, began, time.monotonic(), time.time() * 1000, answer))
        return answer


def partition_of(key: str, partitions: int = PARTITIONS) -> int:
    """Return where an ordering key's events go."""
    return zlib.crc32(key.encode()) % partitions


def keys_in(partition: int, count: int, *, label: str) -> Sequence[str]:
    """Return ordering keys whose events go into that partition."""
    candidates = (f"in_{label}_{number}" for number in itertools.count())
    return list(itertools.islice((key for key in candidates if partition_of(key) == partition), count))


@contextmanager
def load(
    *ports: int,
    connections: int = 8,
    pause: float = 0.01,
    keys: int = 6,
    filler: int = 300,
    name: str = "load",
    again: bool = True,
) -> Iterator[Ledger]:
    """Send while the block runs, to the ports in turn; `pause` seconds between two events of a connection.

    An event that was not acknowledged is sent again, the same bytes, unless not `again`. A key's events go over one
    connection, so that the order of their acknowledgements is known, and each connection's into one partition, so that
    none waits for another's.
    """
    kept, stop = Ledger(), threading.Event()
    name = f"{name}_{secrets.token_hex(3)}"  # what another load sent on this prefix would be a duplicate

    async def sender(number: int) -> None:
        connection, count = Connection(ports[number % len(ports)]), 0
        own = keys_in(number % PARTITIONS, keys, label=f"{name}_{number}")
        while not stop.is_set():
            count += 1
            event_id, key = f"evt_{name}_{number}_{count}", own[count % keys]
            delivery = stripe(event_id, key=key, filler=filler)
            answer = await kept.post(connection, delivery, event_id, key)
            while again and not answer.acknowledged and not stop.is_set():
                await asyncio.sleep(AGAIN)
                answer = await kept.post(connection, delivery, event_id, key)
            await asyncio.sleep(pause)
        connection.close()

    async def all_senders() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(connections):
                tasks.create_task(sender(number))

    thread = threading.Thread(target=lambda: asyncio.run(all_senders()), name="load")
    thread.start()
    try:
        yield kept
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive(), "a sender was never answered"


async def send_until_acknowledged(port: int, ledger: Ledger, deliveries: Mapping[str, Delivery]) -> None:
    """Send each, by its event's id, over one connection; each again, the same bytes, until it is acknowledged."""
    connection = Connection(port)
    async with asyncio.timeout(60):
        for event_id, delivery in deliveries.items():
            answer = await ledger.post(connection, delivery, event_id)
            while not answer.acknowledged:
                await asyncio.sleep(AGAIN)
                answer = await ledger.post(connection, delivery, event_id)
    connection.close()


def kill(gateway: RunningGateway, process: str = "edge") -> tuple[float, float]:
    """Kill a process, wait until another has taken its place, and return the time without one: since, until."""
    before, since = gateway.pid(process), time.monotonic()
    gateway.kill(process)
    until(lambda: gateway.pid(process) not in (None, before), deadline=60, what=f"another {process}")
    return since, time.monotonic()


def further(ledger: Ledger, count: int = 100, *, deadline: float = 60.0) -> None:
    """Wait until that many further events are acknowledged."""
    goal = len(ledger.acknowledged) + count
    until(lambda: len(ledger.acknowledged) >= goal, deadline=deadline, what=f"{count} further acknowledgements")


@dataclass
class Vitals:
    """The most memory in bytes, and the most open files, that a process was seen with."""

    rss: int = 0
    files: int = 0


def vitals(pid: int) -> Vitals:
    """Return what a process uses now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Vitals(pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208 - counted


@contextmanager
def watched(pid: int, *, every: float = 0.2) -> Iterator[Vitals]:
    """Watch a process while the block runs."""
    most, stop = vitals(pid), threading.Event()

    def look() -> None:
        while not stop.wait(every):
            with suppress(OSError):
                now = vitals(pid)
                most.rss, most.files = max(most.rss, now.rss), max(most.files, now.files)

    thread = threading.Thread(target=look, name="vitals")
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join(10)
