# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""What a panel is, and the two questions that most panels ask of Prometheus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HERE = 'job=~"$job",instance=~"$instance"'
SOURCE = f'{HERE},source=~"$source"'
ROUTER = f'{HERE},router=~"$router"'
UNAVAILABLE = (
    "overloaded|deadline|log_down|disk_full|draining"
    "|key_unavailable|secret_unavailable|addresses_unknown|pairing_failed|internal"
)


@dataclass(frozen=True, slots=True)
class Query:
    """One question; `legend` names its series. A table shows only the newest value."""

    promql: str
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel: `unit` is Grafana's name for a unit, `width` of 24. `alarm` is where a stat turns red."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: Literal["stat", "timeseries", "table"] = "timeseries"
    width: int = 8
    alarm: float | None = None
    alarm_below: bool = False
    stack: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A titled row of panels."""

    title: str
    panels: Sequence[Panel]


def rate(metric: str, labels: str, by: str = "") -> str:
    """Return a per-second rate, added up over all labels but those of `by`."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    """Return a quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', labels, f'{by}, le' if by else 'le')})"


def stat(title: str, description: str, unit: str, promql: str, **alarm: float) -> Panel:
    """Return a single figure, red `above` or `below` a threshold if one is given."""
    below = "below" in alarm
    threshold = alarm.get("below", alarm.get("above"))
    return Panel(
        title=title,
        description=description,
        unit=unit,
        queries=[Query(promql, title)],
        kind="stat",
        width=3,
        alarm=threshold,
        alarm_below=below,
    )
