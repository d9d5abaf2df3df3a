"""The topics of one gateway: their names, how each must be configured, and what is wrong with one that is not. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gateway.keep.places import PARTITIONS_MOST, clash

# What a record may take beside its body: attributes, kept headers, key, and the frame of its batch.
HEADER_ALLOWANCE = 64 * 1024
# Kafka's own default. Several records travel in one batch (256 KiB at most, but for a longer record alone in it).
_MESSAGE_LEAST = 2**20
_SEEN_RETENTION_LEAST_MS = 3_600_000
_SEEN_SEGMENT_BYTES = 64 * 2**20
_FOREVER = -1
# An edge whose clock is off can then neither have its records refused nor shorten their lives.
_BY_THE_BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}

Severity = Literal["error", "warning"]


def events_topic(prefix: str, source: str) -> str:
    """Return the name of the topic of a source's events."""
    return f"{prefix}.events.{source}"


def seen_topic(prefix: str) -> str:
    """Return the name of the topic in which edges tell each other what is durable."""
    return f"{prefix}.seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicOptions:
    """What the configuration says of topics. Times in seconds.

    `retention` is the log's, `warm` how far back a starting edge reads the digests of stored events.
    """

    prefix: str
    partitions: int
    replication: int
    min_insync: int
    retention: float
    warm: float


class Needs(Protocol):
    """What one source asks of its topic: its largest body in bytes, how long copies may come, in seconds."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as above
    @property
    def max_body(self) -> int: ...  # noqa: D102 - as above
    @property
    def dedupe_window(self) -> float: ...  # noqa: D102 - as above


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceNeeds:
    """The same of a source that is not compiled, for want of its secrets."""

    name: str
    max_body: int
    dedupe_window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPlan:
    """How one topic is made, and what is asked of it later.

    Attributes:
        name: of the topic.
        partitions: how many it is made with.
        replication: copies of each partition; more are as good.
        min_insync: copies that must have a record before it counts as written; more are as good.
        retention_ms: how long records are kept.
        retention_least_ms: the shortest retention that is right.
        max_message_bytes: the largest batch of records, which a topic must take; a larger limit is as good.
        keyed: whether a record's key chooses its partition, so that their number matters.
        more: further settings it is made with. Nothing is asked of these later.
    """

    name: str
    partitions: int
    replication: int
    min_insync: int
    retention_ms: int
    retention_least_ms: int
    max_message_bytes: int
    keyed: bool = True
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """The settings to create it with, as Kafka writes them."""
        return {
            "cleanup.policy": "delete",
            "max.message.bytes": str(self.max_message_bytes),
            "min.insync.replicas": str(self.min_insync),
            "retention.ms": str(self.retention_ms),
            "unclean.leader.election.enable": "false",
            **self.more,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """What the cluster says of a topic. `settings` is None where we may not read them."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """How many brokers there are, and those of the asked topics that exist."""

    brokers: int
    topics: Mapping[str, TopicFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it must be ("error") or as it should be ("warning"), with its remedy.

    `setting` is Kafka's word for it, `value` what was found, both empty where the topic itself is missing.
    """

    topic: str
    severity: Severity
    setting: str
    value: str
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"topic {self.topic}: {self.detail}; {self.remedy}"


def plans(options: TopicOptions, sources: Iterable[Needs]) -> tuple[TopicPlan, ...]:
    """Return the plan of every topic: one for each source, and that of the digests."""
    return (*(_events_plan(options, source) for source in sources), _seen_plan(options))


def _events_plan(options: TopicOptions, source: Needs) -> TopicPlan:
    """Return the plan for a source. An event is kept at least as long as copies of it may come, whatever the log says.

    What is answered as a duplicate must be there to be looked at, and to be replayed.
    """
    window_ms = round(source.dedupe_window * 1000)
    return TopicPlan(
        name=events_topic(options.prefix, source.name),
        partitions=options.partitions,
        replication=options.replication,
        min_insync=options.min_insync,
        retention_ms=max(round(options.retention * 1000), window_ms),
        retention_least_ms=window_ms,
        max_message_bytes=max(source.max_body + HEADER_ALLOWANCE, _MESSAGE_LEAST),
        more=_BY_THE_BROKERS_CLOCK,
    )


def _seen_plan(options: TopicOptions) -> TopicPlan:
    """Return the plan for the digests: read by all, small, of no use once it is older than an edge looks back.

    One partition carries 40,000 events a second at 1 MB/s. Losing records of it costs duplicates in the log, not
    events: one copy is enough to go on.
    """
    warm_ms = round(options.warm * 1000)
    retention_ms = max(4 * warm_ms, _SEEN_RETENTION_LEAST_MS)
    return TopicPlan(
        name=seen_topic(options.prefix),
        partitions=1,
        replication=options.replication,
        min_insync=1,
        retention_ms=retention_ms,
        retention_least_ms=warm_ms,
        max_message_bytes=_MESSAGE_LEAST,
        keyed=False,
        more={
            **_BY_THE_BROKERS_CLOCK,
            "segment.bytes": str(_SEEN_SEGMENT_BYTES),
            "segment.ms": str(retention_ms),
        },
    )


def problems(plans: Sequence[TopicPlan], found: ClusterFacts) -> list[Problem]:
    """Return everything that is wrong with the topics of `plans`, in their order."""
    listed: list[Problem] = []
    for plan in plans:
        facts = found.topics.get(plan.name)
        listed += [_missing(plan)] if facts is None else _compare(plan, facts)
    return listed


def clash_problem(sources: Iterable[str]) -> str | None:
    """Return what to say of two sources whose partitions could not be told apart, or None."""
    pair = clash(sources)
    if pair is None:
        return None
    return f"sources {pair[0]} and {pair[1]} have the same CRC-32, by which partitions are numbered; rename one of them"


