#!/usr/bin/env python3
"""Writes the generated pages from the tables they describe; a test compares the committed files.

python -m docs.build
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.admin.metrics import METRICS, Metric, Scope
from gateway.cli import provider_facts
from gateway.cli import reference as commands
from gateway.config import reference as configuration
from gateway.providers import PROVIDERS
from gateway.receive.responses import Answer, answers

FOLDER = Path(__file__).parent

_SCOPES: Mapping[Scope, str] = {
    "edge": "Edge",
    "worker": "Workers",
    "indexer": "Indexer (on Kafka)",
    "all": "Every process",
    "admin": "The admin port itself",
}

_METRICS_HEAD = """\
# Metrics

Generated from `gateway/admin/metrics.py` by `make docs`.

The admin port's `/metrics` shows all processes of the one command that opened it, in Prometheus text 0.0.4 or, where
the scraper accepts it, OpenMetrics 1.0.0. Names and labels are stable. Every label takes its values from a closed set
(configured names, and words of the code), never from a request, and every child is there from the start, at 0.
What several processes of one command say alike is joined: counters and histograms add up, and so do gauges but where
the meaning says otherwise; `process` keeps apart what is each one's own. On Kafka what only the embedded log knows is
absent.

`gateway_signature_age_seconds` has buckets below 0 and therefore, as the format asks, neither sum nor count: take the
bucket `+Inf`. OpenMetrics shows `gateway_dead_letters_total` without a type, because there its family would have the
name of the gauge beside it.
"""


def pages() -> dict[Path, str]:
    """Return each generated file's exact content."""
    return {
        FOLDER / "metrics.md": metrics_page(METRICS),
        FOLDER / "answers.md": answers_page(answers()),
        FOLDER / "openapi.json": json.dumps(openapi(answers()), indent=2) + "\n",
        FOLDER / "configuration.md": configuration.page(),
        FOLDER / "commands.md": commands.page(),
        FOLDER / "providers" / "README.md": provider_facts.table(list(PROVIDERS.values())),
    } | {FOLDER / "providers" / f"{provider.name}.md": provider_facts.page(provider) for provider in PROVIDERS.values()}


def metrics_page(metrics: Sequence[Metric]) -> str:
    """Return the reference of metrics."""
    text = _METRICS_HEAD
    for scope, title in _SCOPES.items():
        rows = [_metric_row(metric) for metric in metrics if metric.scope == scope]
        text += f"\n## {title}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n" + "".join(rows)
    histograms = [metric for metric in metrics if metric.buckets]
    text += "\n## Buckets\n\n| histogram | upper bounds |\n|---|---|\n"
    return text + "".join(
        f"| `{each.name}` | {' '.join(f'{bound:g}' for bound in each.buckets)} |\n" for each in histograms
    )


def _metric_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |\n"


def answers_page(table: Sequence[Answer]) -> str:
    """Return every answer of the endpoint, each with a request that gets it."""
    text = (
        "# Answers of the endpoint\n\n"
        "Generated from `gateway/receive/responses.py` by `make docs`. The same as OpenAPI 3.1:\n"
        "[openapi.json](openapi.json).\n\n"
        "| status | answer | when |\n|---|---|---|\n"
    )
    text += "".join(f"| {each.status} | [{each.name}](#{each.name}) | {each.when} |\n" for each in table)
    return text + "".join(map(_answer_section, table))


def _answer_section(answer: Answer) -> str:
    headers = "".join(f"{name}: {value}\n" for name, value in answer.headers.items())
    return (
        f"\n## {answer.name}\n\n{answer.when}\n\nRequest:\n\n```http\n{answer.request.strip()}\n```\n\n"
        f"Answer:\n\n```http\nHTTP/1.1 {answer.status}\n{headers}\n{answer.body.decode()}\n```\n"
    )


def openapi(table: Sequence[Answer]) -> dict[str, Any]:
    """Return the endpoint as OpenAPI 3.1."""
    by_status: dict[int, list[Answer]] = {}
    for answer in table:
        by_status.setdefault(answer.status, []).append(answer)
    source = {"name": "source", "in": "path", "required": True, "schema": {"type": "string"}}
    operation = {
        "summary": "Give the gateway one delivery",
        "description": "Signed as the source's provider prescribes. Some providers use GET or PUT instead.",
        "operationId": "deliver",
        "security": [],
        "parameters": [source | {"description": "The configured source's name."}],
        "requestBody": {"required": False, "content": {"*/*": {}}, "description": "Any bytes; kept as they are."},
        "responses": {str(status): _response(group) for status, group in by_status.items()},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Webhook gateway",
            "version": "1",
            "description": "The public endpoint for providers' deliveries.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {"/webhooks/{source}": {"post": operation}},
    }


def _response(group: Sequence[Answer]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for answer in group:
        kind = answer.headers.get("content-type")
        if kind is None:
            continue
        value = json.loads(answer.body) if kind == "application/json" else answer.body.decode()
        content.setdefault(kind, {"examples": {}})["examples"][answer.name] = {"summary": answer.when, "value": value}
    headers = {name for answer in group for name in answer.headers} - {"content-type", "content-length", "connection"}
    return {
        "description": " / ".join(answer.when for answer in group),
        "headers": {name: {"schema": {"type": "string"}} for name in sorted(headers)},
        "content": content,
    }


def write() -> None:
    """Write every generated file."""
    for path, content in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


if __name__ == "__main__":
    write()
