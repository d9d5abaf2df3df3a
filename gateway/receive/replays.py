"""Suspected replays: an old body under a new id that no signature covers (design section 6.14). Pure.

Bounded, and forgotten on restart: it raises a flag, the guarantee is the id in the log and the mark.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from gateway.core.event import Event


def digest_of(event: Event, message: Sequence[bytes]) -> bytes:
    """Return what a replay cannot change: the digest of the signed message, where none is told of the event's body.

    Not the body's where both are there: a signature over a form's fields or over the JSON in one holds for many bodies.
    An event of a batch is cut from the signed JSON as it stands there.
    """
    if not message or event.batch_index is not None or (len(message) == 1 and message[0] is event.body):
        return event.body_sha256
    digest = hashlib.sha256()
    for piece in message:
        digest.update(piece)
    return digest.digest()


class BodyMemory:
    """The bodies one source sent of late, each with the id it first came under; the oldest is forgotten first."""

    __slots__ = ("_ids", "_limit")

    def __init__(self, limit: int) -> None:
        # A plain dict would walk past all that it forgot to find its oldest entry.
        self._ids: OrderedDict[bytes, str] = OrderedDict()
        self._limit = limit

    def came_under_another_id(self, digest: bytes, event_id: str) -> bool:
        """Remember this body; return whether it came before under another id. A redelivery has the same one."""
        first = self._ids.setdefault(digest, event_id)
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return first != event_id
