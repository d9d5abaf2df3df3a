"""Edges on Kafka killed, started without a cluster, and in competition: none lost, each effect once.

Three brokers, two of which must have a record; clients reach them through proxies, which lose what is to be lost.
"""

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fault_rig import Delivery, lines, metric, rows, stripe, told_to_come_again
from tests.kafka_fault_checker import assert_sound, commits, out_of_order, read_log, settled
from tests.kafka_fault_rig import (
    DEADLINE,
    GRACE,
    Deployment,
    KafkaGateway,
    Ledger,
    further,
    kill,
    load,
    send_until_acknowledged,
)
from tests.kafka_rig import KafkaCluster
from tests.running import until
from tests.sender import Connection
from tests.tcp_proxy import TcpProxy

pytestmark = pytest.mark.timeout(300)

CONNECTIONS = 8

HOPS: dict[str, Callable[[TcpProxy], None]] = {
    "before the append": TcpProxy.swallow,
    "after the append": TcpProxy.swallow_answers,
}


def for_all(kafka: KafkaCluster, act: Callable[[TcpProxy], None]) -> None:
    for proxy in kafka.proxies:
        act(proxy)


@contextlib.contextmanager
def all_frozen(kafka: KafkaCluster) -> Iterator[None]:
    for broker in kafka.brokers:
        broker.freeze()
    try:
        yield
    finally:
        for broker in kafka.brokers:
            broker.thaw()


def kill_at(hop: str, deployment: Deployment, gateway: KafkaGateway, ledger: Ledger) -> None:
    """Kill the edge while all that the load sends is at that hop: since then nothing was acknowledged."""
    for_all(deployment.kafka, HOPS[hop])
    began = time.monotonic()
    until(lambda: len(ledger.refused(since=began)) >= CONNECTIONS / 2, what="events at the hop")
    gateway.kill("edge")
    for_all(deployment.kafka, TcpProxy.pass_on)
    further(ledger)


def test_an_edge_killed_at_each_hop_loses_nothing_and_repeats_no_effect(deployment: Deployment) -> None:
    with deployment.running() as gateway, commits(deployment) as sampled:
        with load(gateway.port, connections=CONNECTIONS) as ledger:
            further(ledger)
            kill_at("before the append", deployment, gateway, ledger)
            kill_at("after the append", deployment, gateway, ledger)
            kill_at_random(gateway, ledger, rounds=2, seed=1)
        outcome = settled(deployment)

        assert_sound(outcome, ledger, sampled)
        assert any(outcome.copies[event_id] > 1 for event_id in ledger.acknowledged), "none was at the second hop"


