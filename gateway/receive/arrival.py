"""What the server knows of a request that ASGI does not say: when its first byte came, and how to answer in one write.

`gateway.process.server` puts one into `scope["state"]`; below any other ASGI server `AsgiArrival` stands in for it.
"""

import time
from typing import Protocol

from starlette.types import Scope

from gateway.receive.responses import Reply

STATE_KEY = "arrival"


class Arrival(Protocol):
    """One request being answered.

    Attributes:
        first_byte: when its first byte came, on `time.monotonic`'s clock, in seconds.
        received_us: the same moment in microseconds since the Unix epoch.
        more_body: whether the body is not all here yet.
    """

    first_byte: float
    received_us: int
    more_body: bool

    def answer(self, reply: Reply, delivery_id: bytes) -> bool:
        """Write the whole answer; False if this server cannot, so that the caller sends it the ASGI way."""
        ...


class AsgiArrival:
    """Below a server that is not ours: the request arrives when the application is called."""

    __slots__ = ("first_byte", "more_body", "received_us")

    def __init__(self) -> None:
        self.first_byte = time.monotonic()
        self.received_us = time.time_ns() // 1000
        self.more_body = True

    def answer(self, reply: Reply, delivery_id: bytes) -> bool:  # noqa: ARG002 - the port's signature
        """Leave it to ASGI."""
        return False


def arrival_of(scope: Scope) -> Arrival:
    """Return the server's arrival of this request, or one that begins now."""
    state = scope.get("state")
    found: Arrival | None = None if state is None else state.get(STATE_KEY)
    return AsgiArrival() if found is None else found
