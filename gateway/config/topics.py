"""What the configuration asks of the topics on Kafka. No secret is needed for it."""

from gateway.config.installed import provider_of
from gateway.config.settings import KafkaSettings, Settings, SourceSettings
from gateway.core.compile import dedupe_window
from gateway.keep.kafka.topics import SourceNeeds, TopicOptions, TopicPlan, plans


def topic_plans(settings: Settings, kafka: KafkaSettings) -> tuple[TopicPlan, ...]:
    """Return how each topic must be: one for each configured source, and that of the digests."""
    options = TopicOptions(
        prefix=kafka.prefix,
        partitions=kafka.topics.partitions,
        replication=kafka.topics.replication,
        min_insync=kafka.topics.min_insync,
        retention=settings.log.retention,
        warm=kafka.dedupe_warm,
    )
    return plans(options, [_needs(source) for source in settings.sources])


def _needs(source: SourceSettings) -> SourceNeeds:
    provider = provider_of(source)
    body, window = source.options.max_body, source.options.dedupe_window
    return SourceNeeds(
        name=source.name,
        max_body=provider.max_body if body is None else body,
        dedupe_window=dedupe_window(provider) if window is None else window,
    )
