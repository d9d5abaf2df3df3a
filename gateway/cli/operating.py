"""Changing what a router keeps: through its running worker, or with none running by taking its file's lock."""

from collections.abc import Callable, Iterator
from typing import Any

from gateway import wiring
from gateway.config.settings import Settings
from gateway.process.control import ControlClient
from gateway.process.runtime import control_path

_PING_DEADLINE = 3.0
# A slow replay says nothing between two events; a worker that dies closes the connection at once.
_LONGEST_SILENCE = 600.0


def is_running(settings: Settings, router: str) -> bool:
    """Return whether the router's worker answers."""
    return ControlClient(control_path(settings.log.path, f"worker:{router}"), deadline=_PING_DEADLINE).answers()


def call(settings: Settings, router: str, op: str, **arguments: Any) -> Any:
    """Run one operation of the router to its end; return its result.

    Raises:
        DependencyError: the worker does not answer, or the file is held by another process.
        GatewayError: it was refused, with the reason.
    """
    *_, (_, result) = follow(settings, router, op, **arguments)
    return result


def follow(settings: Settings, router: str, op: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
    """Run one operation, and yield ("progress", value) as it comes and ("result", value) last; raises as `call`."""
    if is_running(settings, router):
        worker = ControlClient(control_path(settings.log.path, f"worker:{router}"), deadline=_LONGEST_SILENCE)
        yield from worker.follow(op, **arguments)
    else:
        yield from wiring.operate_offline(settings, router, op, arguments)


def steps(
    answers: Iterator[tuple[str, Any]], step: Callable[[Any], tuple[int, int]], finish: Callable[[Any], None]
) -> Iterator[tuple[int, int]]:
    """Turn the answers of `follow` into (done, total) for a progress bar, and hand the result to `finish`."""
    for kind, value in answers:
        if kind == "progress":
            yield step(value)
        else:
            finish(value)
