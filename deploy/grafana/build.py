#!/usr/bin/env python3
"""Writes `dashboards/gateway.json` from the rows; the JSON is never edited by hand.

python -m deploy.grafana.build
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.grafana.panels import HERE, Panel
from deploy.grafana.rows import ROWS

FILE = Path(__file__).parent / "dashboards" / "gateway.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS = 24
_HEIGHT = {"stat": 4, "timeseries": 8, "table": 8}


def dashboard() -> dict[str, Any]:
    """Return the dashboard in Grafana's classic JSON model."""
    return {
        "uid": "webhook-gateway",
        "title": "Webhook gateway",
        "description": "From the sender's request to the handlers' outcome.",
        "tags": ["webhooks", "gateway"],
        "schemaVersion": 42,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": list(_variables())},
        "panels": list(_panels()),
    }


def text() -> str:
    """Return the file's exact content."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1}
    yield _labels("job", "Job", "gateway_build_info")
    yield _labels("instance", "Instance", 'gateway_build_info{job=~"$job"}')
    yield _labels("source", "Source", f"gateway_deliveries_total{{{HERE}}}")
    yield _labels("router", "Router", f"gateway_backlog_events{{{HERE}}}")


def _labels(name: str, label: str, series: str) -> dict[str, Any]:
    query = f"label_values({series}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels() -> Iterator[dict[str, Any]]:
    y, number = 0, 0
    for row in ROWS:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
        }
        y, x, height = y + 1, 0, 0
        for panel in row.panels:
            if x + panel.width > _COLUMNS:
                y, x = y + height, 0
            number, height = number + 1, _HEIGHT[panel.kind]
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": height})
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query.promql,
                "legendFormat": query.legend,
                "instant": panel.kind == "table",
                "range": panel.kind != "table",
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for index, query in enumerate(panel.queries)
        ],
    } | ({"transformations": [{"id": "merge", "options": {}}]} if panel.kind == "table" else {})


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": "-"}
    if panel.kind == "stat":
        defaults["thresholds"] = {"mode": "absolute", "steps": _steps(panel)}
    if panel.kind == "timeseries":
        # The signature's age is negative where the sender's clock is ahead; all else starts at nothing.
        if "Signature age" not in panel.title:
            defaults["min"] = 0
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stack else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stack else "none", "group": "A"},
        }
    return defaults


def _steps(panel: Panel) -> list[dict[str, Any]]:
    first, second = ("red", "green") if panel.alarm_below else ("green", "red")
    steps: list[dict[str, Any]] = [{"color": first, "value": None}]
    if panel.alarm is None:
        return [{"color": "blue", "value": None}]
    return [*steps, {"color": second, "value": panel.alarm}]


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": calculated, "colorMode": "value", "graphMode": "area", "textMode": "value"}
    if panel.kind == "table":
        return {"showHeader": True}
    legend = {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]}
    return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}


def write() -> None:
    """Write the dashboard."""
    FILE.write_text(text())


if __name__ == "__main__":
    write()
