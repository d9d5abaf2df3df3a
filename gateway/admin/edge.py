"""What the edge counts: the meter of `receive`, exported to Prometheus. All of it runs on the edge's event loop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from gateway.admin.metrics import named
from gateway.admin.numbers import OTHER, Counts, Histogram
from gateway.core.admission import RefusedReason
from gateway.core.errors import UnavailableReason
from gateway.core.event import Flag
from gateway.core.source import Source
from gateway.keep.ports import LogHealth

UNKNOWN = "unknown"
ACKNOWLEDGED = ("accepted", "duplicate", "handshake")

# Refusals that name a source, beyond those of admission and of the log; the edge's own closed set.
AT_A_SOURCE = ("method", "too_large", "content_type", "rate", "address", "key_unavailable", "internal")
AT_NO_SOURCE = ("unknown_source", "malformed", "method", "too_large", "internal")

APPEND_ERRORS: tuple[str, ...] = (*get_args(UnavailableReason), "unknown")
FLAGS: tuple[str, ...] = (*get_args(Flag), "body_differs")


def refusals(source: str) -> tuple[str, ...]:
    """Return every reason for which a delivery to `source` may be refused."""
    unavailable = get_args(UnavailableReason)
    if source == UNKNOWN:
        return (*AT_NO_SOURCE, *unavailable)
    return (*get_args(RefusedReason), *AT_A_SOURCE, *unavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSample:
    """What is read at the time of a scrape; None is not shown. The last three are of Kafka alone.

    `stored` tells whether the health knows how much the log holds: that of Kafka does not.
    """

    health: LogHealth
    inflight_deliveries: int
    free_bytes: int | None
    stored: bool = True
    dedupe_ids: int = 0
    dedupe_lag_seconds: float | None = 0.0
    spool_events: int | None = 0
    spool_oldest_seconds: float | None = 0.0


class SourceMetrics:
    """The numbers of one source; a `SourceMeter` of `receive`."""

    __slots__ = ("_append", "_clock", "_verify", "ack", "age", "answers", "flags", "last_event", "secrets", "size")

    def __init__(
        self, name: str, labels: Iterable[str], verify: Histogram, append: Histogram, clock: Callable[[], float]
    ) -> None:
        outcomes = [] if name == UNKNOWN else [(outcome, "") for outcome in ACKNOWLEDGED]
        refused = [("refused", reason) for reason in refusals(name)]
        self.answers = Counts([*outcomes, *refused], ("refused", OTHER))
        self.secrets = Counts([(label,) for label in labels], (OTHER,))
        self.flags = Counts([(flag,) for flag in FLAGS], (OTHER,))
        self.ack = Histogram(named("ack_duration_seconds").buckets)
        self.size = Histogram(named("delivery_bytes").buckets)
        self.age = Histogram(named("signature_age_seconds").buckets)
        self.last_event = 0.0
        self._verify = verify
        self._append = append
        self._clock = clock

    def answered(self, outcome: str, reason: str, seconds: float, body_bytes: int) -> None:
        """Count one answer; `reason` is empty unless refused; `seconds` from the request's first byte."""
        self.answers.add((outcome, reason))
        if outcome == "refused":
            return
        self.ack.observe(seconds)
        self.size.observe(body_bytes)
        if outcome != "handshake":
            self.last_event = self._clock()

    def verified(self, seconds: float, secret: str | None, age: float | None) -> None:
        """Count one admission decision; an age that nobody signed is the sender's claim, and not observed."""
        self._verify.observe(seconds)
        if secret is None:
            return
        self.secrets.add((secret,))
        if age is not None:
            self.age.observe(age)

    def flagged(self, flag: str) -> None:
        """Count an oddity of identity."""
        self.flags.add((flag,))

    def appended(self, seconds: float) -> None:
        """Observe how long the log took to make one delivery durable."""
        self._append.observe(seconds)


