"""Topics on a real broker: made once, never changed, and each wrong setting named."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.main import main
from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.kafka import topic_admin
from gateway.keep.kafka.client import Cluster, client_arguments
from gateway.keep.kafka.topics import Problem, SourceNeeds, TopicOptions, TopicPlan, plans
from tests.kafka_rig import create_topics

DAY = 86400.0
ACME = SourceNeeds(name="acme", max_body=2**21, dedupe_window=7 * DAY)
NOWHERE = "127.0.0.1:1"
CONFIG = """\
log:
  engine: kafka
  bootstrap: ["{bootstrap}"]
  prefix: {prefix}
  topics: {{partitions: 2, replication: {replication}, min_insync: 1}}
store: {{engine: postgres, dsn: {{env: NOT_SET_HERE}}}}
sources:
  github: {{provider: github, secrets: [{{env: NOT_SET_HERE}}]}}
  stripe: {{provider: stripe, secrets: [{{env: NOT_SET_HERE}}]}}
"""


def arguments(bootstrap: str) -> dict[str, Any]:
    return client_arguments(Cluster(bootstrap=(bootstrap,)))


def planned(prefix: str, **options: Any) -> tuple[TopicPlan, ...]:
    chosen: dict[str, Any] = {"partitions": 2, "replication": 1, "min_insync": 1, "retention": 14 * DAY, "warm": 900.0}
    return plans(TopicOptions(prefix=prefix, **chosen | options), [ACME])


def errors(found: list[Problem]) -> list[tuple[str, str]]:
    return [(problem.setting, problem.value) for problem in found if problem.severity == "error"]


async def test_topics_are_made_as_planned_and_a_second_time_nothing_happens(kafka, kafka_prefix):
    wanted = planned(kafka_prefix)

    made, before = await topic_admin.create(arguments(kafka.bootstrap), wanted)
    again, found = await topic_admin.create(arguments(kafka.bootstrap), wanted)

    assert (list(made), before.topics) == (list(wanted), {})
    assert again == []
    for plan in wanted:
        facts = found.topics[plan.name]
        assert (facts.partitions, facts.replication) == (plan.partitions, 1)
        assert facts.settings is not None
        assert plan.settings.items() <= facts.settings.items()
    assert errors(await topic_admin.verify(arguments(kafka.bootstrap), wanted)) == []


async def test_a_dry_run_makes_nothing(kafka, kafka_prefix):
    would, _ = await topic_admin.create(arguments(kafka.bootstrap), planned(kafka_prefix), dry_run=True)

    assert len(would) == 2
    found = await topic_admin.ask(arguments(kafka.bootstrap), planned(kafka_prefix))
    assert found.topics == {}


async def test_only_what_is_missing_is_made(kafka, kafka_prefix):
    events, seen = planned(kafka_prefix)
    await create_topics(kafka.bootstrap, events.name, partitions=5)

    made, _ = await topic_admin.create(arguments(kafka.bootstrap), [events, seen])

    assert made == [seen]
    found = await topic_admin.ask(arguments(kafka.bootstrap), [events])
    assert found.topics[events.name].partitions == 5


async def test_missing_topics_are_named(kafka, kafka_prefix):
    found = await topic_admin.verify(arguments(kafka.bootstrap), planned(kafka_prefix))

    assert [(problem.topic, problem.detail) for problem in found] == [
        (f"{kafka_prefix}.events.acme", "does not exist"),
        (f"{kafka_prefix}.seen", "does not exist"),
    ]


@pytest.mark.parametrize(
    "asked, wrong",
    [
        ({"min_insync": 2}, {"min.insync.replicas": "1"}),
        ({}, {"min.insync.replicas": "2"}),
        ({}, {"retention.ms": "3600000"}),
        ({}, {"max.message.bytes": "1048588"}),
        ({}, {"unclean.leader.election.enable": "true"}),
        ({}, {"cleanup.policy": "compact"}),
    ],
)
async def test_a_wrong_setting_is_found_on_the_broker(
    kafka, kafka_prefix, asked: dict[str, int], wrong: dict[str, str]
):
    plan, _ = planned(kafka_prefix, **asked)
    await create_topics(kafka.bootstrap, plan.name, partitions=2, config=plan.settings | wrong)

    found = await topic_admin.verify(arguments(kafka.bootstrap), [plan])

    assert errors(found) == list(wrong.items())


async def test_too_few_copies_are_found_on_the_broker(kafka, kafka_prefix):
    plan, _ = planned(kafka_prefix)
    await create_topics(kafka.bootstrap, plan.name, partitions=2, config=plan.settings)

    found = await topic_admin.verify(arguments(kafka.bootstrap), [replace(plan, replication=3)])

    assert errors(found) == [("replication", "1")]


async def test_another_number_of_partitions_is_a_warning(kafka, kafka_prefix):
    plan, _ = planned(kafka_prefix)
    await create_topics(kafka.bootstrap, plan.name, partitions=3, config=plan.settings)

    found = await topic_admin.verify(arguments(kafka.bootstrap), [plan])

    assert errors(found) == []
    assert ("partitions", "3") in [(problem.setting, problem.value) for problem in found]


async def test_more_copies_than_brokers_are_refused_before_anything_is_made(kafka, kafka_prefix):
    with pytest.raises(GatewayError, match=r"log\.topics\.replication is 3 and the cluster has 1 broker"):
        await topic_admin.create(arguments(kafka.bootstrap), planned(kafka_prefix, replication=3))

    assert not (await topic_admin.ask(arguments(kafka.bootstrap), planned(kafka_prefix))).topics


async def test_what_the_broker_refuses_is_said_with_its_reason(kafka, kafka_prefix):
    plan, _ = planned(kafka_prefix)

    with pytest.raises(GatewayError, match=rf"{plan.name}: .*max\.message\.bytes"):
        await topic_admin.create(arguments(kafka.bootstrap), [replace(plan, max_message_bytes=-5)])


async def test_three_copies_are_made_on_three_brokers(kafka_cluster, kafka_prefix):
    wanted = planned(kafka_prefix, replication=3, min_insync=2)
    reach = client_arguments(Cluster(bootstrap=tuple(kafka_cluster.bootstrap.split(","))))

    await topic_admin.create(reach, wanted)

    assert await topic_admin.verify(reach, wanted) == []


async def test_an_absent_cluster_is_a_dependency_that_cannot_be_reached():
    with pytest.raises(DependencyError, match=NOWHERE):
        await topic_admin.verify(arguments(NOWHERE), planned("hooks"))


async def test_a_cluster_that_does_not_answer_is_given_up_on(kafka, kafka_prefix):
    kafka.freeze()

    with pytest.raises(DependencyError):
        await topic_admin.verify(arguments(kafka.bootstrap), planned(kafka_prefix), deadline=1.0)


# The command


@pytest.fixture
def command(kafka, kafka_prefix, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*words: str, bootstrap: str = kafka.bootstrap, replication: int = 1) -> tuple[int, list[Any], str]:
        config = CONFIG.format(bootstrap=bootstrap, prefix=kafka_prefix, replication=replication)
        Path("gateway.yaml").write_text(config)
        status = main(["topics", *words, "--config", "gateway.yaml", "--output", "jsonl"])
        captured = capsys.readouterr()
        return status, [json.loads(line) for line in captured.out.splitlines()], captured.err

    return run


def test_topics_create_makes_them_and_says_so(command, kafka_prefix):
    would = command("create", "--dry-run")
    created = command("create")
    again = command("create")

    names = [f"{kafka_prefix}.{name}" for name in ("events.github", "events.stripe", "seen")]
    assert [row["topic"] for row in created[1]] == names
    assert [{row["state"] for row in ran[1]} for ran in (would, created, again)] == [
        {"would be created"},
        {"created"},
        {"exists"},
    ]
    assert [ran[0] for ran in (would, created, again)] == [0, 0, 0]
    assert created[1][1]["retention"] == 33 * DAY
    assert created[1][0]["max_message_bytes"] == 2**25 + 2**16


def test_topics_list_shows_those_of_the_cluster_and_those_that_are_missing(command, kafka_prefix):
    status, rows, _ = command("list")
    assert (status, {row["state"] for row in rows}) == (0, {"missing"})

    command("create")
    status, rows, _ = command("list")

    assert status == 0
    assert [(row["partitions"], row["replication"], row["min_insync"]) for row in rows] == [
        (2, 1, 1),
        (2, 1, 1),
        (1, 1, 1),
    ]
    assert [row["state"] for row in rows] == ["warning", "warning", "ok"]  # one copy


def test_topics_check_fails_with_the_wrong_setting_and_its_remedy(command, kafka, kafka_prefix):
    command("create")
    assert command("check")[0] == 0

    status, rows, _ = command("check", replication=3)

    assert status == 1
    assert {row["setting"] for row in rows if row["severity"] == "error"} == {"replication"}
    assert all(row["remedy"] for row in rows)


def test_topics_create_leaves_what_exists_and_fails_saying_what_is_wrong_with_it(command):
    command("create")

    status, rows, err = command("create", replication=3)

    assert status == 1
    assert {row["state"] for row in rows} == {"exists"}
    assert "has a replication factor of 1, must be at least 3" in err


def test_topics_on_an_absent_cluster_exit_3_and_nothing_is_on_stdout(command):
    status, rows, err = command("create", bootstrap=NOWHERE)

    assert (status, rows) == (3, [])
    assert NOWHERE in err


def test_topics_of_the_embedded_log_are_bad_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("gateway.yaml").write_text("sources: {acme: {provider: github, secrets: [{dev: secret-of-a-test}]}}\n")

    status = main(["topics", "list", "--config", "gateway.yaml"])

    assert status == 2
    assert "log.engine is sqlite" in capsys.readouterr().err
