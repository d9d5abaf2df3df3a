"""`make bench`: the design's bars, measured in one run on one machine; prints a table and which bars fall short.

Figures on a busy machine mean little; the ratios, taken within one run, mean more. `BENCH_SECONDS` sets how long each
load runs (default 8), `BENCH_EVENTS` how many events stand stored for the large cases (default 1,000,000), `BENCH_ONLY`
is `embedded` or `kafka`; without a JDK, Maven and Postgres the rows of Kafka say so.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import kafka
from tests.bench.handlers import AGES, BLOCKED, NOOP, ROW
from tests.bench.load import Load, Run, push_body, wrk_is_missing
from tests.bench.prefill import prefill
from tests.bench.probes import bare_function, fdatasync_ms, metric, rate_between, rss_mb, runs
from tests.bench.table import Row, at_least, at_most, only, show
from tests.running import RunningGateway, running, until
from tests.sender import Answer, Connection, github_headers

SECONDS = int(os.environ.get("BENCH_SECONDS", "8"))
EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))


@contextmanager
def gateway(name: str, handlers: str, *, stored: int = 0, words: str = "run") -> Iterator[RunningGateway]:
    """Run a gateway with one router, on a log that holds `stored` events."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder:
        if stored:
            prefill(Path(folder) / "var", stored)
        with running(Path(folder), handlers={"ledger_handlers": handlers}, words=words) as started:
            yield started


def edge_rows(load: Load, folder: str) -> list[Row]:
    """Rates and latencies of the edge beside the bare function's, interleaved."""
    rows = []
    with bare_function() as bare, gateway("edge", NOOP, words="serve") as started:
        load.closed(started.port, connections=16, seconds=2)
        theirs, ours = [], []
        for _ in range(3):
            theirs.append(load.closed(bare, connections=64, seconds=SECONDS))
            ours.append(load.closed(started.port, connections=64, seconds=SECONDS))
        bare_rate, rate = (statistics.median(run.rate for run in runs) for runs in (theirs, ours))
        one = load.closed(started.port, connections=1, seconds=SECONDS)
        steady = load.open(started.port, rate=rate / 3, seconds=SECONDS)
        steady_bare = load.open(bare, rate=rate / 3, seconds=SECONDS)
        rows += [
            only("bare function, 64 connections", bare_rate, "req/s"),
            only("accepted, 64 connections", rate, "events/s"),
            only("  p99 of it", statistics.median(run.p99 for run in ours), "ms"),
            at_least("accepted against the bare function (aim 0.5)", rate / bare_rate, 0.27),
            at_most("ack p50 at one connection", one.p50, 1 + fdatasync_ms(folder), "ms"),
            at_most("ack p50 at a third of the peak, open loop", steady.p50, 2, "ms"),
            at_most("ack p99 at a third of the peak, open loop", steady.p99, 10, "ms"),
            only("  the bare function's p99 there", steady_bare.p99, "ms"),
            _nothing_missing(started, [*ours, one, steady]),
        ]
    return rows


def _nothing_missing(started: RunningGateway, runs: list[Run]) -> Row:
    """Compare what was acknowledged with what the log holds (a load's last answers may be cut off)."""
    acknowledged = sum(run.requests - run.errors for run in runs)
    stored = len(started.stored_ids())
    return Row(
        "acknowledged events missing from the log", f"{max(0, acknowledged - stored)}", "<= 0", acknowledged <= stored
    )


def memory_rows(load: Load) -> list[Row]:
    with gateway("memory", NOOP, words="serve") as started:
        rest = rss_mb(started.pid("edge"))
    with gateway("ids", NOOP, stored=EVENTS, words="serve") as started:
        load.closed(started.port, connections=64, seconds=SECONDS)
        full = rss_mb(started.pid("edge"))
    return [
        at_most("edge memory at rest", rest, 80, "MB"),
        at_most(f"more with {EVENTS:,} remembered ids, under load", full - rest, 100, "MB"),
    ]


