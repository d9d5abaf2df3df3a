"""Changing what a router keeps, its worker running or not."""

from collections.abc import Callable, Iterator
from typing import Any

from gateway import wiring
from gateway.config.settings import Settings


def call(settings: Settings, router: str, op: str, **arguments: Any) -> Any:
    """Run one operation of the router to its end; return its result.

    Raises:
        DependencyError: the worker does not answer, or the state is held by another process or cannot be reached.
        GatewayError: it was refused, with the reason.
    """
    *_, (_, result) = wiring.operate(settings, router, op, arguments)
    return result


def steps(
    answers: Iterator[tuple[str, Any]], step: Callable[[Any], tuple[int, int]], finish: Callable[[Any], None]
) -> Iterator[tuple[int, int]]:
    """Turn the answers of `wiring.operate` into (done, total) for a progress bar, and hand the result to `finish`."""
    for kind, value in answers:
        if kind == "progress":
            yield step(value)
        else:
            finish(value)
