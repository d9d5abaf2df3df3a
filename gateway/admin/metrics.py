"""The closed list of metrics: each name stands here once, with its type, labels and meaning.

Collectors look their families up here, `docs/metrics.md` is generated from here, and the dashboard may ask for nothing
else. Names are stable once released. No label ever takes a value from a request.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min"]
Scope = Literal["edge", "worker", "indexer", "all", "admin"]

# Alert thresholds and the usual deadlines (0.8 s, 2.5 s) are boundaries, so that they can be read off exactly.
LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0, 2.5, 5.0, 10.0)
RUN = (*LATENCY, 30.0, 60.0, 300.0)
# Admission takes some tens of microseconds: from 0.5 ms on, everything would sit in the first bucket.
DECISION = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.1)
AGE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 259200.0)
SIZE = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 26214400.0)
SKEW = (-600.0, -300.0, -60.0, -30.0, -5.0, -1.0, 0.0, 1.0, 5.0, 30.0, 60.0, 300.0, 600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    `name` is without the suffixes `_bucket`, `_sum` and `_count`; `merge` says how a gauge of several processes becomes
    one; `buckets` are the upper bounds, in the metric's unit, `+Inf` left out.
    """

    name: str
    kind: Kind
    scope: Scope
    labels: tuple[str, ...]
    meaning: str
    merge: Merge = "sum"
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """The base unit, empty for a count or a state."""
        stem = self.name.removesuffix("_total")
        return next((unit for unit in ("seconds", "bytes") if stem.endswith(f"_{unit}")), "")

    def counter(self) -> CounterMetricFamily:
        """Return an empty family to add a counter's children to."""
        return CounterMetricFamily(self.name, self.meaning, labels=self.labels)

    def gauge(self) -> GaugeMetricFamily:
        """Return an empty family to add a gauge's children to."""
        return GaugeMetricFamily(self.name, self.meaning, labels=self.labels)

    def histogram(self) -> HistogramMetricFamily:
        """Return an empty family to add a histogram's children to."""
        return HistogramMetricFamily(self.name, self.meaning, labels=self.labels)


