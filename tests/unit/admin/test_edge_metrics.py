"""What the edge counts, and that nothing a sender writes becomes a label."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin import edge
from gateway.admin.edge import EdgeMetrics, EdgeSample
from gateway.admin.metrics import registry_of, text
from gateway.core.source import Source
from gateway.keep.ports import LogHealth
from gateway.receive import meter

HEALTH = LogHealth(
    writable=True, reason=None, events=7, bytes=4096, oldest_seconds=60.0, queued_events=2, queued_bytes=1
)


def make_source(name: str = "github", **over: Any) -> Source:
    values: dict[str, Any] = {
        "name": name,
        "provider": "github",
        "methods": frozenset({"POST"}),
        "max_body": 2**20,
        "deadline": 2.5,
        "dedupe_window": 86400.0,
        "on_conflict": "dead",
        "on_replay": "flag",
        "rate": None,
        "allow_ips": (),
        "content_types": (),
        "labels": ("new", "old"),
        "id_is_signed": False,
        "accepted": None,
        "admit": lambda request, now: None,
        "sign": None,
    }
    return Source(**values | over)


def make_metrics(*sources: Source, sample: EdgeSample | None = None, now: float = 1000.0) -> EdgeMetrics:
    reading = sample or EdgeSample(health=HEALTH, inflight_deliveries=3, free_bytes=10**9)
    named = {source.name: source for source in sources or [make_source()]}
    return EdgeMetrics(named, lambda: reading, clock=lambda: now)


def samples(metrics: EdgeMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text(registry_of([metrics])).decode())
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(metrics: EdgeMetrics, series: str, **labels: str) -> float:
    return samples(metrics)[series, frozenset(labels.items())]


def test_the_meter_is_what_the_edge_asks_for() -> None:
    asked: meter.EdgeMeter = make_metrics()

    assert asked.source("github") is not asked.source("unknown")


def test_outcomes_are_those_of_the_edge() -> None:
    assert set(edge.ACKNOWLEDGED) | {"refused"} == set(get_args(meter.DeliveryOutcome))


def test_an_acknowledged_delivery_counts_once_and_is_observed() -> None:
    metrics = make_metrics()

    metrics.source("github").answered("accepted", "", 0.004, 2048)

    assert value(metrics, "gateway_deliveries_total", source="github", outcome="accepted", reason="") == 1
    assert value(metrics, "gateway_ack_duration_seconds_count", source="github") == 1
    assert value(metrics, "gateway_ack_duration_seconds_sum", source="github") == 0.004
    assert value(metrics, "gateway_delivery_bytes_sum", source="github") == 2048
    assert value(metrics, "gateway_last_event_timestamp_seconds", source="github") == 1000.0


def test_a_refusal_is_no_acknowledgement_and_no_sign_of_life() -> None:
    metrics = make_metrics()

    metrics.source("github").answered("refused", "signature_mismatch", 0.004, 2048)

    labels = {"source": "github", "outcome": "refused", "reason": "signature_mismatch"}
    assert value(metrics, "gateway_deliveries_total", **labels) == 1
    assert value(metrics, "gateway_ack_duration_seconds_count", source="github") == 0
    assert value(metrics, "gateway_last_event_timestamp_seconds", source="github") == 0


def test_a_handshake_is_acknowledged_but_is_no_event() -> None:
    metrics = make_metrics()

    metrics.source("github").answered("handshake", "", 0.001, 10)

    assert value(metrics, "gateway_ack_duration_seconds_count", source="github") == 1
    assert value(metrics, "gateway_last_event_timestamp_seconds", source="github") == 0


@pytest.mark.parametrize(
    "seconds, first_bucket",
    [
        pytest.param(0.0, "0.0005", id="nothing"),
        pytest.param(0.0005, "0.0005", id="on the bound"),
        pytest.param(0.00051, "0.001", id="above the bound"),
        pytest.param(99.0, "+Inf", id="above all"),
    ],
)
def test_an_observation_is_in_the_first_bucket_not_below_it(seconds, first_bucket) -> None:
    metrics = make_metrics()

    metrics.source("github").answered("accepted", "", seconds, 1)

    buckets = {
        dict(labels)["le"]: count
        for (name, labels), count in samples(metrics).items()
        if name == "gateway_ack_duration_seconds_bucket"
    }
    assert min((bound for bound, count in buckets.items() if count), key=float) == first_bucket
    assert buckets["+Inf"] == 1


def test_a_verified_delivery_tells_its_secret_and_its_age() -> None:
    metrics = make_metrics()

    metrics.source("github").verified(0.00002, "old", -7.0)

    assert value(metrics, "gateway_secret_matched_total", source="github", secret="old") == 1
    assert value(metrics, "gateway_secret_matched_total", source="github", secret="new") == 0
    assert value(metrics, "gateway_signature_age_seconds_bucket", source="github", le="-30.0") == 0
    assert value(metrics, "gateway_signature_age_seconds_bucket", source="github", le="-5.0") == 1
    assert value(metrics, "gateway_verify_duration_seconds_count", provider="github") == 1


def test_the_age_that_an_unverified_delivery_claims_is_not_observed() -> None:
    metrics = make_metrics()

    metrics.source("github").verified(0.00002, None, -7.0)

    assert value(metrics, "gateway_signature_age_seconds_bucket", source="github", le="+Inf") == 0
    assert value(metrics, "gateway_verify_duration_seconds_count", provider="github") == 1


def test_sources_of_one_provider_share_its_verification_times() -> None:
    metrics = make_metrics(make_source("one"), make_source("two"), make_source("three", provider="stripe"))

    for name in ("one", "two", "three"):
        metrics.source(name).verified(0.00002, "new", None)

    assert value(metrics, "gateway_verify_duration_seconds_count", provider="github") == 2
    assert value(metrics, "gateway_verify_duration_seconds_count", provider="stripe") == 1


def test_flags_appends_and_their_errors_are_counted() -> None:
    metrics = make_metrics()

    metrics.source("github").flagged("body_differs")
    metrics.source("github").appended(0.002)
    metrics.append_error("disk_full")

    assert value(metrics, "gateway_identity_flags_total", source="github", flag="body_differs") == 1
    assert value(metrics, "gateway_append_duration_seconds_count") == 1
    assert value(metrics, "gateway_append_errors_total", reason="disk_full") == 1


def test_gauges_are_read_at_the_scrape() -> None:
    metrics = make_metrics(sample=EdgeSample(health=HEALTH, inflight_deliveries=3, free_bytes=99, dedupe_ids=5))

    found = samples(metrics)

    gauges = {name: count for (name, labels), count in found.items() if not labels and name.startswith("gateway_log_")}
    assert gauges == {
        "gateway_log_events": 7,
        "gateway_log_bytes": 4096,
        "gateway_log_oldest_seconds": 60,
        "gateway_log_writable": 1,
        "gateway_log_queued_events": 2,
        "gateway_log_free_bytes": 99,
    }
    assert found["gateway_inflight_deliveries", frozenset()] == 3
    assert found["gateway_dedupe_ids", frozenset()] == 5


def test_what_the_log_on_kafka_does_not_know_is_not_shown() -> None:
    unknown = EdgeSample(
        health=HEALTH,
        inflight_deliveries=3,
        free_bytes=None,
        stored=False,
        dedupe_lag_seconds=1.5,
        spool_events=None,
        spool_oldest_seconds=None,
        spool_held_events=None,
        spool_set_aside_events=None,
    )

    found = {name for name, labels in samples(make_metrics(sample=unknown)) if not labels}

    gone = {"gateway_log_events", "gateway_log_bytes", "gateway_log_oldest_seconds", "gateway_log_free_bytes"}
    assert not found & (gone | {name for name in found if name.startswith("gateway_spool_")})
    assert {"gateway_log_writable", "gateway_log_queued_events", "gateway_dedupe_lag_seconds"} <= found


def test_a_source_whose_events_the_log_has_no_place_for_is_not_writable() -> None:
    sample = EdgeSample(
        health=replace(HEALTH, lacking=("github",), hampered=("hub",)), inflight_deliveries=0, free_bytes=None
    )
    metrics = make_metrics(make_source(), make_source("hub"), make_source("other"), sample=sample)

    assert value(metrics, "gateway_source_writable", source="github") == 0
    assert value(metrics, "gateway_source_writable", source="hub") == 0
    assert value(metrics, "gateway_source_writable", source="other") == 1


def test_a_name_that_is_not_configured_is_counted_as_unknown() -> None:
    metrics = make_metrics()

    metrics.source("../../etc").answered("refused", "unknown_source", 0.001, 0)

    labels = {"source": "unknown", "outcome": "refused", "reason": "unknown_source"}
    assert value(metrics, "gateway_deliveries_total", **labels) == 1
    assert "/etc" not in text(registry_of([metrics])).decode()


def test_a_word_outside_the_closed_set_is_counted_as_other() -> None:
    metrics = make_metrics()

    metrics.source("github").answered("refused", "made up", 0.001, 0)
    metrics.source("github").flagged("made up")
    metrics.source("github").verified(0.001, "made up", None)
    metrics.append_error("made up")

    assert value(metrics, "gateway_deliveries_total", source="github", outcome="refused", reason="other") == 1
    assert "made up" not in text(registry_of([metrics])).decode()


def test_every_series_is_there_from_the_start_and_traffic_adds_none() -> None:
    metrics = make_metrics(make_source("github"), make_source("stripe"))
    before = samples(metrics)

    for name in ("github", "stripe"):
        for outcome in edge.ACKNOWLEDGED:
            metrics.source(name).answered(outcome, "", 0.001, 1)
        for reason in edge.refusals(name):
            metrics.source(name).answered("refused", reason, 0.001, 1)
        for flag in edge.FLAGS:
            metrics.source(name).flagged(flag)
        metrics.source(name).verified(0.001, "new", 0.0)
        metrics.source(name).appended(0.001)
    for reason in edge.refusals(edge.UNKNOWN):
        metrics.source("nobody").answered("refused", reason, 0.001, 1)
    for reason in edge.APPEND_ERRORS:
        metrics.append_error(reason)

    assert samples(metrics).keys() == before.keys()


def test_every_reason_the_edge_gives_is_in_the_closed_set() -> None:
    folder = Path(__file__).parents[3] / "gateway" / "receive"
    given = {reason for file in folder.glob("*.py") for reason in _reasons_in(file.read_text())}

    assert given
    assert given <= set(edge.refusals("github")) | set(edge.refusals(edge.UNKNOWN))


def _reasons_in(source: str) -> set[str]:
    """Return the literal reasons with which the edge refuses."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    firsts = [call.args[0] for call in calls if getattr(call.func, "id", "") in {"_RefusedError", "Unavailable"}]
    return {first.value for first in firsts if isinstance(first, ast.Constant) and isinstance(first.value, str)}


def test_the_last_use_of_a_secret_and_what_is_in_quarantine_are_told_by_source() -> None:
    sample = EdgeSample(
        health=HEALTH,
        inflight_deliveries=0,
        free_bytes=None,
        quarantined={"github": (3, 8192)},
        secrets_used={"github": {"old": 77.5, "unheard-of": 1.0}},
    )
    metrics = make_metrics(sample=sample)

    metrics.source("github").quarantine_lost()
    metrics.source("github").readmitted("duplicate")

    used = "gateway_secret_last_used_timestamp_seconds"
    assert (
        value(metrics, used, source="github", secret="old"),
        value(metrics, used, source="github", secret="new"),
    ) == (
        77.5,
        0,
    )
    assert (used, frozenset({("source", "github"), ("secret", "unheard-of")})) not in samples(metrics)
    assert value(metrics, "gateway_quarantine_deliveries", source="github") == 3
    assert value(metrics, "gateway_quarantine_bytes", source="github") == 8192
    assert value(metrics, "gateway_quarantine_lost_total", source="github") == 1
    assert value(metrics, "gateway_quarantine_readmitted_total", source="github", outcome="duplicate") == 1
    assert value(metrics, "gateway_quarantine_readmitted_total", source="github", outcome="accepted") == 0