class EdgeMetrics(Collector):
    """The numbers of the edge process; an `EdgeMeter` of `receive`, and a collector for its registry.

    Args:
        sources: the configured sources; no other name ever becomes a label.
        sample: reads the gauges; called on the event loop at each scrape, so it may not wait for anything.
        clock: Unix time in seconds.
    """

    def __init__(
        self, sources: Mapping[str, Source], sample: Callable[[], EdgeSample], *, clock: Callable[[], float] = time.time
    ) -> None:
        bounds = named("verify_duration_seconds").buckets
        self._sample = sample
        self._verify = {source.provider: Histogram(bounds) for source in sources.values()}
        self._append = Histogram(named("append_duration_seconds").buckets)
        self._append_errors = Counts([(reason,) for reason in APPEND_ERRORS], (OTHER,))
        self._sources = {
            name: SourceMetrics(name, source.labels, self._verify[source.provider], self._append, clock)
            for name, source in sources.items()
        }
        self._unknown = SourceMetrics(UNKNOWN, (), Histogram(bounds), self._append, clock)

    def source(self, name: str) -> SourceMetrics:
        """Return the meter of a configured source; any other name gives that of `unknown`."""
        return self._sources.get(name, self._unknown)

    def append_error(self, reason: str) -> None:
        """Count an append that failed."""
        self._append_errors.add((reason,))

    def collect(self) -> Iterator[Family]:
        """Yield every family of the edge."""
        yield from self._counters()
        yield from self._histograms()
        yield from self._gauges(self._sample())

    def _counters(self) -> Iterator[Family]:
        deliveries, secrets, flags = (
            named(name).counter() for name in ("deliveries_total", "secret_matched_total", "identity_flags_total")
        )
        for name, numbers in self._sources.items():
            numbers.answers.add_to(deliveries, [name])
            numbers.secrets.add_to(secrets, [name])
            numbers.flags.add_to(flags, [name])
        self._unknown.answers.add_to(deliveries, [UNKNOWN])
        errors = named("append_errors_total").counter()
        self._append_errors.add_to(errors)
        yield from (deliveries, secrets, flags, errors)

    def _histograms(self) -> Iterator[Family]:
        ack, size, age = (
            named(name).histogram() for name in ("ack_duration_seconds", "delivery_bytes", "signature_age_seconds")
        )
        for name, numbers in self._sources.items():
            numbers.ack.add_to(ack, [name])
            numbers.size.add_to(size, [name])
            numbers.age.add_to(age, [name])
        verify = named("verify_duration_seconds").histogram()
        for provider, numbers_of_provider in self._verify.items():
            numbers_of_provider.add_to(verify, [provider])
        append = named("append_duration_seconds").histogram()
        self._append.add_to(append, [])
        yield from (ack, size, age, verify, append)

    def _gauges(self, sample: EdgeSample) -> Iterator[Family]:
        last = named("last_event_timestamp_seconds").gauge()
        for name, numbers in self._sources.items():
            last.add_metric([name], numbers.last_event)
        yield last
        for name, value in _readings(sample).items():
            if value is None:
                continue
            family = named(name).gauge()
            family.add_metric([], value)
            yield family


def _readings(sample: EdgeSample) -> dict[str, float | None]:
    health = sample.health
    return {
        "inflight_deliveries": sample.inflight_deliveries,
        "log_events": health.events if sample.stored else None,
        "log_bytes": health.bytes if sample.stored else None,
        "log_oldest_seconds": health.oldest_seconds if sample.stored else None,
        "log_writable": int(health.writable),
        "log_queued_events": health.queued_events,
        "log_free_bytes": sample.free_bytes,
        "dedupe_ids": sample.dedupe_ids,
        "dedupe_lag_seconds": sample.dedupe_lag_seconds,
        "spool_events": sample.spool_events,
        "spool_oldest_seconds": sample.spool_oldest_seconds,
    }
