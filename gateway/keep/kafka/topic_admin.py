"""Asking the cluster for its topics, and creating those that are missing. Existing ones are never changed."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from gateway.core.errors import DependencyError, GatewayError
from gateway.keep.kafka.topics import ClusterFacts, Problem, TopicFacts, TopicPlan, problems, too_few_brokers

DEADLINE = 15.0
_REQUEST_MS = 5_000
_CREATE_MS = 10_000
_CLOSE_SECONDS = 2.0


async def ask(arguments: Mapping[str, Any], plans: Iterable[TopicPlan], *, deadline: float = DEADLINE) -> ClusterFacts:
    """Return what the cluster says of the planned topics.

    Args:
        arguments: how to connect, from `client.client_arguments`.
        plans: the topics asked for.
        deadline: in seconds, for all of it.

    Raises:
        DependencyError: the cluster does not answer in time, or refuses to.
    """
    async with _admin(arguments, deadline) as admin:
        return await _ask(admin, {plan.name for plan in plans})


async def verify(
    arguments: Mapping[str, Any], plans: Sequence[TopicPlan], *, deadline: float = DEADLINE
) -> list[Problem]:
    """Return what is wrong with the planned topics; raises as `ask`."""
    return problems(plans, await ask(arguments, plans, deadline=deadline))


async def create(
    arguments: Mapping[str, Any], plans: Sequence[TopicPlan], *, dry_run: bool = False, deadline: float = DEADLINE
) -> tuple[Sequence[TopicPlan], ClusterFacts]:
    """Create the planned topics that are missing. Doing it again, or twice at a time, does nothing more.

    With `dry_run` the brokers check what they would do (names, copies, settings, rights), and do not.

    Returns:
        the plans that were missing, and what the cluster said of all before.

    Raises:
        DependencyError: as `ask`.
        GatewayError: more copies are asked for than there are brokers, or a broker refused, with its reason.
    """
    async with _admin(arguments, deadline) as admin:
        found = await _ask(admin, {plan.name for plan in plans})
        too_few = too_few_brokers(plans, found)
        if too_few is not None:
            raise GatewayError(too_few)
        missing = [plan for plan in plans if plan.name not in found.topics]
        if missing:
            await _create(admin, missing, dry_run=dry_run)
        return missing, found


@asynccontextmanager
async def _admin(arguments: Mapping[str, Any], deadline: float) -> AsyncIterator[Any]:
    admin: Any = AIOKafkaAdminClient(**arguments, request_timeout_ms=_REQUEST_MS)
    where = ", ".join(arguments["bootstrap_servers"])
    try:
        async with asyncio.timeout(deadline):
            await admin.start()
            yield admin
    except TimeoutError:
        raise DependencyError(f"the Kafka cluster at {where} did not answer within {deadline:g} s") from None
    except KafkaError as error:
        # The text may quote what it connected with; the type says enough.
        why = type(error).__name__
        raise DependencyError(
            f"the Kafka cluster at {where} cannot be asked ({why}); check log.bootstrap and log.security"
        ) from None
    finally:
        with suppress(TimeoutError, KafkaError):
            await asyncio.wait_for(admin.close(), _CLOSE_SECONDS)


async def _ask(admin: Any, names: set[str]) -> ClusterFacts:
    # All topics are asked for: a request that names one may create it, where the brokers allow that.
    brokers = (await admin.describe_cluster())["brokers"]
    described = [each for each in await admin.describe_topics() if each["topic"] in names and not each["error_code"]]
    settings = await _settings(admin, [each["topic"] for each in described])
    return ClusterFacts(brokers=len(brokers), topics={each["topic"]: _facts(each, settings) for each in described})


def _facts(described: Mapping[str, Any], settings: Mapping[str, Mapping[str, str] | None]) -> TopicFacts:
    partitions = described["partitions"]
    return TopicFacts(
        name=described["topic"],
        partitions=len(partitions),
        replication=min((len(each["replicas"]) for each in partitions), default=0),
        settings=settings.get(described["topic"]),
    )


async def _settings(admin: Any, names: Sequence[str]) -> dict[str, Mapping[str, str] | None]:
    if not names:
        return {}
    resource: Any = ConfigResource
    asked = [resource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, Mapping[str, str] | None] = {}
    for response in await admin.describe_configs(asked):
        for topic in response.to_object()["resources"]:
            entries = {each["config_names"]: each["config_value"] or "" for each in topic["config_entries"]}
            found[topic["resource_name"]] = None if topic["error_code"] else entries
    return found


async def _create(admin: Any, plans: Sequence[TopicPlan], *, dry_run: bool) -> None:
    new = [_new(plan) for plan in plans]
    answer = (await admin.create_topics(new, timeout_ms=_CREATE_MS, validate_only=dry_run)).to_object()
    refused = [
        f"{each['topic']}: {each['error_message'] or for_code(each['error_code']).__name__}"
        for each in answer["topic_errors"]
        if each["error_code"] not in (0, TopicAlreadyExistsError.errno)
    ]
    if refused:
        raise GatewayError("the cluster refused to create " + "\n".join(refused))


def _new(plan: TopicPlan) -> Any:
    new: Any = NewTopic
    return new(plan.name, plan.partitions, plan.replication, topic_configs=plan.settings)
