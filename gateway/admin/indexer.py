"""What the indexer counts, exported to Prometheus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from gateway.admin.metrics import named


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSample:
    """What is read at the time of a scrape: events not written down yet, and the age of the oldest in seconds."""

    backlog_events: int
    lag_seconds: float


class IndexMetrics(Collector):
    """The numbers of the indexer.

    Args:
        sample: reads the gauges; called on the event loop at each scrape, so it may not wait for anything.
    """

    def __init__(self, sample: Callable[[], IndexSample]) -> None:
        self._sample = sample

    def collect(self) -> Iterator[Family]:
        """Yield every family of the indexer."""
        sample = self._sample()
        for name, value in (("index_backlog_events", sample.backlog_events), ("index_lag_seconds", sample.lag_seconds)):
            family = named(name).gauge()
            family.add_metric([], value)
            yield family