METRICS: tuple[Metric, ...] = (
    Metric(
        "gateway_deliveries_total",
        "counter",
        "edge",
        ("source", "outcome", "reason"),
        "Deliveries answered. `reason` is empty unless refused; source `unknown` is any name not configured.",
    ),
    Metric(
        "gateway_ack_duration_seconds",
        "histogram",
        "edge",
        ("source",),
        "From the request's first byte to its acknowledgement; refusals are not acknowledgements.",
        buckets=LATENCY,
    ),
    Metric(
        "gateway_verify_duration_seconds",
        "histogram",
        "edge",
        ("provider",),
        "Cost of one admission decision: verify, identify, split.",
        buckets=DECISION,
    ),
    Metric(
        "gateway_delivery_bytes",
        "histogram",
        "edge",
        ("source",),
        "Body size of acknowledged deliveries.",
        buckets=SIZE,
    ),
    Metric(
        "gateway_signature_age_seconds",
        "histogram",
        "edge",
        ("source",),
        "Arrival minus the signed timestamp of verified deliveries; negative: the sender's clock is ahead.",
        buckets=SKEW,
    ),
    Metric(
        "gateway_secret_matched_total",
        "counter",
        "edge",
        ("source", "secret"),
        "Verified deliveries by the label of the secret that matched.",
    ),
    Metric(
        "gateway_identity_flags_total",
        "counter",
        "edge",
        ("source", "flag"),
        "Oddities of identity: absent or impossible ids, one id with two bodies, one body under two ids.",
    ),
    Metric(
        "gateway_last_event_timestamp_seconds",
        "gauge",
        "edge",
        ("source",),
        "When an event or a duplicate was last acknowledged, Unix time; 0 means none since the start.",
        merge="max",
    ),
    Metric(
        "gateway_key_fetches_total",
        "counter",
        "edge",
        ("source", "outcome"),
        "Fetches of keys that verify: fetched, failed (no answer), unusable (none that is a key), limited (a sender"
        " asked for too many).",
    ),
    Metric(
        "gateway_key_oldest_seconds",
        "gauge",
        "edge",
        ("source",),
        "Age of the oldest fetched key in use; 0 if none is. They are refreshed daily at the latest.",
        merge="max",
    ),
    Metric(
        "gateway_address_list_age_seconds",
        "gauge",
        "edge",
        ("source",),
        "Age of the address list that the source admits by, infinite while there is none; 0 if it uses none.",
        merge="max",
    ),
    Metric(
        "gateway_visits_total",
        "counter",
        "edge",
        ("source", "outcome"),
        "Subscriptions confirmed by fetching a URL: done, failed, dropped (too many were waiting).",
    ),
    Metric(
        "gateway_secret_last_used_timestamp_seconds",
        "gauge",
        "edge",
        ("source", "secret"),
        "When the secret of this label last verified a delivery, Unix time, kept over restarts; 0 means not on record.",
        merge="max",
    ),
    Metric(
        "gateway_quarantine_deliveries",
        "gauge",
        "edge",
        ("source",),
        "Unverified deliveries in quarantine on this machine.",
        merge="max",
    ),
    Metric("gateway_quarantine_bytes", "gauge", "edge", ("source",), "What they take of the disk.", merge="max"),
    Metric(
        "gateway_quarantine_lost_total",
        "counter",
        "edge",
        ("source",),
        "Unverified deliveries that should have gone into quarantine: too many at once, too large, or not written.",
    ),
    Metric(
        "gateway_quarantine_readmitted_total",
        "counter",
        "edge",
        ("source", "outcome"),
        "Deliveries tried again out of quarantine: accepted, duplicate, handshake (never answered), refused,"
        " unavailable.",
    ),
    Metric(
        "gateway_source_writable",
        "gauge",
        "edge",
        ("source",),
        "1 while the log takes the source's events; on Kafka 0 while its topic is missing, or one of its partitions"
        " takes nothing though others do.",
        merge="min",
    ),
    Metric("gateway_inflight_deliveries", "gauge", "edge", (), "Deliveries being answered now."),
    Metric(
        "gateway_append_duration_seconds",
        "histogram",
        "edge",
        (),
        "Time until the log had one delivery durable.",
        buckets=LATENCY,
    ),
    Metric(
        "gateway_append_errors_total",
        "counter",
        "edge",
        ("reason",),
        "Appends that failed, or whose outcome stayed unknown.",
    ),
    Metric("gateway_log_events", "gauge", "edge", (), "Events in the embedded log.", merge="max"),
    Metric("gateway_log_bytes", "gauge", "edge", (), "Size of the embedded log on disk.", merge="max"),
    Metric(
        "gateway_log_oldest_seconds", "gauge", "edge", (), "Age of the oldest event in the embedded log.", merge="max"
    ),
    Metric("gateway_log_writable", "gauge", "edge", (), "1 while the log takes appends, else 0.", merge="min"),
    Metric("gateway_log_queued_events", "gauge", "edge", (), "Events waiting in memory to be stored."),
    Metric(
        "gateway_log_free_bytes",
        "gauge",
        "edge",
        (),
        "Free space of the disk that holds the embedded log, or the spool.",
        merge="min",
    ),
    Metric(
        "gateway_dedupe_ids",
        "gauge",
        "edge",
        (),
        "Event ids that an edge remembers in memory; of several edges, which each remember them, the most.",
        merge="max",
    ),
    Metric(
        "gateway_dedupe_lag_seconds",
        "gauge",
        "edge",
        (),
        "How far an edge's memory of ids is behind what other edges stored; 0 on the embedded log.",
        merge="max",
    ),
    Metric(
        "gateway_spool_events",
        "gauge",
        "edge",
        (),
        "Acknowledged events waiting in the spools for Kafka; 0 on the embedded log.",
    ),
    Metric(
        "gateway_spool_oldest_seconds",
        "gauge",
        "edge",
        (),
        "Age of the oldest event in the spools; 0 if they are empty.",
        merge="max",
    ),
    Metric(
        "gateway_spool_held_events",
        "gauge",
        "edge",
        (),
        "Of those in the spools, the ones that Kafka refused, and those behind them in order; others go past them.",
    ),
    Metric(
        "gateway_spool_set_aside_events",
        "gauge",
        "edge",
        (),
        "Rows of the spools that could not be read, kept in their folders `set-aside`.",
    ),
    Metric(
        "gateway_handler_runs_total",
        "counter",
        "worker",
        ("router", "handler", "outcome"),
        "Runs of a handler by outcome.",
    ),
    Metric(
        "gateway_handler_duration_seconds",
        "histogram",
        "worker",
        ("router", "handler"),
        "Duration of one run of a handler.",
        buckets=RUN,
    ),
    Metric(
        "gateway_event_age_at_done_seconds",
        "histogram",
        "worker",
        ("router",),
        "From an event's arrival until all of its handlers have a durable outcome.",
        buckets=AGE,
    ),
    Metric("gateway_backlog_events", "gauge", "worker", ("router",), "Events stored that the router has not finished."),
    Metric(
        "gateway_oldest_unprocessed_seconds",
        "gauge",
        "worker",
        ("router",),
        "Age of the oldest event that the router has not finished.",
        merge="max",
    ),
    Metric(
        "gateway_retries_parked",
        "gauge",
        "worker",
        ("router",),
        "Runs waiting for a durable retry, those held behind one included.",
    ),
    Metric("gateway_dead_letters", "gauge", "worker", ("router",), "Dead letters kept now."),
    Metric("gateway_dead_letters_total", "counter", "worker", ("router", "handler", "reason"), "Dead letters made."),
    Metric(
        "gateway_router_paused",
        "gauge",
        "worker",
        ("router", "cause"),
        "1 while the router is paused for this cause, else 0.",
        merge="max",
    ),
    Metric(
        "gateway_gap_events_total",
        "counter",
        "worker",
        ("router",),
        "Events that retention removed before the router had finished them.",
    ),
    Metric("gateway_replayed_total", "counter", "worker", ("router",), "Events handed out by replays."),
    Metric(
        "gateway_index_backlog_events",
        "gauge",
        "indexer",
        (),
        "Events stored that the indexer has not written down: `gateway events` does not list them yet.",
    ),
    Metric(
        "gateway_index_lag_seconds",
        "gauge",
        "indexer",
        (),
        "Age of the oldest event that the indexer has not written down; 0 if there is none.",
        merge="max",
    ),
    Metric(
        "gateway_build_info", "gauge", "all", ("version", "python"), "Always 1; the labels name what runs.", merge="max"
    ),
    Metric(
        "gateway_config_last_reload_successful",
        "gauge",
        "all",
        (),
        "1 if the configuration was last read without a mistake.",
        merge="min",
    ),
    Metric("process_resident_memory_bytes", "gauge", "all", ("process",), "Resident memory."),
    Metric("process_cpu_seconds_total", "counter", "all", ("process",), "User and system CPU time spent."),
    Metric("process_open_fds", "gauge", "all", ("process",), "Open file descriptors."),
    Metric("process_max_fds", "gauge", "all", ("process",), "Most file descriptors that may be open.", merge="max"),
    Metric(
        "process_start_time_seconds", "gauge", "all", ("process",), "When the process started, Unix time.", merge="max"
    ),
    Metric(
        "gateway_up",
        "gauge",
        "admin",
        ("process",),
        "1 if the process of this command answered the scrape, else 0; a command whose admin port was taken has none.",
    ),
)

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}


def named(name: str) -> Metric:
    """Return the metric `gateway_<name>`, or `name` itself where it has no prefix.

    Raises:
        KeyError: it is not in the list.
    """
    return BY_NAME.get(f"gateway_{name}") or BY_NAME[name]


def registry_of(collectors: Iterable[Collector]) -> CollectorRegistry:
    """Return one process's registry, nothing of prometheus_client's global one in it."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in collectors:
        registry.register(collector)
    return registry


def text(registry: CollectorRegistry) -> bytes:
    """Return the registry as Prometheus text, format 0.0.4."""
    return generate_latest(registry)
