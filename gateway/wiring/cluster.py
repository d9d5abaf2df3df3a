"""What the processes and the commands of a cluster have in common: how to reach it, and what its topics must be."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress

from gateway.config.settings import KafkaSettings, OAuthSettings, Settings
from gateway.config.topics import topic_plans
from gateway.core.errors import ConfigError, DependencyError
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.consumer import Membership
from gateway.keep.kafka.tokens import OAuth
from gateway.keep.kafka.topic_admin import DEADLINE, verify
from gateway.keep.kafka.topics import TopicPlan, clash_problem, events_topic

log = logging.getLogger("gateway.process")

_LOOK_SECONDS = 15.0

INDEXER = "indexer"
INDEX_GROUP = "gateway.index"  # no router's: their names have no dot


def kafka_of(settings: Settings) -> KafkaSettings:
    """Return the settings of the engine, which `config.load` sees to be there."""
    assert settings.log.kafka is not None  # noqa: S101
    return settings.log.kafka


def cluster_of(settings: Settings, *, process: str) -> Cluster:
    """Return how to reach the cluster; `process` tells the brokers who asks."""
    kafka = kafka_of(settings)
    security = kafka.security
    oauth = security.oauth
    return Cluster(
        bootstrap=kafka.bootstrap,
        client_id=f"{kafka.prefix}-{process.replace(':', '-')}-{socket.gethostname()}"[:200],
        tls=security.tls,
        ca=security.ca,
        cert=security.cert,
        key=security.key,
        mechanism=security.mechanism,
        username=security.username,
        password=security.password,
        oauth=None if oauth is None else _oauth(oauth),
    )


def _oauth(settings: OAuthSettings) -> OAuth:
    return OAuth(
        token_url=settings.token_url,
        client_id=settings.client_id,
        client_secret=settings.client_secret,
        scope=settings.scope,
    )


def topics_of(settings: Settings) -> Mapping[str, str]:
    """Return the topic of each source's events."""
    return {source.name: events_topic(kafka_of(settings).prefix, source.name) for source in settings.sources}


def plans_of(settings: Settings) -> tuple[TopicPlan, ...]:
    """Return how each topic must be."""
    return topic_plans(settings, kafka_of(settings))


def group_of(settings: Settings, name: str) -> str:
    """Return the consumer group of a router, or of the indexer."""
    return f"{kafka_of(settings).prefix}.{name}"


def membership_of(settings: Settings, name: str) -> Membership:
    """Return who a worker is to the cluster, and what it reads."""
    return Membership(router=name, group=group_of(settings, name), topics=topics_of(settings))


def instance_of(settings: Settings, router: str) -> str:
    """Return the name of this place: the same after a restart, and no other worker's."""
    return f"{socket.gethostname()}:{settings.log.path.resolve()}:{router}"


async def check_topics(settings: Settings, process: str, *, deadline: float = DEADLINE) -> None:
    """Refuse topics that are not as they must be, and say what should be better; give up after `deadline` seconds.

    Raises:
        ConfigError: every mistake with its remedy.
        DependencyError: the cluster does not answer.
    """
    wrong, odd = await _problems(settings, process, deadline)
    if wrong:
        raise ConfigError("\n".join(wrong))
    for problem in odd:
        log.warning("topic.warning", extra={"cause": problem})


async def look_at_topics(settings: Settings, process: str) -> None:
    """Say what is wrong with the topics, once the cluster answers: an edge starts without it, and unchecked."""
    while True:
        with suppress(DependencyError):
            wrong, _ = await _problems(settings, process, DEADLINE)
            for problem in wrong:
                log.error("topic.wrong", extra={"cause": problem})
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def _problems(settings: Settings, process: str, deadline: float) -> tuple[list[str], list[str]]:
    arguments = client_arguments(cluster_of(settings, process=process))
    found = await verify(arguments, plans_of(settings), deadline=deadline)
    wrong = [str(problem) for problem in found if problem.severity == "error"]
    odd = [str(problem) for problem in found if problem.severity != "error"]
    clash = clash_problem(source.name for source in settings.sources)
    return wrong + ([] if clash is None else [clash]), odd