def kill_at_random(gateway: KafkaGateway, ledger: Ledger, *, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(rounds):
        further(ledger, chance.randrange(10, 150))
        kill(gateway)
    further(ledger)


def test_a_hundred_copies_over_three_edges_at_once_are_all_acknowledged_and_have_one_effect(
    deployment: Deployment,
) -> None:
    event, ledger = stripe("evt_popular"), Ledger()

    async def copy(port: int) -> None:
        connection = Connection(port)
        await ledger.post(connection, event, "evt_popular")
        connection.close()

    async def all_copies() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(copy(edges[number % 3].port))

    with contextlib.ExitStack() as ends:
        edges = [ends.enter_context(deployment.running("serve", name=f"edge-{one}", wait=False)) for one in range(3)]
        ends.enter_context(deployment.running("work --router ledger", name="worker"))
        for edge in edges:
            until(edge.ready, what="readiness")
        asyncio.run(all_copies())
        outcome = settled(deployment)

    assert [sent.answer.status for sent in ledger.sent] == [200] * 100
    assert_sound(outcome, ledger)
    assert outcome.copies["evt_popular"] <= 3, "each edge appends it once"


def test_a_copy_of_what_is_undecided_is_not_acknowledged_and_the_edge_may_die_with_it(deployment: Deployment) -> None:
    events = {f"evt_{number}": stripe(f"evt_{number}", key=f"in_{number}") for number in range(10)}
    ledger = Ledger()

    async def send(event_id: str, *, tries: int) -> None:
        connection = Connection(gateway.port)
        for _ in range(tries):
            await ledger.post(connection, events[event_id], event_id)
        connection.close()

    async def send_copies() -> None:
        """Send each three times, and a copy beside the first."""
        async with asyncio.TaskGroup() as tasks:
            for event_id in events:
                tasks.create_task(send(event_id, tries=3))
                tasks.create_task(send(event_id, tries=1))

    with deployment.running() as gateway:
        with all_frozen(deployment.kafka):
            asyncio.run(send_copies())
            until(lambda: unknown_outcomes(gateway) > 0, what="the end of a claim")
            asyncio.run(send_copies())
            while_frozen = list(ledger.sent)
            gateway.kill("edge")
        asyncio.run(send_until_acknowledged(gateway.port, ledger, events))
        outcome = settled(deployment)

    assert len(while_frozen) == 80
    assert all(told_to_come_again(sent.answer) for sent in while_frozen)
    assert not [sent for sent in while_frozen if sent.seconds > DEADLINE + GRACE]
    assert_sound(outcome, ledger)


def unknown_outcomes(gateway: KafkaGateway) -> float:
    return metric(gateway, "gateway_append_errors_total", reason="unknown")


def test_an_edge_without_a_cluster_refuses_and_becomes_ready_when_that_comes(deployment: Deployment) -> None:
    event, ledger = stripe("evt_1"), Ledger()
    for_all(deployment.kafka, TcpProxy.swallow)
    with deployment.running("serve", wait=False) as gateway:
        until(lambda: parts(gateway) == {"edge": "log_down"}, deadline=60, what="an edge without a log")
        for_all(deployment.kafka, TcpProxy.refuse)
        until(lambda: lines(gateway, "kafka.unreachable"), what="an attempt that failed")
        edge = gateway.pid("edge")
        assert gateway.admin("/readyz")[0] == 503
        asyncio.run(send_once(gateway, ledger, event))
        assert told_to_come_again(ledger.sent[0].answer)
        assert metric(gateway, "gateway_deliveries_total", outcome="refused", reason="log_down") == 1

        for_all(deployment.kafka, TcpProxy.pass_on)
        until(gateway.ready, what="readiness")
        asyncio.run(send_until_acknowledged(gateway.port, ledger, {"evt_1": event}))
        assert gateway.pid("edge") == edge
        assert {logged.id for logged in read_log(deployment)} == {"evt_1"}
    assert not ledger.late()


async def send_once(gateway: KafkaGateway, ledger: Ledger, event: Delivery) -> None:
    connection = Connection(gateway.port)
    await ledger.post(connection, event, "")
    connection.close()


def parts(gateway: KafkaGateway) -> Any:
    """Return what the processes say of their health; nothing while the admin port is not there."""
    assert gateway.process is not None
    assert gateway.process.poll() is None, "it has ended"
    with contextlib.suppress(OSError):
        return json.loads(gateway.admin("/readyz?verbose")[1])["parts"]
    return None


def test_a_spool_carries_deliveries_through_an_outage_and_gives_them_back_in_order(deployment: Deployment) -> None:
    copied = {f"evt_copied_{number}": stripe(f"evt_copied_{number}", key=f"in_copied_{number}") for number in range(9)}
    with deployment.running(spool=True) as gateway, commits(deployment) as sampled:
        with load(gateway.port, name="through") as through:
            further(through)
            for_all(deployment.kafka, TcpProxy.refuse)
            with load(gateway.port, name="outage") as outage:
                further(outage)
                until(lambda: metric(gateway, "gateway_spool_events") > 0, what="events in the spool")
                assert gateway.ready()
                assert parts(gateway)["edge"] == "spooling"
                asyncio.run(send_until_acknowledged(gateway.port, through, copied))
                killed = kill(gateway)
                asyncio.run(send_until_acknowledged(gateway.port, through, copied))
                further(outage)
                for_all(deployment.kafka, TcpProxy.pass_on)
                until(lambda: metric(gateway, "gateway_spool_events") == 0, deadline=60, what="an empty spool")
                further(outage)
        asyncio.run(send_until_acknowledged(gateway.port, through, copied))
        outcome = settled(deployment)

    for ledger in (through, outage):
        assert_sound(outcome, ledger, sampled, spooled=True)
        assert not ledger.refused(), "what the log does not take goes into the spool"
        assert not ledger.late(without=[killed])
        assert not out_of_order(outcome.effects, ledger.order())


def test_what_an_edge_that_is_no_more_left_in_its_spool_is_relayed(deployment: Deployment) -> None:
    ledger = Ledger()
    with deployment.running("serve --workers 2", spool=True, wait=False) as gateway:
        until(lambda: gateway.pid("edge:1") and gateway.pid("edge:2"), deadline=60, what="two edges")
        for_all(deployment.kafka, TcpProxy.refuse)
        with load(gateway.port, connections=16) as ledger:
            until(lambda: spooled(gateway, 1) and spooled(gateway, 2), what="events in both spools")
        left = spooled(gateway, 2)
        gateway.kill("supervisor")
        assert gateway.process is not None
        gateway.process.wait(10)
    for_all(deployment.kafka, TcpProxy.pass_on)
    with deployment.running("run", spool=True) as gateway:
        until(lambda: ledger.acknowledged <= {logged.id for logged in read_log(deployment)}, what="all in the log")
        outcome = settled(deployment)

    assert left
    assert_sound(outcome, ledger, spooled=True)


def spooled(gateway: KafkaGateway, edge: int) -> int:
    """Return how many events came into the spool of an edge, those removed since included."""
    ((last,),) = rows(gateway.folder / f"spool/{edge}/events.db", "select coalesce(max(seq), 0) from event")
    return int(last)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_edges_killed_at_every_hop_over_many_rounds(deployment: Deployment) -> None:
    with deployment.running() as gateway:
        for seed in range(int(os.environ.get("SOAK_ROUNDS", "20"))):
            with commits(deployment) as sampled, load(gateway.port, name=f"round{seed}") as ledger:
                for hop in HOPS:
                    kill_at(hop, deployment, gateway, ledger)
                kill_at_random(gateway, ledger, rounds=5, seed=seed)
            assert_sound(settled(deployment), ledger, sampled)
