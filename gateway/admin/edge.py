"""What the edge counts: the meter of `receive`, exported to Prometheus. All of it runs on the edge's event loop."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
AT_A_SOURCE = (
    "method",
    "too_large",
    "content_type",
    "rate",
    "failed_rate",
    "address",
    "addresses_unknown",
    "key_unavailable",
    "secret_unavailable",
    "pairing_closed",
    "pairing_failed",
    "internal",
)
AT_NO_SOURCE = ("unknown_source", "malformed", "method", "too_large", "internal")

APPEND_ERRORS: tuple[str, ...] = (*get_args(UnavailableReason), "unknown")
FLAGS: tuple[str, ...] = (*get_args(Flag), "body_differs")
KEY_OUTCOMES = ("fetched", "failed", "unusable", "limited")
VISIT_OUTCOMES = ("done", "failed", "dropped")
READMIT_OUTCOMES = ("accepted", "duplicate", "handshake", "refused", "unavailable")
PAIRED = "paired"


def refusals(source: str) -> tuple[str, ...]:
    """Return every reason for which a delivery to `source` may be refused."""
    unavailable = get_args(UnavailableReason)
    if source == UNKNOWN:
        return (*AT_NO_SOURCE, *unavailable)
    return (*get_args(RefusedReason), *AT_A_SOURCE, *unavailable)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeSample:
    """What is read at the time of a scrape; None is not shown. `dedupe_lag_seconds` and `spool_*` are of Kafka alone.

    `key_ages` and `address_list_ages` are seconds by source, of those that have fetched keys, or a provider's list.
    `quarantined` are deliveries and bytes by source, `secrets_used` Unix times by source and label.
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
    spool_held_events: int | None = 0
    spool_set_aside_events: int | None = 0
    key_ages: Mapping[str, float] = field(default_factory=dict)
    address_list_ages: Mapping[str, float] = field(default_factory=dict)
    quarantined: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    secrets_used: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class SourceMetrics:
    """The numbers of one source; a `SourceMeter` of `receive`."""

    __slots__ = (
        "_append",
        "_clock",
        "_verify",
        "ack",
        "age",
        "answers",
        "flags",
        "keys",
        "labels",
        "last_event",
        "lost",
        "readmissions",
        "secrets",
        "size",
        "visits",
    )

    def __init__(
        self, name: str, labels: Iterable[str], verify: Histogram, append: Histogram, clock: Callable[[], float]
    ) -> None:
        outcomes = [] if name == UNKNOWN else [(outcome, "") for outcome in ACKNOWLEDGED]
        refused = [("refused", reason) for reason in refusals(name)]
        self.answers = Counts([*outcomes, *refused], ("refused", OTHER))
        self.labels = tuple(labels)
        self.secrets = Counts([(label,) for label in self.labels], (OTHER,))
        self.flags = Counts([(flag,) for flag in FLAGS], (OTHER,))
        self.keys = Counts([(outcome,) for outcome in KEY_OUTCOMES], (OTHER,))
        self.visits = Counts([(outcome,) for outcome in VISIT_OUTCOMES], (OTHER,))
        self.lost = Counts([()], ())
        self.readmissions = Counts([(outcome,) for outcome in READMIT_OUTCOMES], (OTHER,))
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

    def key_fetched(self, outcome: str) -> None:
        """Count a fetch of a key."""
        self.keys.add((outcome,))

    def visited(self, outcome: str) -> None:
        """Count a visit that confirms a subscription."""
        self.visits.add((outcome,))

    def quarantine_lost(self) -> None:
        """Count a refused delivery that should have been kept."""
        self.lost.add(())

    def readmitted(self, outcome: str) -> None:
        """Count a delivery that was tried again out of quarantine."""
        self.readmissions.add((outcome,))


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
            name: SourceMetrics(name, labels_of(source), self._verify[source.provider], self._append, clock)
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
        families = {name: named(name).counter() for name in _COUNTERS}
        for name, numbers in self._sources.items():
            for metric, cell in _COUNTERS.items():
                cell(numbers).add_to(families[metric], [name])
        self._unknown.answers.add_to(families["deliveries_total"], [UNKNOWN])
        errors = named("append_errors_total").counter()
        self._append_errors.add_to(errors)
        yield from (*families.values(), errors)

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
        last, keys, lists, writable = (
            named(name).gauge()
            for name in (
                "last_event_timestamp_seconds",
                "key_oldest_seconds",
                "address_list_age_seconds",
                "source_writable",
            )
        )
        for name, numbers in self._sources.items():
            last.add_metric([name], numbers.last_event)
            keys.add_metric([name], sample.key_ages.get(name, 0.0))
            lists.add_metric([name], sample.address_list_ages.get(name, 0.0))
            writable.add_metric([name], int(name not in (*sample.health.lacking, *sample.health.hampered)))
        yield from (last, keys, lists, writable)
        yield from self._kept(sample)
        for name, value in _readings(sample).items():
            if value is None:
                continue
            family = named(name).gauge()
            family.add_metric([], value)
            yield family

    def _kept(self, sample: EdgeSample) -> Iterator[Family]:
        used, deliveries, room = (
            named(name).gauge()
            for name in ("secret_last_used_timestamp_seconds", "quarantine_deliveries", "quarantine_bytes")
        )
        for name, numbers in self._sources.items():
            for label in numbers.labels:
                used.add_metric([name, label], sample.secrets_used.get(name, {}).get(label, 0.0))
            held, taken = sample.quarantined.get(name, (0, 0))
            deliveries.add_metric([name], held)
            room.add_metric([name], taken)
        yield from (used, deliveries, room)


_COUNTERS: Mapping[str, Callable[[SourceMetrics], Counts]] = {
    "deliveries_total": lambda numbers: numbers.answers,
    "secret_matched_total": lambda numbers: numbers.secrets,
    "identity_flags_total": lambda numbers: numbers.flags,
    "key_fetches_total": lambda numbers: numbers.keys,
    "visits_total": lambda numbers: numbers.visits,
    "quarantine_lost_total": lambda numbers: numbers.lost,
    "quarantine_readmitted_total": lambda numbers: numbers.readmissions,
}


def labels_of(source: Source) -> tuple[str, ...]:
    """Return the labels of the secrets that may match at a source, of one that may come at run time, too."""
    return (*source.labels, PAIRED) if source.pairs else source.labels


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
        "spool_held_events": sample.spool_held_events,
        "spool_set_aside_events": sample.spool_set_aside_events,
    }
