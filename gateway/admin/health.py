"""Readiness: may this gateway be sent deliveries? Pure.

A router in trouble never takes the edge out of service: its events are kept and wait. So a worker that is down is
shown, and told by metrics, but fails nothing. Of several edges one that is well is enough: it accepts what waits for
the others, and taking it out of service as well would turn a small loss of capacity into an outage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OK = "ok"
SPOOLING = "spooling"
DEGRADED = "degraded"
DOWN = "down"
EDGE = "edge"
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether deliveries may be sent here, and the state of each part by name: `ok`, or what is wrong with it."""

    ready: bool
    parts: Mapping[str, str]


def assess(answers: Mapping[str, str | None], *, draining: bool) -> Readiness:
    """Return the readiness of one gateway.

    Args:
        answers: what each process said of its health, by its name (`edge`, `edge:<number>`, `worker:<router>`,
            `indexer`): `ok`, or what is wrong (an edge says `ok` only while its log takes appends, `spooling` while its
            spool does instead, `degraded` while it takes those of some sources); None for one that did not answer in
            time.
        draining: whether the gateway is being stopped.
    """
    parts = {name: DOWN if answer is None else answer for name, answer in answers.items()}
    if draining:
        parts["supervisor"] = "draining"
    edges = [answer.partition(";")[0] for name, answer in parts.items() if name.partition(":")[0] == EDGE]
    serving = not edges or not {OK, SPOOLING, DEGRADED}.isdisjoint(edges)
    return Readiness(ready=not draining and serving, parts=parts)


def with_sources(state: str, lacking: Sequence[str], hampered: Sequence[str]) -> str:
    """Return an edge's state with the sources whose events its log has no topic for, or not all partitions.

    Such an edge is `degraded` and stays in service: what it refuses or spools for these, it takes for all others.
    """
    if not lacking and not hampered:
        return state
    told = [DEGRADED if state == OK else state]
    told += [f"no topic for {_named(lacking)}"] * bool(lacking)
    told += [f"partitions down of {_named(hampered)}"] * bool(hampered)
    return "; ".join(told)


def _named(sources: Sequence[str]) -> str:
    more = len(sources) - _NAMED
    return ", ".join(sources[:_NAMED]) + (f" and {more} more" if more > 0 else "")
