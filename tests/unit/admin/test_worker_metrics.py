"""What a worker counts."""

from typing import Any, get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.metrics import registry_of, text
from gateway.admin.worker import WorkerMetrics
from gateway.handle.meter import RouterMeter, RouterSample
from gateway.keep.ports import DeadReason, Outcome


def make_sample(**over: Any) -> RouterSample:
    values: dict[str, Any] = {
        "backlog_events": 0,
        "oldest_unprocessed_seconds": 0.0,
        "retries_parked": 0,
        "dead_letters": 0,
        "gap_events": 0,
        "paused": "",
    }
    return RouterSample(**values | over)


def make_metrics(**over: Any) -> WorkerMetrics:
    reading = make_sample(**over)
    return WorkerMetrics("billing", ["record", "notify"], lambda: reading)


def samples(metrics: WorkerMetrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(text(registry_of([metrics])).decode())
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(metrics: WorkerMetrics, series: str, **labels: str) -> float:
    return samples(metrics)[series, frozenset({"router": "billing", **labels}.items())]


def test_the_meter_is_what_the_worker_asks_for() -> None:
    metrics = make_metrics()
    asked: RouterMeter = metrics

    asked.replayed(3)

    assert value(metrics, "gateway_replayed_total") == 3


def test_runs_are_counted_by_outcome_and_timed_by_handler() -> None:
    metrics = make_metrics()

    metrics.ran("record", "done", 0.02)
    metrics.ran("record", "retry", 0.02)

    assert value(metrics, "gateway_handler_runs_total", handler="record", outcome="done") == 1
    assert value(metrics, "gateway_handler_runs_total", handler="record", outcome="retry") == 1
    assert value(metrics, "gateway_handler_runs_total", handler="notify", outcome="done") == 0
    assert value(metrics, "gateway_handler_duration_seconds_count", handler="record") == 2


def test_dead_letters_made_are_counted_by_reason() -> None:
    metrics = make_metrics(dead_letters=4)

    metrics.died("notify", "attempts")

    assert value(metrics, "gateway_dead_letters_total", handler="notify", reason="attempts") == 1
    assert value(metrics, "gateway_dead_letters") == 4


def test_a_handler_that_is_gone_counts_as_other() -> None:
    metrics = make_metrics()

    metrics.died("gone-since", "handler_gone")
    metrics.ran("gone-since", "dead", 0.1)

    assert value(metrics, "gateway_dead_letters_total", handler="other", reason="handler_gone") == 1
    assert value(metrics, "gateway_handler_runs_total", handler="other", outcome="dead") == 1
    assert "gone-since" not in text(registry_of([metrics])).decode()


def test_ages_at_done_are_observed() -> None:
    metrics = make_metrics()

    metrics.done(0.05)

    assert value(metrics, "gateway_event_age_at_done_seconds_bucket", le="0.05") == 1
    assert value(metrics, "gateway_event_age_at_done_seconds_bucket", le="0.025") == 0


@pytest.mark.parametrize("cause", ["operator", "breaker"])
def test_a_paused_router_tells_its_cause(cause) -> None:
    metrics = make_metrics(paused=cause)

    assert value(metrics, "gateway_router_paused", cause=cause) == 1
    assert sum(count for (name, _), count in samples(metrics).items() if name == "gateway_router_paused") == 1


def test_readings_become_gauges() -> None:
    metrics = make_metrics(backlog_events=8, oldest_unprocessed_seconds=9.5, retries_parked=2, gap_events=6)

    assert value(metrics, "gateway_backlog_events") == 8
    assert value(metrics, "gateway_oldest_unprocessed_seconds") == 9.5
    assert value(metrics, "gateway_retries_parked") == 2
    assert value(metrics, "gateway_gap_events_total") == 6


def test_every_series_is_there_from_the_start_and_work_adds_none() -> None:
    metrics = make_metrics()
    before = samples(metrics)

    for handler in ("record", "notify", "gone"):
        for outcome in get_args(Outcome):
            metrics.ran(handler, outcome, 0.1)
        for reason in get_args(DeadReason):
            metrics.died(handler, reason)
    metrics.done(1.0)
    metrics.replayed(1)

    assert samples(metrics).keys() == before.keys()
