# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""A Kafka broker as a child process: KRaft, broker and controller in one, from the jars of `make .cache/kafka`.

Small and quick to start, and quick to notice that a neighbour is dead: for development and tests, not for production.
"""

import shutil
import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import processes
from deploy.local.processes import Server, ServerError

JARS = Path(__file__).parents[2] / ".cache/kafka"
NO_JAVA = ("Java", "version 17 or newer is needed; on Debian and Ubuntu: apt install default-jre-headless")
NO_JARS = ("Apache Kafka", "install Maven (on Debian and Ubuntu: apt install maven), then run `make .cache/kafka`")

_HOST = "127.0.0.1"
_CLUSTER_ID = "Z2F0ZXdheS1sb2NhbC1rYQ"
_JVM = ("-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.apache.logging.log4j.level=WARN")
_STORAGE_TOOL = "kafka.tools.StorageTool"
_START_SECONDS = 90.0
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One broker of a cluster: three ports of the loopback, and where clients are told to find it (none: `port`)."""

    id: int
    port: int
    peer_port: int
    controller_port: int
    advertised_port: int | None = None

    @property
    def address(self) -> str:
        """What clients are told."""
        return f"{_HOST}:{self.advertised_port or self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """All brokers of a cluster. `settings` are added to `server.properties` of each, and win."""

    nodes: Sequence[Node]
    settings: Mapping[str, str] = field(default_factory=dict)


def lacking() -> tuple[str, str] | None:
    """Return what this machine lacks to run a broker, and the remedy; None if nothing."""
    if shutil.which("java") is None:
        return NO_JAVA
    return None if any(JARS.glob("kafka_*.jar")) else NO_JARS


class Broker:
    """One broker with its data below `folder`; a stopped or killed one starts again on its data."""

    def __init__(self, folder: Path, node: Node, cluster: Cluster) -> None:
        self.node = node
        self._folder = folder
        self._cluster = cluster
        self._properties = folder / "server.properties"
        self.server = Server(
            _java("kafka.Kafka", str(self._properties)), output=folder / "broker.log", environ={"LC_ALL": "C.UTF-8"}
        )

    @property
    def bootstrap(self) -> str:
        """The address for clients, `host:port`."""
        return self.node.address

    def prepare(self) -> None:
        """Write the properties, and format the storage if it is new.

        Raises:
            ServerError: it could not be formatted.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{name}={value}" for name, value in _properties(self._folder, self.node, self._cluster).items()]
        self._properties.write_text("\n".join(lines) + "\n")
        if not (self._folder / "data/meta.properties").exists():
            self._format()

    def start(self) -> None:
        """Start, and return once the broker answers and is part of its cluster.

        Raises:
            ServerError: it did not start; the message says why.
        """
        self.prepare()
        self.server.start(self.answers, deadline=_START_SECONDS)

    def stop(self) -> None:
        """End it in order: it hands over what it leads, and closes its files."""
        self.server.stop(deadline=30.0)

    def kill(self) -> None:
        """End it as a crash does."""
        self.server.kill()

    def freeze(self) -> None:
        """Stop it as a starved machine does: connections stay open, nothing is answered."""
        processes.freeze(self.server.pid)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        if self.server.running:
            processes.thaw(self.server.pid)

    def answers(self, *, within: float = _ANSWER_SECONDS) -> bool:
        """Return whether the broker answers within that many seconds and counts itself among the living."""
        return self.node.id in self.living(within=within)

    def living(self, *, within: float = _ANSWER_SECONDS) -> set[int]:
        """Return the ids of the brokers that this one counts among the living; none if it does not answer in time."""
        return _living(_HOST, self.node.port, within)

    def _format(self) -> None:
        tool = [_STORAGE_TOOL, "format", "-t", _CLUSTER_ID, "-c", str(self._properties)]
        ran = subprocess.run(_java(*tool), capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
        if ran.returncode:
            raise ServerError(f"Kafka's storage could not be formatted:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")


def _living(host: str, port: int, within: float) -> set[int]:
    # Metadata, version 4, of no topics: length, key, version, correlation id, client id, count of topics, no creation.
    request = struct.pack("!hhih5sib", 3, 4, 1, 5, b"local", 0, 0)
    with suppress(OSError, struct.error), socket.create_connection((host, port), timeout=within) as connection:
        connection.sendall(struct.pack("!i", len(request)) + request)
        stream = connection.makefile("rb")
        (length,) = struct.unpack("!i", stream.read(4))
        return _broker_ids(stream.read(length))
    return set()


def _broker_ids(answer: bytes) -> set[int]:
    (count,) = struct.unpack_from("!i", answer, 8)
    found, at = set(), 12
    for _ in range(count):
        number, name = struct.unpack_from("!ih", answer, at)
        (rack,) = struct.unpack_from("!h", answer, at + 6 + name + 4)
        found.add(int(number))
        at += 6 + name + 4 + 2 + max(rack, 0)
    return found


def _java(*words: str) -> list[str]:
    return ["java", *_JVM, "-cp", f"{JARS}/*", *words]


def _properties(folder: Path, node: Node, cluster: Cluster) -> dict[str, str]:
    several = len(cluster.nodes) > 1
    listeners = {"CLIENT": node.port, "PEER": node.peer_port, "CONTROLLER": node.controller_port}
    return {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{one.id}@{_HOST}:{one.controller_port}" for one in cluster.nodes),
        "listeners": ",".join(f"{name}://{_HOST}:{port}" for name, port in listeners.items()),
        "advertised.listeners": f"CLIENT://{node.address},PEER://{_HOST}:{node.peer_port}",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PEER",
        "log.dirs": str(folder / "data"),
        "min.insync.replicas": "2" if several else "1",
        "default.replication.factor": "3" if several else "1",
        **_internal_topics("3" if several else "1", "2" if several else "1"),
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "replica.lag.time.max.ms": "4000",
        "num.network.threads": "2",
        "num.io.threads": "2",
        "log.cleaner.dedupe.buffer.size": "8388608",
        **cluster.settings,
    }


def _internal_topics(replicas: str, insync: str) -> dict[str, str]:
    return {
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": insync,
        "share.coordinator.state.topic.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": insync,
    }
