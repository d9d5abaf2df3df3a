"""The admin port's answers."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from gateway.admin.app import admin_app
from gateway.admin.health import Readiness, assess, with_sources
from tests.unit.admin.test_merge import make_edge_text, make_worker_text


async def collect() -> Sequence[tuple[str, bytes | None]]:
    return [("edge", make_edge_text()), ("worker:billing", make_worker_text())]


async def never() -> None:
    await asyncio.Event().wait()


async def readiness() -> Readiness:
    return Readiness(ready=True, parts={"edge": "ok"})


async def get(path: str, *, accept: str = "*/*", **over: Any) -> httpx.Response:
    parts: dict[str, Any] = {"collect": collect, "readiness": readiness, "deadline": 5.0}
    app = admin_app(**parts | over)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin") as client:
        return await client.get(path, headers={"accept": accept})


async def test_metrics_are_prometheus_text_by_default() -> None:
    answer = await get("/metrics")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'gateway_up{process="edge"} 1.0' in answer.text
    assert "# TYPE gateway_dead_letters_total counter" in answer.text


@pytest.mark.parametrize("version", ["", ";version=1.0.0", ";version=x", ";version=1.0.0;escaping=allow-utf-8;q=0.6"])
async def test_metrics_are_openmetrics_where_that_is_accepted(version) -> None:
    answer = await get("/metrics", accept=f"application/openmetrics-text{version},text/plain;version=0.0.4;q=0.3")

    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert list(parse_openmetrics(answer.text))  # type: ignore[no-untyped-call]


async def test_a_process_that_does_not_answer_is_shown_as_down() -> None:
    async def half() -> Sequence[tuple[str, bytes | None]]:
        return [("edge", None), ("worker:billing", make_worker_text())]

    answer = await get("/metrics", collect=half)

    assert 'gateway_up{process="edge"} 0.0' in answer.text
    assert 'gateway_backlog_events{router="billing"}' in answer.text


async def test_a_scrape_that_hangs_is_answered_at_the_deadline() -> None:
    answer = await get("/metrics", collect=never, deadline=0.01)

    assert answer.status_code == 503


async def test_liveness_asks_nobody() -> None:
    answer = await get("/livez", collect=never, readiness=never, deadline=0.01)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_says_so_and_shows_its_parts_when_asked() -> None:
    plain, verbose = await get("/readyz"), await get("/readyz?verbose")

    assert (plain.status_code, plain.json()) == (200, {"status": "ready"})
    assert verbose.json() == {"status": "ready", "parts": {"edge": "ok"}}


async def test_not_ready_is_503() -> None:
    async def refusing() -> Readiness:
        return Readiness(ready=False, parts={"edge": "disk_full"})

    answer = await get("/readyz?verbose", readiness=refusing)

    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "parts": {"edge": "disk_full"}}


async def test_readiness_that_hangs_is_not_ready() -> None:
    answer = await get("/readyz", readiness=never, deadline=0.01)

    assert answer.status_code == 503


@pytest.mark.parametrize("path", ["/", "/webhooks/stripe", "/metrics/"])
async def test_there_is_nothing_else_on_the_admin_port(path) -> None:
    answer = await get(path)

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "answers, draining, ready",
    [
        pytest.param({"edge": "ok", "worker:billing": "ok"}, False, True, id="all well"),
        pytest.param({"edge": "ok", "worker:billing": None}, False, True, id="a worker down"),
        pytest.param({"edge": None, "worker:billing": "ok"}, False, False, id="the edge down"),
        pytest.param({"edge": "disk_full"}, False, False, id="the log not writable"),
        pytest.param({"edge": "spooling"}, False, True, id="the spool in the log's place"),
        pytest.param({"edge": "degraded; no topic for acme"}, False, True, id="a source without its topic"),
        pytest.param({"edge": "log_down; no topic for acme"}, False, False, id="the log down, too"),
        pytest.param({"edge": "ok"}, True, False, id="draining"),
        pytest.param({"edge:1": "ok", "edge:2": "ok"}, False, True, id="several edges"),
        pytest.param({"edge:1": None, "edge:2": "ok"}, False, True, id="one of several edges down"),
        pytest.param({"edge:1": None, "edge:2": "log_down"}, False, False, id="no edge of several well"),
        pytest.param({"edge:1": "ok", "edge:2": "ok"}, True, False, id="several edges, draining"),
        pytest.param({"edge": "ok", "indexer": None}, False, True, id="the indexer down"),
        pytest.param({"worker:billing": "ok"}, False, True, id="workers alone"),
        pytest.param({"worker:billing": "ok"}, True, False, id="workers alone, draining"),
    ],
)
def test_readiness_is_that_deliveries_may_be_sent_here(answers, draining, ready) -> None:
    assert assess(answers, draining=draining).ready is ready


@pytest.mark.parametrize(
    "state, lacking, hampered, told",
    [
        pytest.param("ok", (), (), "ok", id="none"),
        pytest.param("ok", ("acme",), (), "degraded; no topic for acme", id="a topic"),
        pytest.param("ok", (), ("acme",), "degraded; partitions down of acme", id="a partition"),
        pytest.param(
            "spooling", ("a", "b"), ("c",), "spooling; no topic for a, b; partitions down of c", id="with a spool"
        ),
        pytest.param("ok", tuple("abcdefg"), (), "degraded; no topic for a, b, c, d, e and 2 more", id="many"),
    ],
)
def test_sources_that_the_log_does_not_take_are_named(state, lacking, hampered, told) -> None:
    assert with_sources(state, lacking, hampered) == told


def test_a_part_that_does_not_answer_is_shown_as_down() -> None:
    found = assess({"edge": "ok", "worker:billing": None}, draining=True)

    assert found.parts == {"edge": "ok", "worker:billing": "down", "supervisor": "draining"}
