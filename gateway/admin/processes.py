"""What every process of the gateway tells of itself: its build, its configuration, its memory and CPU."""

import platform
from collections.abc import Iterator

from prometheus_client.core import Metric as Family
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from gateway.admin.metrics import BY_NAME, named


class ProcessMetrics(Collector):
    """The numbers of this process.

    Args:
        process: such as `supervisor`, `edge` or `worker:<router>`; keeps the processes of one gateway apart.
        version: the gateway's version.
    """

    def __init__(self, process: str, version: str) -> None:
        self._process = process
        self._version = version
        self._system = ProcessCollector(registry=None)
        self.config_ok = True

    def collect(self) -> Iterator[Family]:
        """Yield build, configuration, and what the system counts of this process (nothing outside Linux)."""
        build = named("build_info").gauge()
        build.add_metric([self._version, platform.python_version()], 1)
        config = named("config_last_reload_successful").gauge()
        config.add_metric([], int(self.config_ok))
        yield from (build, config)
        for family in self._system.collect():
            yield from self._labelled(family)

    def _labelled(self, family: Family) -> Iterator[Family]:
        metric = BY_NAME.get(family.name) or BY_NAME.get(f"{family.name}_total")
        if metric is None:
            return
        ours = metric.counter() if metric.kind == "counter" else metric.gauge()
        for sample in family.samples:
            ours.add_metric([self._process], sample.value)
        yield ours
