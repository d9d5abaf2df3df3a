"""Brokers stopped, killed, cut off and misconfigured under load: three of them, two must have a record.

All tests share one gateway, whose edge must outlive every one of them without a restart.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from deploy.local.kafka import Broker
from gateway.keep.kafka.topics import events_topic
from tests.fault_rig import accept, github, send_all, told_to_come_again
from tests.kafka_fault_checker import Commits, assert_sound, commits, settled
from tests.kafka_fault_rig import DEADLINE, Deployment, KafkaGateway, Ledger, further, load, watched
from tests.kafka_rig import KafkaCluster, admin
from tests.postgres_rig import PostgresServer
from tests.running import until
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(300)

SESSION = 3.0  # after which the others take a broker for dead
FLOOD = 60  # connections
MEMORY = 100 * 2**20  # what the edge may take beyond what it had: the 64 MiB that may be queued, and room to work


class Site(NamedTuple):
    """The shared gateway, under its deployment."""

    deployment: Deployment
    gateway: KafkaGateway
    edge: int  # its process


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, kafka_brokers: KafkaCluster, postgres: PostgresServer
) -> Iterator[Site]:
    with postgres.fresh(template=postgres.migrated()) as dsn:
        deployment = Deployment(tmp_path_factory.mktemp("brokers"), kafka_brokers, dsn)
        deployment.create_topics()
        with deployment.running() as gateway:
            pid = gateway.pid("edge")
            assert pid is not None
            yield Site(deployment, gateway, pid)


@pytest.fixture
def site(shared: Site, kafka_cluster: KafkaCluster) -> Iterator[Site]:
    """Mends the brokers afterwards; then the same edge must be ready again, by itself."""
    told = shared.gateway.output.stat().st_size
    yield shared
    kafka_cluster.mend()
    print(shared.gateway.output.read_text()[told:][-6000:])  # noqa: T201 - pytest shows it if the test has failed
    until(shared.gateway.ready, what="readiness after the fault")
    assert shared.gateway.pid("edge") == shared.edge, "the edge was replaced"


def leads(site: Site, broker: Broker) -> set[int]:
    """Return the partitions that a broker leads."""
    return {number for number, leader in asyncio.run(leaders(site)).items() if leader == broker.node.id}


async def leaders(site: Site) -> dict[int, int]:
    async with admin(site.deployment.kafka.bootstrap) as client:
        (described,) = await client.describe_topics([site.deployment.topic()])
    return {one["partition"]: one["leader"] for one in described["partitions"]}


def one_of_several_leaders(site: Site) -> Broker:
    """Return a broker that leads some partitions, and not all."""
    found = [broker for broker in site.deployment.kafka.brokers if 0 < len(leads(site, broker)) < 3]
    assert found, "one broker leads all partitions: this test must come before those that move them"
    return found[0]


def reach_all(ledger: Ledger, since: float, each: int = 20) -> None:
    """Wait until every partition has taken events that were sent since then."""
    until(lambda: sum(count >= each for count in ledger.reached(since=since).values()) == 3, deadline=60)


def last(moment: float) -> None:
    """Let a fault last until then: its length is the fault."""
    time.sleep(max(0.0, moment - time.monotonic()))


def check(site: Site, ledger: Ledger, sampled: Commits | None = None) -> None:
    assert_sound(settled(site.deployment), ledger, sampled)
    assert not ledger.late(), "answered after the deadline"
    assert all(told_to_come_again(sent.answer) for sent in ledger.refused())


def test_a_black_holed_broker_costs_its_own_partitions_alone_until_others_lead_them(site: Site) -> None:
    broker = one_of_several_leaders(site)
    lost = leads(site, broker)
    with commits(site.deployment) as sampled, load(site.gateway.port, connections=9) as ledger:
        further(ledger)

        began = time.monotonic()
        site.deployment.kafka.proxy_of(broker).swallow()
        until(lambda: len(ledger.refused(since=began)) >= 10, what="refusals")
        since = time.monotonic()
        until(lambda: sum(ledger.reached(since=since).values()) >= 200, what="what the other brokers take")
        assert not ledger.reached(since=since).keys() & lost
        others = [sent for sent in ledger.sent if sent.began >= since and sent.answer.acknowledged]
        assert median(sent.seconds for sent in others) < DEADLINE / 4

        broker.freeze()  # now the other brokers miss it, too, and take over
        froze = time.monotonic()
        reach_all(ledger, froze)
        last(froze + 10)
        site.deployment.kafka.mend()
        reach_all(ledger, time.monotonic())
    check(site, ledger, sampled)


@pytest.mark.parametrize(
    "seconds", [1, pytest.param(10, marks=pytest.mark.soak), pytest.param(60, marks=pytest.mark.soak)]
)
def test_a_frozen_broker_costs_refusals_by_the_deadline_and_the_others_take_over(site: Site, seconds: int) -> None:
    (broker,) = [one for one in site.deployment.kafka.brokers if 0 in leads(site, one)]
    with commits(site.deployment) as sampled, load(site.gateway.port, connections=9) as ledger:
        further(ledger)

        broker.freeze()
        began = time.monotonic()
        if seconds > SESSION:
            reach_all(ledger, began)
        last(began + seconds)
        broker.thaw()
        reach_all(ledger, time.monotonic())
    check(site, ledger, sampled)


def test_a_killed_broker_is_missed_for_seconds_and_taken_back(site: Site) -> None:
    (broker,) = [one for one in site.deployment.kafka.brokers if 0 in leads(site, one)]
    with commits(site.deployment) as sampled, load(site.gateway.port, connections=9) as ledger:
        further(ledger)

        broker.kill()
        reach_all(ledger, time.monotonic())
        broker.start()
        further(ledger, 200)
    check(site, ledger, sampled)


def test_answers_lost_after_the_brokers_appended_leave_copies_in_the_log_alone(site: Site) -> None:
    with commits(site.deployment) as sampled, load(site.gateway.port, connections=9) as ledger:
        further(ledger)

        for broker in site.deployment.kafka.brokers:
            if leads(site, broker):
                lose_an_answer(site.deployment.kafka.proxy_of(broker))
                further(ledger)
    outcome = settled(site.deployment)
    assert any(outcome.copies[event_id] > 1 for event_id in ledger.acknowledged), "no answer was lost"
    check(site, ledger, sampled)


def lose_an_answer(proxy: TcpProxy) -> None:
    cuts = proxy.cuts
    proxy.lose_answer()
    until(lambda: proxy.cuts > cuts, what="a lost answer")


def test_without_brokers_all_are_told_to_come_again_at_once_and_memory_is_bounded(site: Site) -> None:
    outage(site, seconds=5.0)


def outage(site: Site, *, seconds: float) -> None:
    """Take all brokers away for that long, and the time that they take to start."""
    with watched(site.edge) as most, commits(site.deployment) as sampled, load(site.gateway.port) as ledger:
        before = replace(most)
        further(ledger)
        for broker in site.deployment.kafka.brokers:
            broker.kill()
        began = time.monotonic()
        with load(site.gateway.port, connections=FLOOD, pause=0.2, filler=100_000, again=False) as flood:
            until(lambda: len(flood.sent) >= 5 * FLOOD, what="a flood of refusals")
            last(began + seconds)
        until(lambda: not site.gateway.ready(), what="not being ready")
        site.deployment.kafka.mend()
        reach_all(ledger, time.monotonic())
    assert median(sent.seconds for sent in flood.sent) < DEADLINE / 2, "each request costs its deadline"
    assert most.rss - before.rss < MEMORY
    assert most.files - before.files < FLOOD + 50
    check(site, flood)
    check(site, ledger, sampled)


def test_an_event_that_the_topic_no_longer_takes_is_refused_alone(site: Site) -> None:
    topic = events_topic(site.deployment.prefix, "github")
    asyncio.run(set_limit(site, topic, 20_000))
    large = github("delivery-large", body=json.dumps({"filler": "x" * 30_000}).encode())
    good = [github(f"delivery-{number}", body=json.dumps({"number": number}).encode()) for number in range(30)]

    answers = asyncio.run(send_all(site.gateway.port, [*good[:15], large, *good[15:]], connections=31))
    again = asyncio.run(send_all(site.gateway.port, [large, *good], connections=31))

    assert [answer.status for answer in again] == [503] + [200] * 30
    assert {answer.status for answer in (*answers[:15], *answers[16:])} == {200}
    assert told_to_come_again(answers[15])
    accept(site.gateway, github("delivery-after"))
    outcome = settled(site.deployment, source="github")
    assert outcome.ids == {"delivery-after", *(f"delivery-{number}" for number in range(30))}
    assert sorted(effect.id for effect in outcome.effects) == sorted(outcome.ids)


async def set_limit(site: Site, topic: str, limit: int) -> None:
    """Set the largest message that a topic takes; every other setting of it is named again, or it would be lost."""
    settings = {"max.message.bytes": str(limit), "min.insync.replicas": "2"}
    async with admin(site.deployment.kafka.bootstrap) as client:
        resource: Any = ConfigResource
        await client.alter_configs([resource(ConfigResourceType.TOPIC, topic, configs=settings)])


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_two_minutes_without_brokers(site: Site) -> None:
    outage(site, seconds=120.0)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_brokers_in_trouble_over_many_rounds(site: Site) -> None:
    kafka = site.deployment.kafka
    faults: Sequence[Callable[[Broker], None]] = [
        Broker.freeze,
        Broker.kill,
        lambda broker: kafka.proxy_of(broker).swallow(),
        lambda broker: kafka.proxy_of(broker).swallow_answers(),
        lambda broker: kafka.proxy_of(broker).refuse(),
        lambda broker: kafka.proxy_of(broker).delay(0.3),
        lambda broker: kafka.proxy_of(broker).lose_answer(),
        lambda broker: kafka.proxy_of(broker).cut(),
    ]
    for seed in range(int(os.environ.get("SOAK_ROUNDS", "20"))):
        chance = random.Random(seed)
        with commits(site.deployment) as sampled, load(site.gateway.port, name=f"round{seed}") as ledger:
            for _ in range(5):
                further(ledger, chance.randrange(10, 200), deadline=90)
                chance.choice(faults)(chance.choice(kafka.brokers))
                last(time.monotonic() + chance.uniform(0.0, 8.0))
                kafka.mend()
            reach_all(ledger, time.monotonic())
        check(site, ledger, sampled)
