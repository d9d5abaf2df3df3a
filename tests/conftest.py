"""Shared by all tests: real servers, and what may be skipped, only on a user's own machine."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol, TypeVar

import pytest

from deploy.local import kafka as local_kafka
from deploy.local import postgres as local_postgres
from tests.kafka_rig import Kafka, KafkaCluster
from tests.postgres_rig import PostgresServer


def missing(what: str, remedy: str) -> None:
    """Skip for want of a service on a user's machine; fail where nothing may be skipped (`CI` is set)."""
    message = f"{what} is missing: {remedy}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """The broker that all tests share: `kafka.bootstrap`. Who breaks it asks for `kafka_prefix`, which mends it."""
    with _started(Kafka, local_kafka.lacking()) as server:
        yield server


@pytest.fixture
def kafka_prefix(kafka: Kafka) -> Iterator[str]:
    """A prefix of topics that no one used before; `tests.kafka_rig.create_topics` makes some."""
    yield f"t{secrets.token_hex(4)}"
    kafka.mend()


@pytest.fixture(scope="session")
def kafka_brokers() -> Iterator[KafkaCluster]:
    with _started(partial(KafkaCluster, count=3, proxied=True), local_kafka.lacking()) as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(kafka_brokers: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers behind proxies, shared, all well; topics have three replicas, two must have a record."""
    yield kafka_brokers
    kafka_brokers.mend()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The Postgres server that all tests share. Who breaks it asks for a database, too, which mends it."""
    with _started(PostgresServer, local_postgres.lacking()) as server:
        yield server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of an empty database of the test's own."""
    with postgres.fresh() as dsn:
        yield dsn


@pytest.fixture
def migrated_database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database of the test's own that has the gateway's tables, empty."""
    with postgres.fresh(template=postgres.migrated()) as dsn:
        yield dsn


class _Server(Protocol):
    def start(self) -> None: ...
    def end(self) -> None: ...


S = TypeVar("S", bound=_Server)


@contextmanager
def _started(make: Callable[[], S], lacking: tuple[str, str] | None) -> Iterator[S]:
    if lacking:
        missing(*lacking)
    server = make()
    try:
        server.start()
        yield server
    finally:
        server.end()
