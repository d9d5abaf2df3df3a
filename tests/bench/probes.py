"""What the benchmark looks at: a yardstick, a process's memory, a metric, a disk."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import RunningGateway, free_port, until


@contextmanager
def bare_function() -> Iterator[int]:
    """Run the yardstick in a process of its own; yield its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.bare", str(port)])
    try:
        until(lambda: _listens(port), what="the bare function")
        yield port
    finally:
        process.kill()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def rss_mb(pid: int | None) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def metric(started: RunningGateway, start: str) -> float:
    """Return the sum of the samples whose name and labels start so."""
    lines = started.admin("/metrics")[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))


def fdatasync_ms(folder: str) -> float:
    """Return the median time of appending 4 KB and syncing it."""
    times = []
    with (Path(folder) / "probe").open("wb", buffering=0) as probe:
        for _ in range(200):
            began = time.perf_counter()
            probe.write(b"x" * 4096)
            os.fdatasync(probe.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


def runs(started: RunningGateway) -> float:
    return metric(started, "gateway_handler_runs_total{")


def rate_between(count: Callable[[], float], low: float, high: float) -> float:
    """Return how much `count` grew a second on its way from `low` to `high`."""
    points: list[tuple[float, float]] = []

    def reached(goal: float) -> Callable[[], bool]:
        def check() -> bool:
            points.append((time.perf_counter(), count()))
            return points[-1][1] >= goal

        return check

    until(reached(low), deadline=900, what="the first runs")
    begin = points[-1]
    until(reached(high), deadline=900, what="the last runs")
    return (points[-1][1] - begin[1]) / (points[-1][0] - begin[0])
