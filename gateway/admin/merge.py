"""One exposition out of those of several processes. Pure.

A family is named and described once. Samples with equal labels are added up, or, for a gauge, joined by the rule that
the list of metrics declares for it. What a process says that is not in the list is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from prometheus_client.core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.metrics import BY_NAME, METRICS, Merge, Metric, named

Labels = tuple[tuple[str, str], ...]
Series = dict[tuple[str, Labels], float]

_RULES: Mapping[Merge, Callable[[float, float], float]] = {"sum": lambda a, b: a + b, "max": max, "min": min}


class Exposition:
    """Merged families, in the list's order; prometheus_client renders it as it does a registry."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Family]:
        """Yield each family once."""
        yield from self._families

    def for_openmetrics(self) -> "Exposition":
        """Return the same for OpenMetrics, which names a counter's family without `_total`.

        There `gateway_dead_letters` and `gateway_dead_letters_total` would be one family twice, which scrapers refuse;
        the counter keeps its name and gives up its type.
        """
        gauges = {family.name for family in self._families if family.type == "gauge"}
        return Exposition([_untyped(family) if _clashes(family, gauges) else family for family in self._families])


def merge(texts: Sequence[tuple[str, bytes | None]]) -> Exposition:
    """Merge each process's text, format 0.0.4; None stands for a process that did not answer.

    A text that cannot be read counts as no answer: `gateway_up` is 0 for it, and the others are shown.
    """
    merged: dict[str, Series] = {metric.name: {} for metric in METRICS}
    up = named("up")
    for process, text in texts:
        families = _parsed(text)
        merged[up.name][up.name, (("process", process),)] = 0.0 if families is None else 1.0
        for family in families or ():
            _add(family, merged)
    return Exposition([_family(metric, merged[metric.name]) for metric in METRICS if merged[metric.name]])


def _parsed(text: bytes | None) -> list[Family] | None:
    if text is None:
        return None
    try:
        return list(text_string_to_metric_families(text.decode()))
    except (ValueError, IndexError):  # the parser indexes into lines it has not measured
        return None


def _add(family: Family, merged: dict[str, Series]) -> None:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    metric = BY_NAME.get(name)
    if metric is None or metric.kind != family.type or metric.name == "gateway_up":
        return
    join = _RULES[metric.merge if metric.kind == "gauge" else "sum"]
    series = merged[name]
    for sample in family.samples:
        key = (sample.name, tuple(sample.labels.items()))
        series[key] = join(series[key], sample.value) if key in series else sample.value


def _family(metric: Metric, series: Series) -> Family:
    family = Family(
        metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name, metric.meaning, metric.kind
    )
    for (name, labels), value in series.items():
        family.add_sample(name, dict(labels), value)
    return family


def _clashes(family: Family, gauges: AbstractSet[str]) -> bool:
    return family.type == "counter" and family.name in gauges


def _untyped(counter: Family) -> Family:
    family = Family(f"{counter.name}_total", counter.documentation, "unknown")
    family.samples = counter.samples
    return family
