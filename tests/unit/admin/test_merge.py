"""One exposition out of those of several processes."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.edge import EdgeMetrics
from gateway.admin.indexer import IndexMetrics, IndexSample
from gateway.admin.merge import merge
from gateway.admin.metrics import METRICS, registry_of, text
from gateway.admin.processes import ProcessMetrics
from tests.unit.admin import test_edge_metrics as edge
from tests.unit.admin import test_worker_metrics as worker


def make_edge_text(metrics: EdgeMetrics | None = None) -> bytes:
    return text(registry_of([ProcessMetrics("edge", "1.2.3"), metrics or edge.make_metrics()]))


def make_worker_text() -> bytes:
    return text(registry_of([ProcessMetrics("worker:billing", "1.2.3"), worker.make_metrics()]))


def make_indexer_text() -> bytes:
    return text(registry_of([IndexMetrics(lambda: IndexSample(backlog_events=4, lag_seconds=1.5))]))


def merged(*texts: tuple[str, bytes | None]) -> str:
    return generate_latest(merge(texts)).decode()


def value(exposition: str, series: str, **labels: str) -> float:
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name == series and sample.labels == labels:
                return sample.value
    raise AssertionError(f"no {series}{labels}")


def test_the_processes_together_show_every_metric_of_the_list_once() -> None:
    exposition = merged(
        ("edge", make_edge_text()), ("worker:billing", make_worker_text()), ("indexer", make_indexer_text())
    )

    named = [line.split()[2] for line in exposition.splitlines() if line.startswith("# TYPE")]
    assert named == [metric.name for metric in METRICS]


@pytest.mark.parametrize(
    "family, one, two, expected",
    [
        pytest.param("gateway_append_errors_total counter", 2, 3, 5, id="counters add up"),
        pytest.param("gateway_inflight_deliveries gauge", 2, 3, 5, id="a gauge that adds up"),
        pytest.param("gateway_log_oldest_seconds gauge", 2, 3, 3, id="a gauge of the greatest"),
        pytest.param("gateway_dedupe_ids gauge", 2, 3, 3, id="what each edge remembers"),
        pytest.param("gateway_dedupe_lag_seconds gauge", 2, 3, 3, id="the edge furthest behind"),
        pytest.param("gateway_spool_events gauge", 2, 3, 5, id="what is in the spools"),
        pytest.param("gateway_spool_oldest_seconds gauge", 2, 3, 3, id="the oldest of the spools"),
        pytest.param("gateway_log_queued_events gauge", 2, 3, 5, id="what waits in memory"),
        pytest.param("gateway_log_writable gauge", 1, 0, 0, id="an edge that cannot append"),
        pytest.param("gateway_index_backlog_events gauge", 2, 3, 5, id="what is not indexed"),
        pytest.param("gateway_index_lag_seconds gauge", 2, 3, 3, id="the index furthest behind"),
        pytest.param("gateway_config_last_reload_successful gauge", 1, 0, 0, id="a gauge of the least"),
    ],
)
def test_equal_series_are_joined_by_the_rule_of_their_metric(family, one, two, expected) -> None:
    name, kind = family.split()
    texts = [f"# TYPE {name} {kind}\n{name} {number}\n".encode() for number in (one, two)]

    exposition = merged(("edge", texts[0]), ("edge-2", texts[1]))

    assert value(exposition, name) == expected


def test_histograms_of_two_processes_add_up() -> None:
    metrics = edge.make_metrics()
    metrics.source("github").answered("accepted", "", 0.002, 100)

    exposition = merged(("a", make_edge_text(metrics)), ("b", make_edge_text(metrics)))

    assert value(exposition, "gateway_ack_duration_seconds_count", source="github") == 2
    assert value(exposition, "gateway_ack_duration_seconds_bucket", source="github", le="0.0025") == 2
    assert value(exposition, "gateway_ack_duration_seconds_bucket", source="github", le="0.001") == 0
    assert value(exposition, "gateway_ack_duration_seconds_sum", source="github") == pytest.approx(0.004)


def test_several_edges_are_one_gateway_and_several_processes() -> None:
    texts = [
        (name, text(registry_of([ProcessMetrics(name, "1"), edge.make_metrics()]))) for name in ("edge:1", "edge:2")
    ]

    exposition = merged(*texts)

    assert value(exposition, "gateway_inflight_deliveries") == 6
    for name, _ in texts:
        assert value(exposition, "gateway_up", process=name) == 1
        assert value(exposition, "process_open_fds", process=name) > 0


def test_series_with_different_labels_stay_apart() -> None:
    exposition = merged(("edge", make_edge_text()), ("worker:billing", make_worker_text()))

    assert value(exposition, "process_open_fds", process="edge") > 0
    assert value(exposition, "process_open_fds", process="worker:billing") > 0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(None, id="none"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"gateway_up{process= 1\n", id="cut off"),
        pytest.param(b"# TYPE x\n", id="no type"),
        pytest.param(b"gateway_log_events twelve\n", id="no number"),
    ],
)
def test_a_process_without_a_readable_answer_is_down_and_the_others_are_shown(answer) -> None:
    exposition = merged(("edge", make_edge_text()), ("worker:billing", answer))

    assert value(exposition, "gateway_up", process="edge") == 1
    assert value(exposition, "gateway_up", process="worker:billing") == 0
    assert value(exposition, "gateway_log_events") == 7


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param('# TYPE gateway_up gauge\ngateway_up{process="edge"} 1\n', id="that another is up"),
        pytest.param("# TYPE mine gauge\nmine 1\n", id="a metric that is not in the list"),
        pytest.param("# TYPE gateway_log_events summary\ngateway_log_events 1\n", id="another type"),
    ],
)
def test_what_is_not_in_the_list_is_left_out(claim) -> None:
    exposition = merged(("edge", None), ("worker:billing", claim.encode()))

    assert value(exposition, "gateway_up", process="edge") == 0
    assert "mine" not in exposition
    assert "gateway_log_events" not in exposition


def test_openmetrics_names_no_family_twice_and_loses_no_series() -> None:
    exposition = merge([("edge", make_edge_text()), ("worker:billing", make_worker_text())])

    rendered = generate_openmetrics(exposition.for_openmetrics()).decode()  # type: ignore[no-untyped-call]
    families = list(parse_openmetrics(rendered))  # type: ignore[no-untyped-call]

    assert len({family.name for family in families}) == len(families)
    series = sum(len(family.samples) for family in exposition.collect())
    assert sum(len(family.samples) for family in families) == series
