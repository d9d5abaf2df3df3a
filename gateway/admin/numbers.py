"""The cells that count. Plain integers and lists, because one event loop writes them and a scrape only reads.

prometheus_client's own children take a lock a call; here a count is one list or dictionary write.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

OTHER = "other"


class Histogram:
    """Counts of observations by upper bound, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value` in the first bucket whose bound is not below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Add this child; with negative buckets the family leaves sum and count out, as the format asks."""
        bounds = [*map(floatToGoString, self.bounds), "+Inf"]
        family.add_metric(labels, list(zip(bounds, accumulate(self.counts), strict=True)), self.total)


class Counts:
    """Counts by a closed set of keys, all there from the start.

    A key outside the set is a mistake of ours; it is counted under `other`, never under its own name and never raised.
    """

    __slots__ = ("_cells", "_other")

    def __init__(self, keys: Iterable[tuple[str, ...]], other: tuple[str, ...]) -> None:
        self._cells = dict.fromkeys(keys, 0)
        self._other = other

    def add(self, key: tuple[str, ...], count: int = 1) -> None:
        """Count `key`."""
        if key in self._cells:
            self._cells[key] += count
        else:
            self._cells[self._other] = self._cells.get(self._other, 0) + count

    def add_to(self, family: CounterMetricFamily, before: Sequence[str] = ()) -> None:
        """Add every child, its labels those of `before` and then its key."""
        for key, count in self._cells.items():
            family.add_metric([*before, *key], count)
