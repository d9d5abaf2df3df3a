"""Several workers of one router on Kafka: killed, frozen, thrown out of their group, without their database.

Each test keeps every answer of its load, and reads the log, the group and the handlers' effects afterwards.
"""

import os
import random
from collections.abc import Iterator

import pytest

from tests.fault_rig import Delivery, accept, lines, metric, stripe, told_to_come_again
from tests.kafka_fault_checker import assert_sound, commits, out_of_order, read_aside, read_effects, settled
from tests.kafka_fault_rig import PARTITIONS, Deployment, KafkaGateway, Ledger, further, keys_in, load
from tests.kafka_rig import Kafka
from tests.kafka_workers_rig import WORKER, Worker, dead_found_out_soon, group_of, let_go, troubled, two_workers
from tests.postgres_rig import PostgresServer
from tests.running import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, postgres: PostgresServer
) -> Iterator[tuple[Deployment, KafkaGateway]]:
    """A deployment with an edge."""
    with postgres.fresh(template=postgres.migrated()) as dsn:
        folder = tmp_path_factory.mktemp("workers")
        deployment = Deployment(folder, kafka, dsn, deadline=8.0, handlers=troubled())
        deployment.create_topics()
        with deployment.running("serve", name="edge") as edge:
            yield deployment, edge


@pytest.fixture
def deployment(shared: tuple[Deployment, KafkaGateway], postgres: PostgresServer) -> Iterator[Deployment]:
    yield shared[0]
    postgres.mend()


@pytest.fixture
def edge(shared: tuple[Deployment, KafkaGateway]) -> KafkaGateway:
    return shared[1]


def special(kind: str, name: str, *, partition: int = 0) -> Delivery:
    """Return an event that the handler treats by its type, with a key of its own in that partition."""
    (key,) = keys_in(partition, 1, label=name)
    return stripe(f"evt_{name}", kind=kind, key=key)


def effects_of(deployment: Deployment, event_id: str) -> list[int]:
    """Return the attempts in which an event had its effect."""
    return [effect.attempt for effect in read_effects(deployment) if effect.id == event_id]


def go_on(deployment: Deployment) -> None:
    """Wait until fifty further effects came about."""
    before = len(read_effects(deployment))
    until(lambda: len(read_effects(deployment)) > before + 50, what="further effects")


def key_order(ledger: Ledger) -> dict[str, list[str]]:
    """Return the events of each key in the order in which they were acknowledged."""
    found: dict[str, list[str]] = {}
    for sent in ledger.sent:
        if sent.answer.acknowledged:
            found.setdefault(sent.key, []).append(sent.id)
    return found


def test_killed_workers_leave_their_partitions_to_the_others_and_come_back(
    deployment: Deployment, edge: KafkaGateway
) -> None:
    with two_workers(deployment) as (one, two), commits(deployment) as watched:
        with load(edge.port, name="kill") as ledger:
            for victim, other in ((one, two), (two, one), (one, two)):
                further(ledger)
                victim.kill(other)
            further(ledger)
            until(lambda: one.group.settled(2), what="both workers with their shares", deadline=60)
        outcome = settled(deployment)

    assert_sound(outcome, ledger, watched)
    assert not ledger.refused()
    assert not out_of_order(outcome.effects, key_order(ledger))


def test_what_was_handled_and_not_committed_is_read_again_and_has_its_mark(
    deployment: Deployment, edge: KafkaGateway
) -> None:
    (key,) = keys_in(1, 1, label="redelivery")
    events = [stripe(f"evt_before_{number}", key=key) for number in range(20)]
    with dead_found_out_soon(group_of(deployment)), two_workers(deployment) as (one, two):
        accept(edge, *events, stripe("evt_exits", kind="exit-once", key=key), connections=1)
        outcome = settled(deployment)

    again = [line for worker in (one, two) for line in lines(worker.gateway, "child.ended")]
    assert [line["status"] for line in again] == [9]
    assert_sound(outcome, Ledger())


def test_a_worker_that_was_thought_dead_finds_the_mark_of_the_one_that_took_over(
    deployment: Deployment, edge: KafkaGateway
) -> None:
    ids = [f"evt_zombie_{number}" for number in range(PARTITIONS)]
    with two_workers(deployment) as (one, _), commits(deployment) as watched:
        accept(edge, *[special("slow", f"zombie_{number}", partition=number) for number in range(PARTITIONS)])
        runners = until(lambda: who_entered(deployment, ids), what="the handlers that wait")
        held = [event_id for event_id in ids if runners[event_id] == one.gateway.pid(WORKER)]
        for event_id in set(ids) - set(held):
            let_go(deployment, event_id)

        with load(edge.port, name="zombie") as ledger:
            with one.frozen():
                one.group.expel({one.member})
                until(lambda: all(effects_of(deployment, event_id) for event_id in held), what="the other's runs")
                further(ledger)
            for event_id in held:
                let_go(deployment, event_id)
            until(lambda: one.group.settled(2), what="both workers with their shares", deadline=60)
            until(lambda: duplicates(one) >= len(held), what="runs that found a mark")
            further(ledger)
        outcome = settled(deployment)
    assert held
    assert_sound(outcome, ledger, watched)


