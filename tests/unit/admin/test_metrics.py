"""The closed list itself, and the pages generated from it."""

import re

import pytest

from docs.build import pages
from gateway.admin.metrics import METRICS, Metric, named

NAME = re.compile(r"(gateway|process)_[a-z_]+")
# Labels of an event or a request would grow without end.
UNBOUNDED = {"id", "event", "type", "client", "path", "key", "delivery_id"}

every_metric = pytest.mark.parametrize("metric", METRICS, ids=[metric.name for metric in METRICS])


def test_no_metric_is_named_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@every_metric
def test_a_name_follows_the_conventions(metric: Metric) -> None:
    assert NAME.fullmatch(metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_info_total"))
    assert metric.meaning.endswith(".")


@every_metric
def test_labels_are_of_closed_sets(metric: Metric) -> None:
    assert not UNBOUNDED & set(metric.labels)
    assert "le" not in metric.labels


@every_metric
def test_buckets_ascend_and_belong_to_histograms(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_a_name_that_is_not_in_the_list_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        named("made_up_total")


@pytest.mark.parametrize("path", list(pages()), ids=[path.name for path in pages()])
def test_a_generated_page_is_current(path) -> None:
    assert path.read_text() == pages()[path], "run `make docs`"