def growth_rows(load: Load) -> list[Row]:
    """Take turns between a small log and a large one, so that both meet the same noise."""
    with (
        gateway("few", NOOP, stored=1000, words="serve") as few,
        gateway("many", NOOP, stored=EVENTS, words="serve") as many,
    ):
        rates: dict[int, list[float]] = {few.port: [], many.port: []}
        for _ in range(4):
            for port, taken in rates.items():
                taken.append(load.closed(port, connections=64, seconds=SECONDS // 2).rate)
    small, large = (statistics.median(taken[1:]) for taken in rates.values())
    return [at_least(f"accept rate with {EVENTS:,} stored against 1,000", large / small, 0.9)]


def worker_rows() -> list[Row]:
    noop, row = (_runs_per_second(handlers, stored=60_000) for handlers in (NOOP, ROW))
    early, late = _runs_early_and_late()
    return [
        at_least("handler runs, no-op handler, one worker", noop, 10_000, "runs/s"),
        at_least("handler runs, mark and one row, one worker", row, 3_000, "runs/s"),
        at_least(f"handler rate near the end of {EVENTS:,} stored, against the start", late / early, 0.9),
    ]


def _runs_per_second(handlers: str, *, stored: int) -> float:
    with gateway("worker", handlers, stored=stored) as started:
        return rate_between(lambda: runs(started), stored * 0.1, stored * 0.9)


def _runs_early_and_late() -> tuple[float, float]:
    with gateway("late", NOOP, stored=EVENTS) as started:
        tenth = EVENTS / 10
        early = rate_between(lambda: runs(started), 0.5 * tenth, 1.5 * tenth)
        return early, rate_between(lambda: runs(started), 8.5 * tenth, 9.5 * tenth)


def latency_row(load: Load) -> Row:
    with gateway("age", AGES) as started:
        load.open(started.port, rate=100, seconds=SECONDS)
        ages = sorted(float(line) * 1e3 for line in (started.folder / "ages").read_text().split())
        return at_most("received to handled, idle machine, p99", ages[int(len(ages) * 0.99)], 50, "ms")


def backlog_row() -> Row:
    sizes = []
    for stored in (5_000, EVENTS):
        with gateway("backlog", BLOCKED, stored=stored) as started:
            until(lambda: metric(started, 'gateway_backlog_events{router="ledger"}') >= stored, what="the backlog")  # noqa: B023
            time.sleep(3)  # a steady size is what is measured
            sizes.append(rss_mb(started.pid("worker:ledger")))
    return at_most(
        f"stopped router: worker memory at {EVENTS:,} backlog, more than at 5,000", sizes[1] - sizes[0], 10, "MB"
    )


def restart_row() -> Row:
    """Kill the edge, and time a delivery that begins at once: it waits in the supervisor's listening socket."""
    with gateway("restart", NOOP, stored=EVENTS, words="serve") as started:
        body = push_body(0)
        started.kill("edge")
        began = time.perf_counter()
        answer = asyncio.run(_post(started.port, body, "after-the-kill"))
        if not answer.acknowledged:
            raise RuntimeError(f"answered {answer.status} after a restart")
        return at_most(f"first ack after kill -9 with {EVENTS:,} stored", time.perf_counter() - began, 3, "s")


async def _post(port: int, body: bytes, delivery: str) -> Answer:
    for _ in range(100):
        connection = Connection(port)
        answer = await connection.post("/webhooks/github", body, github_headers(body, delivery))
        connection.close()
        if answer.status:
            break
    return answer


def main() -> int:
    if wrk_is_missing():
        sys.stderr.write("make bench needs wrk; on Debian and Ubuntu: apt install wrk\n")
        return 3
    with tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        load = Load(Path(folder))
        embedded: list[Callable[[], list[Row]]] = [
            lambda: edge_rows(load, folder),
            lambda: memory_rows(load),
            lambda: growth_rows(load),
            worker_rows,
            lambda: [latency_row(load), backlog_row(), restart_row()],
        ]
        on_kafka = [lambda: kafka.rows(load, folder, SECONDS)]
        steps = {"embedded": embedded, "kafka": on_kafka}.get(os.environ.get("BENCH_ONLY", ""), embedded + on_kafka)
        rows: list[Row] = []
        for step in steps:
            rows += step()
            sys.stderr.write(f"{len(rows)} figures taken\n")
    show(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