def too_few_brokers(plans: Iterable[TopicPlan], found: ClusterFacts) -> str | None:
    """Return what to say if a missing topic asks for more copies than there are brokers, or None."""
    wanted = max((plan.replication for plan in plans if plan.name not in found.topics), default=0)
    if wanted <= found.brokers:
        return None
    return (
        f"log.topics.replication is {wanted} and the cluster has {found.brokers} broker{'s'[: found.brokers != 1]}; "
        f"add brokers, or set log.topics.replication: {found.brokers} and a min_insync that is no larger"
    )


def _missing(plan: TopicPlan) -> Problem:
    remedy = "run `gateway topics create`"
    return Problem(topic=plan.name, severity="error", setting="", value="", detail="does not exist", remedy=remedy)


def _compare(plan: TopicPlan, facts: TopicFacts) -> list[Problem]:
    listed = [*_partitions(plan, facts), *_replication(plan, facts)]
    if facts.settings is None:
        remedy = "allow this user DescribeConfigs on it, so that they are checked"
        return [*listed, _of(plan, "warning", "", "", "its settings cannot be read", remedy)]
    values = facts.settings
    return [
        *listed,
        *_min_insync(plan, facts, values),
        *_retention(plan, values),
        *_message_bytes(plan, values),
        *_fixed(plan, values),
    ]


def _partitions(plan: TopicPlan, facts: TopicFacts) -> Iterable[Problem]:
    count = facts.partitions
    if not 0 < count <= PARTITIONS_MOST:
        remedy = f"delete it, and run `gateway topics create`; it may have 1 to {PARTITIONS_MOST}"
        yield _of(plan, "error", "partitions", count, f"has {count} partitions", remedy)
    elif plan.keyed and count != plan.partitions:
        detail = f"has {count} partitions, log.topics.partitions is {plan.partitions}"
        remedy = f"set log.topics.partitions: {count}; adding some moves keys to other partitions"
        yield _of(plan, "warning", "partitions", count, detail, remedy)


def _replication(plan: TopicPlan, facts: TopicFacts) -> Iterable[Problem]:
    count = facts.replication
    if count < plan.replication:
        detail = f"has a replication factor of {count}, must be at least {plan.replication}"
        remedy = "add copies with kafka-reassign-partitions, or lower log.topics.replication"
        yield _of(plan, "error", "replication", count, detail, remedy)
    elif plan.keyed and plan.replication == 1:
        detail = "is planned with one copy: acknowledged events are lost with one broker's disk"
        yield _of(
            plan, "warning", "replication", count, detail, "fine for development; else set log.topics.replication"
        )


def _min_insync(plan: TopicPlan, facts: TopicFacts, values: Mapping[str, str]) -> Iterable[Problem]:
    value = _number(values, "min.insync.replicas")
    if value is None or value < plan.min_insync:
        yield _must(plan, values, "min.insync.replicas", plan.min_insync, f"must be at least {plan.min_insync}")
    elif value > facts.replication:
        must = f"must be at most its replication factor, {facts.replication}: nothing can be written"
        yield _must(plan, values, "min.insync.replicas", plan.min_insync, must)


def _retention(plan: TopicPlan, values: Mapping[str, str]) -> Iterable[Problem]:
    value = _number(values, "retention.ms")
    if value is None or _FOREVER < value < plan.retention_least_ms:
        must = f"must be at least {plan.retention_least_ms}, the time in which copies of an event may come"
        yield _must(plan, values, "retention.ms", plan.retention_ms, must)
    elif _FOREVER < value < plan.retention_ms:
        must = f"should be {plan.retention_ms}, as log.retention says"
        yield _must(plan, values, "retention.ms", plan.retention_ms, must, "warning")
    if _number(values, "retention.bytes") not in (None, _FOREVER):
        must = "should be -1: what is deleted by size may be newer than the retention"
        yield _must(plan, values, "retention.bytes", _FOREVER, must, "warning")


def _message_bytes(plan: TopicPlan, values: Mapping[str, str]) -> Iterable[Problem]:
    value = _number(values, "max.message.bytes")
    if value is None or value < plan.max_message_bytes:
        must = f"must be at least {plan.max_message_bytes}, the source's max_body with room for its headers"
        yield _must(plan, values, "max.message.bytes", plan.max_message_bytes, must)


def _fixed(plan: TopicPlan, values: Mapping[str, str]) -> Iterable[Problem]:
    if values.get("unclean.leader.election.enable") != "false":
        must = "must be false: else a broker that lacks acknowledged events may become the leader"
        yield _must(plan, values, "unclean.leader.election.enable", "false", must)
    if values.get("cleanup.policy") != "delete":
        must = "must be delete: compaction drops all events of a key but the last"
        yield _must(plan, values, "cleanup.policy", "delete", must)


def _number(values: Mapping[str, str], setting: str) -> int | None:
    try:
        return int(values.get(setting, ""))
    except ValueError:
        return None


def _must(
    plan: TopicPlan,
    values: Mapping[str, str],
    setting: str,
    wanted: object,
    must: str,
    severity: Severity = "error",
) -> Problem:
    value = values.get(setting, "unknown")
    remedy = f"kafka-configs --alter --entity-type topics --entity-name {plan.name} --add-config {setting}={wanted}"
    return _of(plan, severity, setting, value, f"{setting} is {value}, {must}", remedy)


def _of(plan: TopicPlan, severity: Severity, setting: str, value: object, detail: str, remedy: str) -> Problem:
    return Problem(topic=plan.name, severity=severity, setting=setting, value=str(value), detail=detail, remedy=remedy)
