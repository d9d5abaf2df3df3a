"""Readiness: may this gateway be sent deliveries? Pure.

A router in trouble never takes the edge out of service: its events are kept and wait. So a worker that is down is
shown, and told by metrics, but fails nothing. Of several edges one that is well is enough: it accepts what waits for
the others, and taking it out of service as well would turn a small loss of capacity into an outage.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OK = "ok"
SPOOLING = "spooling"
DOWN = "down"
EDGE = "edge"


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
            spool does instead); None for one that did not answer in time.
        draining: whether the gateway is being stopped.
    """
    parts = {name: DOWN if answer is None else answer for name, answer in answers.items()}
    if draining:
        parts["supervisor"] = "draining"
    edges = [answer for name, answer in parts.items() if name.partition(":")[0] == EDGE]
    serving = not edges or OK in edges or SPOOLING in edges
    return Readiness(ready=not draining and serving, parts=parts)
