"""What the dashboard and the alerts ask of Prometheus."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
from ruamel.yaml import YAML

from gateway.admin.metrics import BY_NAME, METRICS

DEPLOY = Path(__file__).parents[1] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "gateway.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"

# Prometheus's own verdict on a scrape; no process tells it.
OF_PROMETHEUS = frozenset({"up"})
# The embedded log is its own index.
OF_THE_INDEXER = frozenset(metric.name for metric in METRICS if metric.scope == "indexer")

_TIMES = re.compile(r"\$__(rate_interval|range|interval)")
_VARIABLES = re.compile(r"\$\{?[a-z_]+\}?")


def panels() -> list[dict[str, Any]]:
    """Return every panel of the committed dashboard, rows left out."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    """Return every committed alert."""
    groups = YAML(typ="safe").load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def questions() -> dict[str, str]:
    """Return every PromQL expression, Grafana's variables filled in, by who asks it."""
    asked = {
        f"panel {panel['id']} {panel['title']} {target['refId']}": filled(target["expr"])
        for panel in panels()
        for target in panel["targets"]
    }
    return asked | {f"alert {rule['alert']}": rule["expr"] for rule in alerts()}


def filled(expression: str) -> str:
    """Return an expression as Prometheus would be sent it."""
    return _VARIABLES.sub("all", _TIMES.sub("5m", expression))


def series_of(expression: str) -> set[str]:
    """Return the names of the series an expression selects.

    Raises:
        ValueError: it is not PromQL.
    """
    return set(_names(promql_parser.parse(expression)))


def metrics_asked_for() -> set[str]:
    """Return the metrics that dashboard and alerts need, as the exposition's TYPE lines name them."""
    asked = {name for expression in questions().values() for name in series_of(expression)}
    return {family_of(name) for name in asked - OF_PROMETHEUS}


def family_of(series: str) -> str:
    """Return the metric that a series belongs to: that of a histogram for its buckets, sum and count."""
    for suffix in ("_bucket", "_sum", "_count"):
        stem = series.removesuffix(suffix)
        if stem != series and stem in BY_NAME and BY_NAME[stem].kind == "histogram":
            return stem
    return series


def _names(expression: Any) -> Iterator[str]:
    found: list[str] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector) and node.name:
            found.append(node.name)
        return True

    promql_parser.walk(expression, visit)
    yield from found
