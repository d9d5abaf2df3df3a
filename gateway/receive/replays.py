"""Suspected replays: an old body under a new id that no signature covers (design section 6.14). Pure.

Bounded, and forgotten on restart: it raises a flag, the guarantee is the id in the log and the mark.
"""

from collections import OrderedDict


class BodyMemory:
    """The bodies one source sent of late, each with the id it first came under; the oldest is forgotten first."""

    __slots__ = ("_ids", "_limit")

    def __init__(self, limit: int) -> None:
        # A plain dict would walk past all that it forgot to find its oldest entry.
        self._ids: OrderedDict[bytes, str] = OrderedDict()
        self._limit = limit

    def came_under_another_id(self, body_sha256: bytes, event_id: str) -> bool:
        """Remember this body; return whether it came before under another id. A redelivery has the same one."""
        first = self._ids.setdefault(body_sha256, event_id)
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return first != event_id
