"""A gateway with traffic of every outcome: the scrape holds all that the dashboard asks for, and it counts right."""

import json
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from tests import dashboard
from tests.acceptance.senders import CONFIG, post, slack_headers, write_secrets
from tests.running import RunningGateway, running, until
from tests.sender import github_headers, stripe_body, stripe_headers

HANDLERS = """
from gateway import Backoff, Context, Event, GiveUp, Retry, Router

router = Router("ledger", schema="create table if not exists effect (id text)")


@router.on("invoice.*", name="record")
async def record(event: Event, ctx: Context) -> None:
    await ctx.tx.execute("insert into effect (id) values (:id)", {"id": event.id})


@router.on("hopeless", name="give-up")
async def give_up(event: Event, ctx: Context) -> None:
    raise GiveUp("there is no such customer")


@router.on("again", name="come-back")
async def come_back(event: Event, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise Retry(after=0)


@router.on("later", name="wait")
async def wait(event: Event, ctx: Context) -> None:
    raise Retry(after=3600)
"""

OPENMETRICS = "application/openmetrics-text; version=1.0.0"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Watched:
    """A gateway after its traffic, and the (source, outcome, reason) that each delivery must be counted under."""

    gateway: RunningGateway
    sent: Counter[tuple[str, str, str]]

    def scrape(self, accept: str = "text/plain") -> str:
        url = f"http://127.0.0.1:{self.gateway.admin_port}/metrics"
        request = urllib.request.Request(url, headers={"accept": accept})
        with urllib.request.urlopen(request, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def nonzero(self, metric: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the samples of one metric that are not 0, by the values of `labels`."""
        samples = (sample for family in parse_plain(self.scrape()) for sample in family.samples)
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for sample in samples
            if sample.name == metric and sample.value
        }


class Traffic:
    """Sends, and notes what each delivery must count as."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent: Counter[tuple[str, str, str]] = Counter()

    def post(
        self, source: str, body: bytes, headers: dict[str, str], outcome: str, reason: str = "", **over: str
    ) -> None:
        status = post(self._port, f"/webhooks/{source}", body, headers, **over).status
        assert (status == 200) == (outcome != "refused")
        self.sent[source, outcome, reason] += 1

    def stripe(self, event_id: str, kind: str, outcome: str = "accepted") -> None:
        body = stripe_body(event_id, kind=kind)
        self.post("stripe", body, stripe_headers(body), outcome)


def every_outcome(traffic: Traffic) -> None:
    for number in range(5):
        traffic.stripe(f"evt_{number}", "invoice.paid")
    traffic.stripe("evt_0", "invoice.paid", "duplicate")
    traffic.stripe("evt_0", "invoice.paid", "duplicate")
    for kind in ("hopeless", "again", "later"):
        traffic.stripe(f"evt_{kind}", kind)
    body = stripe_body("evt_forged")
    traffic.post("stripe", body, {}, "refused", "signature_missing")
    traffic.post("stripe", body, stripe_headers(body, secret="wrong"), "refused", "signature_mismatch")
    traffic.post("stripe", body, stripe_headers(body, at=1.0), "refused", "timestamp_stale")
    traffic.post("stripe", body, stripe_headers(body, at=4e9), "refused", "timestamp_future")
    traffic.post("stripe", b"", {}, "refused", "method", method="DELETE")
    traffic.post("github", b"{}", github_headers(b"{}", "delivery-1"), "accepted")
    traffic.post("github", b"{}", github_headers(b"{}", "delivery-1"), "duplicate")
    challenge = json.dumps({"type": "url_verification", "challenge": "c"})
    traffic.post("slack", challenge.encode(), slack_headers(challenge), "handshake")
    traffic.post("nobody", b"{}", {}, "refused", "unknown_source")
    traffic.sent["unknown", "refused", "unknown_source"] = traffic.sent.pop(("nobody", "refused", "unknown_source"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    folder = write_secrets(tmp_path_factory.mktemp("watched"))
    with running(folder, config=CONFIG, handlers={"ledger_handlers": HANDLERS}) as gateway:
        traffic = Traffic(gateway.port)
        every_outcome(traffic)
        yield Watched(gateway, traffic.sent)


def test_every_metric_that_dashboard_and_alerts_ask_for_is_in_the_scrape(watched: Watched):
    declared = set(re.findall(r"^# TYPE (\S+) ", watched.scrape(), re.MULTILINE))

    assert dashboard.metrics_asked_for() - declared == dashboard.OF_THE_INDEXER


@pytest.mark.parametrize(
    "accept,parse",
    [
        pytest.param("text/plain", parse_plain, id="plain"),
        pytest.param(OPENMETRICS, parse_openmetrics, id="openmetrics"),
    ],
)
def test_every_series_that_they_select_is_in_the_scrape_of_either_format(
    watched: Watched, accept, parse: Callable[[str], Any]
):
    asked = {name for expression in dashboard.questions().values() for name in dashboard.series_of(expression)}

    there = {sample.name for family in parse(watched.scrape(accept)) for sample in family.samples}

    assert len(asked) > 20
    assert asked - there == dashboard.OF_PROMETHEUS | dashboard.OF_THE_INDEXER


def test_each_delivery_is_counted_once_under_what_became_of_it(watched: Watched):
    counted = watched.nonzero("gateway_deliveries_total", "source", "outcome", "reason")

    assert counted == watched.sent
    assert sum(counted.values()) == sum(watched.sent.values())


def test_only_what_is_verified_counts_for_its_secret_and_its_acknowledgement(watched: Watched):
    matched = watched.nonzero("gateway_secret_matched_total", "source")
    acknowledged = watched.nonzero("gateway_ack_duration_seconds_count", "source")

    verified = Counter(source for source, outcome, _ in watched.sent.elements() if outcome != "refused")
    assert matched == {(source,): count for source, count in verified.items()}
    assert acknowledged == matched


def test_the_runs_of_the_handlers_are_counted_by_outcome(watched: Watched):
    expected = {
        ("record", "done"): 5,
        ("give-up", "dead"): 1,
        ("come-back", "retry"): 1,
        ("come-back", "done"): 1,
        ("wait", "retry"): 1,
    }

    until(
        lambda: watched.nonzero("gateway_handler_runs_total", "handler", "outcome") == expected,
        what="every run in the scrape",
    )
    assert watched.nonzero("gateway_dead_letters_total", "handler", "reason") == {("give-up", "gave_up"): 1}
    assert watched.nonzero("gateway_dead_letters", "router") == {("ledger",): 1}
    assert watched.nonzero("gateway_retries_parked", "router") == {("ledger",): 1}
    until(lambda: watched.nonzero("gateway_backlog_events", "router") == {}, what="an empty backlog")


def test_the_log_holds_what_was_accepted(watched: Watched):
    accepted = sum(count for (_, outcome, _), count in watched.sent.items() if outcome == "accepted")

    until(lambda: watched.nonzero("gateway_log_events") == {(): accepted}, what="the log's own count")


def test_the_edge_tells_of_refusals_without_a_body_a_signature_or_a_secret(watched: Watched):
    def told() -> list[dict[str, str]]:
        text = watched.gateway.output.read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "delivery.refused"]

    lines = until(told, what="a line about refusals")

    assert {line["level"] for line in lines} == {"info"}
    assert not re.search(r"amount_paid|v1=|whsec|github secret|Traceback", watched.gateway.output.read_text())
