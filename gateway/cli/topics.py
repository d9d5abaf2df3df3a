"""`topics`: the gateway's topics on the Kafka cluster."""

import asyncio
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from gateway.cli.options import Common, common
from gateway.cli.output import Row
from gateway.cli.text import span
from gateway.config.references import DSN
from gateway.config.topics import topic_plans
from gateway.core.errors import ConfigError
from gateway.keep.kafka import topic_admin
from gateway.keep.kafka.client import client_arguments
from gateway.keep.kafka.topics import ClusterFacts, Problem, TopicPlan, clash_problem, problems
from gateway.wiring.cluster import cluster_of

_COLUMNS = ("topic", "state", "partitions", "replication", "min_insync", "retention", "max_message_bytes")
_PROBLEM_COLUMNS = ("topic", "severity", "setting", "value", "detail", "remedy")


class _Asked(NamedTuple):
    """How to connect, and the topics that must be there."""

    arguments: dict[str, Any]
    plans: Sequence[TopicPlan]


@click.group()
def topics() -> None:
    """Create, list and check the topics on Kafka."""


@topics.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be created; the brokers check it.")
@common
def create(context: Common, *, dry_run: bool) -> int:
    """Create the topics that are missing: one for each source, and that of the digests of stored events.

    Existing ones are never changed: what is wrong with them is said on stderr, and the exit status is then 1.
    """
    asked = _asked(context)
    missing, found = asyncio.run(topic_admin.create(asked.arguments, asked.plans, dry_run=dry_run))
    state = "would be created" if dry_run else "created"
    states = {plan.name: state if plan in missing else "exists" for plan in asked.plans}
    rows = [_planned(plan, states[plan.name]) for plan in asked.plans]
    context.output.rows(_for_people(rows) if context.output.form == "table" else rows, _COLUMNS)
    return _say(context, problems([plan for plan in asked.plans if plan not in missing], found))


@topics.command("list")
@common
def list_topics(context: Common) -> None:
    """List the topics as they are on the cluster."""
    asked = _asked(context)
    found = asyncio.run(topic_admin.ask(asked.arguments, asked.plans))
    rows = [_present(plan, found) for plan in asked.plans]
    context.output.rows(_for_people(rows) if context.output.form == "table" else rows, _COLUMNS)


@topics.command()
@common
def check(context: Common) -> int:
    """Compare the topics with the configuration, and say what to do. Exit status 1 if something must be done."""
    asked = _asked(context)
    found = asyncio.run(topic_admin.verify(asked.arguments, asked.plans))
    rows = [dataclasses.asdict(problem) for problem in found]
    context.output.rows(rows, _PROBLEM_COLUMNS, empty=f"{len(asked.plans)} topics are as they must be")
    return 1 if _errors(found) else 0


def _asked(context: Common) -> _Asked:
    """Load the configuration.

    Raises:
        ConfigError: the log is not on Kafka, or two sources cannot be told apart there.
    """
    settings = context.settings(optional=[DSN])
    kafka = settings.log.kafka
    if kafka is None:
        raise ConfigError(f"log.engine is {settings.log.engine}, which has no topics; they are for log.engine: kafka")
    clash = clash_problem(source.name for source in settings.sources)
    if clash is not None:
        raise ConfigError(clash)
    # Its remarks on each failed try would go to stderr beside our one message.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    return _Asked(client_arguments(cluster_of(settings, process="topics")), topic_plans(settings, kafka))


def _planned(plan: TopicPlan, state: str) -> dict[str, Any]:
    return {
        "topic": plan.name,
        "state": state,
        "partitions": plan.partitions,
        "replication": plan.replication,
        "min_insync": plan.min_insync,
        "retention": plan.retention_ms / 1000,
        "max_message_bytes": plan.max_message_bytes,
    }


def _present(plan: TopicPlan, found: ClusterFacts) -> dict[str, Any]:
    facts = found.topics.get(plan.name)
    if facts is None:
        return {"topic": plan.name, "state": "missing"}
    values = facts.settings or {}
    retention = values.get("retention.ms")
    severities = {problem.severity for problem in problems([plan], found)}
    return {
        "topic": plan.name,
        "state": "wrong" if "error" in severities else "warning" if severities else "ok",
        "partitions": facts.partitions,
        "replication": facts.replication,
        "min_insync": _number(values.get("min.insync.replicas")),
        "retention": None if retention is None else float(retention) / 1000,
        "max_message_bytes": _number(values.get("max.message.bytes")),
    }


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _say(context: Common, found: Sequence[Problem]) -> int:
    for problem in found:
        context.output.note(f"{problem.severity}: {problem}")
    return 1 if _errors(found) else 0


def _errors(found: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" for problem in found)


def _for_people(rows: Sequence[dict[str, Any]]) -> list[Row]:
    return [{**row, "retention": _span(row.get("retention"))} for row in rows]


def _span(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return "for ever" if seconds < 0 else span(seconds)
