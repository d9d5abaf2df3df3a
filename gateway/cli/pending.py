"""Names the handlers that have an event still before them, where the state file only knows that the router has."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.config.plugins import import_router
from gateway.config.settings import RouterSettings, Settings
from gateway.core.errors import PluginError
from gateway.core.event import Event
from gateway.keep.ports import PairStatus


def named(states: Sequence[PairStatus], event: Event, settings: Settings) -> list[PairStatus]:
    """Return `states` with each unnamed one replaced by one for each matching handler that has no state yet.

    Where the router cannot be imported here, or its conditions fail, the unnamed one stays.
    """
    configured = {router.name: router for router in settings.routers}
    return [found for status in states for found in _expanded(status, states, event, configured.get(status.router))]


def _expanded(
    status: PairStatus, states: Sequence[PairStatus], event: Event, configured: RouterSettings | None
) -> Iterator[PairStatus]:
    matching = _matching(event, configured) if not status.handler else None
    if matching is None:
        yield status
        return
    known = {other.handler for other in states if other.router == status.router}
    for name in matching:
        if name not in known:
            yield replace(status, handler=name)


def _matching(event: Event, configured: RouterSettings | None) -> list[str] | None:
    if configured is None:
        return None
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return [handler.name for handler in import_router(configured).match(event)]
    except PluginError:
        return None
    except Exception:  # noqa: BLE001 - a handler's own `where` may raise anything, and here it only names rows
        return None
