"""Routers on Kafka that are paused, crash, lose their place or what they have not read, and what commands do to them.

The commands run in a folder that has the configuration and nothing else, as on another machine.
"""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.fault_rig import Delivery, accept, github, lines, metric, still_for, stripe
from tests.kafka_fault_checker import assert_sound, out_of_order, read_aside, read_effects, read_log, settled
from tests.kafka_fault_rig import Deployment, KafkaGateway, Ledger, keys_in
from tests.kafka_rig import Kafka
from tests.kafka_workers_rig import (
    Worker,
    dead_found_out_soon,
    delete_before,
    group_of,
    let_go,
    troubled,
    two_workers,
    worker,
)
from tests.postgres_rig import PostgresServer
from tests.running import until

pytestmark = pytest.mark.timeout(300)


class Site(NamedTuple):
    """A deployment with an edge and an indexer; commands come from elsewhere."""

    deployment: Deployment
    edge: KafkaGateway
    elsewhere: KafkaGateway

    def command(self, *words: str) -> list[dict[str, Any]]:
        """Run a command, which must succeed, and return the items it printed."""
        ran = self.ran(*words)
        assert ran.returncode == 0, ran.stderr
        return [json.loads(line) for line in ran.stdout.splitlines()]

    def ran(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.elsewhere.command(*words, "--config", "gateway.yaml", "--output", "jsonl")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, postgres: PostgresServer) -> Iterator[Site]:
    with postgres.fresh(template=postgres.migrated()) as dsn:
        folder = tmp_path_factory.mktemp("operations")
        deployment = Deployment(folder, kafka, dsn, deadline=8.0, handlers=troubled("strict"))
        deployment.create_topics()
        with (
            deployment.running("serve", name="edge") as edge,
            deployment.running("work --indexer", name="indexer", wait=False),
        ):
            yield Site(deployment, edge, deployment.gateway(name="elsewhere"))


def pushes(name: str, count: int) -> list[Delivery]:
    bodies = [json.dumps({"repository": {"id": number}}).encode() for number in range(count)]
    return [github(f"{name}-{number}", body=body) for number, body in enumerate(bodies)]


def of_pushes(site: Site, name: str) -> Counter[str]:
    """Return how many effects each of the pushes had."""
    return Counter(one.id for one in read_effects(site.deployment, "github") if one.id.startswith(name))


def test_a_router_is_paused_and_resumed_from_elsewhere(site: Site) -> None:
    with two_workers(site.deployment) as workers:
        site.command("routers", "pause", "ledger")
        until(lambda: all(paused(one) for one in workers), what="the pause in both workers")
        accept(site.edge, *pushes("paused", 20))
        assert still_for(lambda: not of_pushes(site, "paused"), 1.0)

        (row,) = site.command("routers", "list")
        assert (row["running"], row["paused"], row["backlog"]) == (True, "operator", 20)
        site.command("routers", "resume", "ledger")
        until(lambda: len(of_pushes(site, "paused")) == 20, what="the effects")
        until(lambda: not any(paused(one) for one in workers), what="the numbers of both workers")


def paused(one: Worker) -> bool:
    return metric(one.gateway, "gateway_router_paused", cause="operator") == 1


def test_a_dead_letter_is_retried_from_elsewhere(site: Site) -> None:
    with two_workers(site.deployment):
        accept(site.edge, stripe("evt_refused", kind="refused"))
        until(lambda: read_aside(site.deployment).dead, what="a dead letter")
        (letter,) = site.command("dead", "list")
        assert (letter["id"], letter["reason"]) == ("evt_refused", "gave_up")

        let_go(site.deployment, "evt_refused")
        site.command("dead", "retry", "ledger", "--all")
        until(lambda: not read_aside(site.deployment).dead, what="its end")
        assert_sound(settled(site.deployment), Ledger())


@pytest.mark.soak
def test_a_replay_whose_worker_is_gone_goes_on_with_another(site: Site) -> None:
    expected = dict.fromkeys((f"again-{number}" for number in range(60)), 2)
    words = ("replay", "--router", "ledger", "--mode", "force", "--source", "github", "--rate", "20", "--yes")
    with two_workers(site.deployment) as workers, ThreadPoolExecutor(1) as threads:
        accept(site.edge, *pushes("again", 60))
        settled(site.deployment, source="github")
        until(lambda: len(site.command("events", "list", "--source", "github", "--limit", "1000")) >= 60)

        ran = threads.submit(site.ran, *words)
        running = until(lambda: [one for one in workers if replayed(one) > 5], what="a worker that runs it")[0]
        running.gateway.end()
        running.group.expel({running.member})

        until(lambda: of_pushes(site, "again") == expected, what="a second effect of each", deadline=90)
        assert ran.result().returncode == 0
    assert '"state": "done"' in ran.result().stdout.replace('":"', '": "')


def replayed(one: Worker) -> float:
    return metric(one.gateway, "gateway_replayed_total")


