"""Real Kafka brokers for tests: one, or a cluster of three; and topics.

All brokers may be killed, frozen and started again. The fixtures share them, and mend them after each test.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.kafka import Broker, Cluster, Node
from deploy.local.processes import free_ports, until
from tests.tcp_proxy import TcpProxy

_ADMIN_MS = 60_000


class KafkaCluster:
    """Brokers on data of their own; of three, two must have a record before it is acknowledged.

    With `proxied`, clients reach `brokers[n]` over `proxies[n]` alone, and brokers each other without them. `settings`
    are added to every `server.properties`.
    """

    def __init__(self, *, count: int, proxied: bool = False, settings: Mapping[str, str] | None = None) -> None:
        self._ends = ExitStack()
        folder = Path(self._ends.enter_context(tempfile.TemporaryDirectory(prefix="gateway-kafka-")))
        ports = iter(free_ports(4 * count))
        nodes = [_node(number, [next(ports) for _ in range(4)], proxied=proxied) for number in range(1, count + 1)]
        cluster = Cluster(nodes=nodes, settings=settings or {})
        self.brokers = [Broker(folder / f"broker-{node.id}", node, cluster) for node in nodes]
        self.proxies = [TcpProxy(node.port, port=node.advertised_port) for node in nodes] if proxied else []

    @property
    def bootstrap(self) -> str:
        """The addresses for clients, separated by commas."""
        return ",".join(broker.bootstrap for broker in self.brokers)

    def start(self) -> None:
        """Start all brokers, and return once each knows of all the others."""
        for proxy in self.proxies:
            self._ends.enter_context(proxy)
        _at_once(Broker.prepare, self.brokers)
        self.mend()

    def mend(self) -> None:
        """Undo what a test did: every broker runs, answers and is known to the others, every proxy passes on."""
        for proxy in self.proxies:
            proxy.pass_on()
        for broker in self.brokers:
            broker.thaw()
        _at_once(Broker.start, [broker for broker in self.brokers if not broker.server.running])
        for broker in self.brokers:
            until(partial(self._knows_all, broker), deadline=60)

    def end(self) -> None:
        """Leave nothing behind."""
        for broker in self.brokers:
            broker.kill()
        self._ends.close()

    async def leader(self, topic: str, number: int = 0) -> Broker:
        """Return the broker that leads a partition now."""
        async with admin(self.bootstrap) as client:
            (described,) = await client.describe_topics([topic])
        (leader,) = (one["leader"] for one in described["partitions"] if one["partition"] == number)
        return next(broker for broker in self.brokers if broker.node.id == leader)

    def proxy_of(self, broker: Broker) -> TcpProxy:
        return self.proxies[self.brokers.index(broker)]

    def _knows_all(self, broker: Broker) -> bool:
        return broker.living() >= {one.node.id for one in self.brokers}


class Kafka(KafkaCluster):
    """One broker, and its acts at hand."""

    def __init__(self, *, proxied: bool = False, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(count=1, proxied=proxied, settings=settings)

    @property
    def broker(self) -> Broker:
        return self.brokers[0]

    def stop(self) -> None:
        self.broker.stop()

    def kill(self) -> None:
        self.broker.kill()

    def restart(self) -> None:
        """Start it again on its data, after `stop` or `kill`."""
        self.broker.start()

    def freeze(self) -> None:
        self.broker.freeze()

    def thaw(self) -> None:
        self.broker.thaw()

    def answers(self, *, within: float = 5.0) -> bool:
        return self.broker.answers(within=within)


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[Any]:
    client: Any = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_ADMIN_MS)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create_topics(
    bootstrap: str, *names: str, partitions: int = 1, replicas: int = 0, config: Mapping[str, str] | None = None
) -> None:
    """Create topics, all alike, and return once they can be used; `replicas` 0: as many as there are brokers."""
    replicas = replicas or len(bootstrap.split(","))
    new: Any = NewTopic
    wanted = [new(name, partitions, replicas, topic_configs=dict(config or {})) for name in names]
    async with admin(bootstrap) as client:
        answer = await client.create_topics(wanted, timeout_ms=_ADMIN_MS)
        refused = [error for error in answer.topic_errors if error[1] != 0]
        assert not refused, refused
        await _usable(client, names, partitions)


async def _usable(client: Any, topics: Sequence[str], partitions: int) -> None:
    """Wait until the broker that answers knows the leaders of all partitions."""
    async with asyncio.timeout(60):
        while True:
            described = await client.describe_topics(list(topics))
            found = [one for topic in described for one in topic["partitions"] if one["leader"] >= 0]
            if len(found) == len(topics) * partitions:
                return
            await asyncio.sleep(0.02)


def _node(number: int, ports: Sequence[int], *, proxied: bool) -> Node:
    advertised = ports[3] if proxied else None
    return Node(id=number, port=ports[0], peer_port=ports[1], controller_port=ports[2], advertised_port=advertised)


def _at_once(act: Callable[[Broker], None], brokers: Sequence[Broker]) -> None:
    """Do it to all at once: a broker is ready only when most of its cluster runs."""
    with ThreadPoolExecutor(len(brokers) or 1) as threads:
        list(threads.map(act, brokers))
