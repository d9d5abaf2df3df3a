"""What a worker counts: the meter of `handle`, exported to Prometheus. All of it runs on the worker's event loop."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, get_args

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from gateway.admin.metrics import named
from gateway.admin.numbers import OTHER, Counts, Histogram
from gateway.keep.ports import DeadReason, Outcome

PAUSE_CAUSES = ("operator", "breaker")


class RouterReading(Protocol):
    """What is read at the time of a scrape: the `RouterSample` of `handle`. `paused` is the cause, or empty."""

    @property
    def backlog_events(self) -> int: ...  # noqa: D102 - the metric of the same name says it
    @property
    def oldest_unprocessed_seconds(self) -> float: ...  # noqa: D102 - as above
    @property
    def retries_parked(self) -> int: ...  # noqa: D102 - as above
    @property
    def dead_letters(self) -> int: ...  # noqa: D102 - as above
    @property
    def gap_events(self) -> int: ...  # noqa: D102 - as above
    @property
    def paused(self) -> str: ...  # noqa: D102 - as above


class WorkerMetrics(Collector):
    """The numbers of one router's worker; a `RouterMeter` of `handle`, and a collector for its registry.

    Args:
        router: the router's name.
        handlers: the names of its handlers; a parked run of a handler that is gone counts under `other`.
        sample: reads the gauges; called on the event loop at each scrape, so it may not wait for anything.
    """

    def __init__(self, router: str, handlers: Sequence[str], sample: Callable[[], RouterReading]) -> None:
        self._router = router
        self._sample = sample
        self._runs = {name: _counts(get_args(Outcome)) for name in handlers}
        self._dead = {name: _counts(get_args(DeadReason)) for name in handlers}
        bounds = named("handler_duration_seconds").buckets
        self._durations = {name: Histogram(bounds) for name in (*handlers, OTHER)}
        self._runs[OTHER] = _counts(get_args(Outcome))
        self._dead[OTHER] = _counts(get_args(DeadReason))
        self._age = Histogram(named("event_age_at_done_seconds").buckets)
        self._replayed = 0

    def ran(self, handler: str, outcome: str, seconds: float) -> None:
        """Count one run of a handler and observe its duration."""
        name = handler if handler in self._runs else OTHER
        self._runs[name].add((outcome,))
        self._durations[name].observe(seconds)

    def died(self, handler: str, reason: str) -> None:
        """Count a dead letter."""
        self._dead.get(handler, self._dead[OTHER]).add((reason,))

    def done(self, age_seconds: float) -> None:
        """Observe an event's age when all its pairs have a durable outcome."""
        self._age.observe(age_seconds)

    def replayed(self, count: int) -> None:
        """Count events handed out by a replay."""
        self._replayed += count

    def collect(self) -> Iterator[Family]:
        """Yield every family of the worker."""
        runs, dead = named("handler_runs_total").counter(), named("dead_letters_total").counter()
        durations, age = named("handler_duration_seconds").histogram(), named("event_age_at_done_seconds").histogram()
        for name in self._runs:
            self._runs[name].add_to(runs, [self._router, name])
            self._dead[name].add_to(dead, [self._router, name])
            self._durations[name].add_to(durations, [self._router, name])
        self._age.add_to(age, [self._router])
        replayed = named("replayed_total").counter()
        replayed.add_metric([self._router], self._replayed)
        yield from (runs, dead, durations, age, replayed)
        yield from self._readings(self._sample())

    def _readings(self, sample: RouterReading) -> Iterator[Family]:
        gaps = named("gap_events_total").counter()
        gaps.add_metric([self._router], sample.gap_events)
        paused = named("router_paused").gauge()
        for cause in PAUSE_CAUSES:
            paused.add_metric([self._router, cause], int(sample.paused == cause))
        yield from (gaps, paused)
        for name in ("backlog_events", "oldest_unprocessed_seconds", "retries_parked", "dead_letters"):
            family = named(name).gauge()
            family.add_metric([self._router], getattr(sample, name))
            yield family


def _counts(keys: Sequence[str]) -> Counts:
    return Counts([(key,) for key in keys], (OTHER,))