def test_a_key_stays_behind_its_parked_event_wherever_its_partition_goes(site: Site) -> None:
    (key,) = keys_in(0, 1, label="strict")
    ids = ["evt_held", *(f"evt_behind_{number}" for number in range(10))]
    others = [f"evt_beside_{number}" for number in range(10)]
    with two_workers(site.deployment) as (one, two):
        accept(site.edge, stripe("evt_held", kind="until-told", key=key))
        until(lambda: read_aside(site.deployment).parked, what="a parked event")
        accept(site.edge, *[stripe(event_id, key=key) for event_id in ids[1:]], connections=1)
        for victim, other in ((one, two), (two, one)):
            victim.kill(other)
            until(lambda: one.group.settled(2), what="both workers with their shares", deadline=60)
        accept(site.edge, *[stripe(event_id, key=f"in_{event_id}") for event_id in others])
        until(
            lambda: set(others) <= {effect.id for effect in read_effects(site.deployment)}, what="the others' effects"
        )
        assert not {effect.id for effect in read_effects(site.deployment)} & set(ids)

        let_go(site.deployment, "evt_held")
        outcome = settled(site.deployment)
    assert_sound(outcome, Ledger())
    assert not out_of_order(outcome.effects, {key: ids})


@pytest.mark.parametrize(
    "running, pill",
    [(worker, "evt_pill"), pytest.param(two_workers, "evt_pill_of_two", marks=pytest.mark.soak)],
    ids=["one worker", "two workers"],
)
def test_an_event_that_kills_each_worker_is_a_dead_letter_after_a_few_and_nothing_else_is(
    site: Site, running: Callable[[Deployment], AbstractContextManager[object]], pill: str
) -> None:
    before, deaths = read_aside(site.deployment).dead, site.deployment.folder / "pills"
    deaths.unlink(missing_ok=True)
    beside = [stripe(f"{pill}_beside_{number}", key=f"in_{number}") for number in range(30)]
    with dead_found_out_soon(group_of(site.deployment)), running(site.deployment):
        accept(site.edge, *beside[:15], stripe(pill, kind="pill", key="in_7"), *beside[15:], connections=4)
        until(lambda: read_aside(site.deployment).dead - before, what="a dead letter", deadline=120)
        outcome = settled(site.deployment)

    assert {letter["id"]: letter["reason"] for letter in site.command("dead", "list")}[pill] == "crashed"
    assert outcome.dead - before == {pill}
    assert_sound(outcome, Ledger())
    assert 3 <= len(deaths.read_text().split()) <= 8
    let_go(site.deployment, pill)  # it would kill the workers of a router that begins anew


def test_what_retention_took_from_a_stopped_router_is_said_and_counted(site: Site) -> None:
    with worker(site.deployment) as first:
        accept(site.edge, *pushes("early", 30))
        settled(site.deployment, source="github")
        first.leave()
    before = settled(site.deployment, source="github").committed
    accept(site.edge, *pushes("late", 60))
    log = [logged for logged in read_log(site.deployment, "github") if logged.offset >= before[logged.partition]]
    ends = {logged.partition: logged.offset + 1 for logged in log}
    kept = {logged.id for logged in log if logged.offset >= ends[logged.partition] - 3}

    delete_before(site.deployment, "github", {partition: end - 3 for partition, end in ends.items()})
    with worker(site.deployment) as late:
        until(lambda: set(of_pushes(site, "late")) == kept, what="what is left")
        accept(site.edge, *pushes("later", 5))
        until(lambda: len(of_pushes(site, "later")) == 5, what="what came afterwards")
        gaps = lines(late.gateway, "subscription.gap")

        assert sum(line["events"] for line in gaps) == len(log) - len(kept)
        assert {line["level"] for line in gaps} == {"error"}
        until(lambda: metric(late.gateway, "gateway_gap_events_total") == len(log) - len(kept), what="the counted gap")
        late.leave()
    (row,) = site.command("routers", "list")
    assert row["gap"] == len(log) - len(kept), "it outlives the worker"


def test_a_router_whose_group_lost_its_place_goes_on_from_the_copy_and_says_so(site: Site) -> None:
    with worker(site.deployment) as first:
        accept(site.edge, *[stripe(f"evt_copied_{number}", key=f"in_{number}") for number in range(20)])
        before = settled(site.deployment)
        first.leave()
        first.group.lose()
    with worker(site.deployment) as second:
        accept(site.edge, stripe("evt_after_loss"))
        after = settled(site.deployment)

        assert {line["level"] for line in lines(second.gateway, "subscription.position_lost")} == {"error"}
        assert metric(second.gateway, "gateway_handler_runs_total", outcome="done") == 1
        assert metric(second.gateway, "gateway_handler_runs_total", outcome="duplicate") == 0
    assert_sound(after, Ledger())
    assert {effect.id for effect in after.effects} == {effect.id for effect in before.effects} | {"evt_after_loss"}


def test_a_forgotten_router_begins_anew_in_two_workers_that_start_at_once(site: Site) -> None:
    accept(site.edge, *[stripe(f"evt_first_{number}", key=f"in_{number}") for number in range(20)])
    with worker(site.deployment) as first:
        settled(site.deployment)
        refused = site.ran("routers", "forget", "ledger", "--yes")
        first.leave()
    assert (refused.returncode, "is running" in refused.stderr) == (1, True), refused.stderr
    forget = ("routers", "forget", "ledger", "--yes")
    until(lambda: site.ran(*forget).returncode == 0, what="the end of all that was seen to run")
    with psycopg.connect(site.deployment.dsn) as connection:
        connection.execute("delete from effect")

    with two_workers(site.deployment, at_once=True) as workers:
        outcome = settled(site.deployment)
        again = Counter(effect.id for effect in outcome.effects)
        assert again.keys() | outcome.dead == outcome.ids
        assert set(again.values()) == {1}
        assert not any(lines(one.gateway, "child.ended") for one in workers)
