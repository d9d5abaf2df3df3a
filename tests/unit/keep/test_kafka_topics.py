"""What is asked of each topic, and what is said of one that is otherwise."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.keep.kafka.topics import (
    ClusterFacts,
    Problem,
    SourceNeeds,
    TopicFacts,
    TopicOptions,
    TopicPlan,
    clash_problem,
    plans,
    problems,
    too_few_brokers,
)

DAY_MS = 86_400_000
OPTIONS = TopicOptions(prefix="hooks", partitions=12, replication=3, min_insync=2, retention=14 * 86400.0, warm=900.0)
GITHUB = SourceNeeds(name="github", max_body=2**25, dedupe_window=7 * 86400.0)
STRIPE = SourceNeeds(name="stripe", max_body=2**20, dedupe_window=33 * 86400.0)


def plan_of(source: SourceNeeds = GITHUB, **options: Any) -> TopicPlan:
    return plans(replace(OPTIONS, **options), [source])[0]


def facts(
    plan: TopicPlan, *, partitions: int | None = None, replication: int | None = None, **settings: str
) -> TopicFacts:
    """A topic that is as it must be, but for what is given."""
    values = plan.settings | {"retention.bytes": "-1"}
    values |= {name.replace("_", "."): value for name, value in settings.items()}
    return TopicFacts(
        name=plan.name,
        partitions=plan.partitions if partitions is None else partitions,
        replication=plan.replication if replication is None else replication,
        settings=values,
    )


def found(plan: TopicPlan, facts: TopicFacts) -> list[Problem]:
    return problems([plan], ClusterFacts(brokers=3, topics={plan.name: facts}))


def test_there_is_a_topic_for_each_source_and_one_for_digests():
    assert [plan.name for plan in plans(OPTIONS, [GITHUB, STRIPE])] == [
        "hooks.events.github",
        "hooks.events.stripe",
        "hooks.seen",
    ]


def test_events_are_kept_as_long_as_the_log_says_but_no_shorter_than_copies_may_come():
    assert plan_of(GITHUB).retention_ms == 14 * DAY_MS
    assert plan_of(STRIPE).retention_ms == 33 * DAY_MS


def test_a_topic_takes_the_sources_largest_body_with_its_headers_and_a_whole_batch():
    assert plan_of(GITHUB).max_message_bytes == 2**25 + 64 * 1024
    assert plan_of(replace(GITHUB, max_body=1000)).max_message_bytes == 2**20


def test_the_topic_of_digests_outlives_what_a_starting_edge_reads():
    *_, short = plans(OPTIONS, [])
    *_, long = plans(replace(OPTIONS, warm=86400.0), [])

    assert short.retention_ms >= 4 * 900_000
    assert long.retention_ms >= 4 * DAY_MS
    assert int(long.settings["segment.ms"]) <= long.retention_ms


@pytest.mark.parametrize("plan", plans(OPTIONS, [GITHUB, STRIPE]), ids=lambda plan: plan.name)
def test_a_topic_made_by_its_plan_has_no_problem(plan):
    assert found(plan, facts(plan)) == []


@pytest.mark.parametrize(
    "changed, setting, severity",
    [
        ({"partitions": 0}, "partitions", "error"),
        ({"partitions": 70_000}, "partitions", "error"),
        ({"partitions": 6}, "partitions", "warning"),
        ({"replication": 2}, "replication", "error"),
        ({"min_insync_replicas": "1"}, "min.insync.replicas", "error"),
        ({"min_insync_replicas": "4"}, "min.insync.replicas", "error"),
        ({"retention_ms": "3600000"}, "retention.ms", "error"),
        ({"retention_ms": str(8 * DAY_MS)}, "retention.ms", "warning"),
        ({"retention_bytes": "1000000"}, "retention.bytes", "warning"),
        ({"max_message_bytes": "1048588"}, "max.message.bytes", "error"),
        ({"unclean_leader_election_enable": "true"}, "unclean.leader.election.enable", "error"),
        ({"cleanup_policy": "compact"}, "cleanup.policy", "error"),
        ({"cleanup_policy": "compact,delete"}, "cleanup.policy", "error"),
        ({"retention_ms": "soon"}, "retention.ms", "error"),
    ],
)
def test_each_wrong_setting_is_named_with_its_value_and_a_remedy(changed, setting, severity):
    plan = plan_of()

    (problem,) = found(plan, facts(plan, **changed))

    assert (problem.topic, problem.setting, problem.severity) == (plan.name, setting, severity)
    assert problem.value == str(next(iter(changed.values())))
    assert problem.remedy
    assert plan.name in str(problem)


@pytest.mark.parametrize(
    "changed",
    [
        {"replication": 4},
        {"retention_ms": "-1"},
        {"retention_ms": str(90 * DAY_MS)},
        {"min_insync_replicas": "3"},
        {"max_message_bytes": str(2**27)},
    ],
)
def test_what_is_better_than_asked_for_is_no_problem(changed):
    plan = plan_of()

    assert found(plan, facts(plan, **changed)) == []


def test_a_wrong_setting_comes_with_the_command_that_mends_it():
    plan = plan_of()

    (problem,) = found(plan, facts(plan, min_insync_replicas="1"))

    assert problem.remedy == (
        "kafka-configs --alter --entity-type topics --entity-name hooks.events.github"
        " --add-config min.insync.replicas=2"
    )


def test_a_missing_topic_is_an_error_that_says_how_to_make_it():
    plan = plan_of()

    (problem,) = problems([plan], ClusterFacts(brokers=3, topics={}))

    assert problem.severity == "error"
    assert "gateway topics create" in problem.remedy


def test_settings_that_may_not_be_read_are_a_warning():
    plan = plan_of()

    (problem,) = found(plan, replace(facts(plan), settings=None))

    assert problem.severity == "warning"
    assert "DescribeConfigs" in problem.remedy


def test_one_copy_is_a_warning_where_one_is_asked_for():
    plan = plan_of(replication=1, min_insync=1)

    (problem,) = found(plan, facts(plan))

    assert (problem.severity, problem.setting) == ("warning", "replication")


def test_more_copies_than_brokers_are_refused_for_topics_that_are_still_to_be_made():
    plan = plan_of()
    alone = ClusterFacts(brokers=1, topics={})

    assert "the cluster has 1 broker;" in (too_few_brokers([plan], alone) or "")
    assert too_few_brokers([plan], ClusterFacts(brokers=3, topics={})) is None
    assert too_few_brokers([plan], ClusterFacts(brokers=1, topics={plan.name: facts(plan)})) is None


def test_sources_whose_partitions_have_the_same_numbers_are_named():
    assert clash_problem(["plumless", "buckeroo"]) == (
        "sources plumless and buckeroo have the same CRC-32, by which partitions are numbered; rename one of them"
    )
    assert clash_problem(["stripe", "github"]) is None