def duplicates(worker: Worker) -> float:
    return metric(worker.gateway, "gateway_handler_runs_total", outcome="duplicate")


def who_entered(deployment: Deployment, ids: list[str]) -> dict[str, int]:
    """Return the process that runs each of them, or nothing while one of them is not run."""
    found = {event_id: deployment.folder / f"entered-{event_id}" for event_id in ids}
    if not all(path.exists() and path.read_text() for path in found.values()):
        return {}
    return {event_id: int(path.read_text()) for event_id, path in found.items()}


@pytest.mark.soak
def test_a_zombie_of_a_whole_session(deployment: Deployment, edge: KafkaGateway) -> None:
    with two_workers(deployment) as (one, _), commits(deployment) as watched:
        with load(edge.port, name="session") as ledger:
            further(ledger)
            with one.frozen():
                until(lambda: one.member not in one.group.members(), deadline=60, what="its end in the group")
                further(ledger)
            until(lambda: one.group.settled(2), what="both workers with their shares", deadline=60)
            further(ledger)
        outcome = settled(deployment)
    assert_sound(outcome, ledger, watched)


def storm(deployment: Deployment, edge: KafkaGateway, *, rounds: int, seed: int) -> None:
    """Throw members out, and have another worker come and go, while events come in."""
    chance, group = random.Random(seed), group_of(deployment)
    with two_workers(deployment), commits(deployment) as watched:
        third = deployment.gateway("work --router ledger", name="third")
        with load(edge.port, name=f"storm{seed}") as ledger:
            try:
                for number in range(rounds):
                    if number % 4 == 1:
                        third.start()
                    elif number % 4 == 3:
                        assert third.stop() == 0
                    else:
                        group.expel(chance.sample(sorted(group.members()), 1))
                    go_on(deployment)
            finally:
                third.end()
        outcome = settled(deployment)
    assert_sound(outcome, ledger, watched)
    assert not out_of_order(outcome.effects, key_order(ledger))


def test_in_a_storm_of_rebalances_work_goes_on_and_nothing_is_lost(deployment: Deployment, edge: KafkaGateway) -> None:
    storm(deployment, edge, rounds=4, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_long_storm_of_rebalances(deployment: Deployment, edge: KafkaGateway) -> None:
    storm(deployment, edge, rounds=int(os.environ.get("SOAK_ROUNDS", "60")), seed=2)


@pytest.mark.parametrize("fault", ["killed", pytest.param("frozen", marks=pytest.mark.soak)])
def test_without_the_database_edges_go_on_and_workers_wait(
    deployment: Deployment, edge: KafkaGateway, postgres: PostgresServer, fault: str
) -> None:
    ids = [f"evt_{fault}_{number}" for number in range(6)]
    with two_workers(deployment) as workers:
        pids = [worker.gateway.pid(WORKER) for worker in workers]
        with load(edge.port, name=fault) as ledger:
            accept(edge, *[special("flaky", f"{fault}_{number}", partition=number % 3) for number in range(6)])
            until(lambda: read_aside(deployment).parked, what="a parked retry")

            postgres.freeze() if fault == "frozen" else postgres.kill()
            further(ledger, 300)
            until(lambda: any(lines(worker.gateway, "state.unavailable") for worker in workers), what="their complaint")
            postgres.mend()
            go_on(deployment)
        outcome = settled(deployment)

        assert_sound(outcome, ledger)
        assert not ledger.refused()
        assert [effects_of(deployment, event_id) for event_id in ids] == [[3]] * 6
        assert [worker.gateway.pid(WORKER) for worker in workers] == pids


def test_workers_and_edges_restarted_one_after_the_other_refuse_nothing_and_hand_over_at_once(
    deployment: Deployment, postgres: PostgresServer
) -> None:
    with (
        deployment.running("serve --workers 2", name="pair") as pair,
        deployment.running("serve", name="single") as single,
        two_workers(deployment) as workers,
        commits(deployment) as watched,
    ):
        with load(pair.port, single.port, name="rolling") as ledger:
            further(ledger)
            for one in workers:
                until(lambda: workers[0].group.settled(2), what="both workers with their shares", deadline=60)
                one.leave()
                one.join()
                further(ledger, 30)
            pair.kill("edge:1")
            further(ledger)
            assert single.stop() == 0
            single.start()
            further(ledger)
        outcome = settled(deployment)
    assert_sound(outcome, ledger, watched)
    assert all(sent.answer.status in (0, 503) for sent in ledger.sent if not sent.answer.acknowledged)
    assert all(told_to_come_again(sent.answer) for sent in ledger.refused())
