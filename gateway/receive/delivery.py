"""One delivery while it is being answered: what is known of it so far."""

from collections.abc import Sequence

from starlette.types import Scope

from gateway.receive.arrival import Arrival
from gateway.receive.entrance import Entrance

_NONE_REPEATED: frozenset[bytes] = frozenset()


class Delivery:
    """What is known so far of the delivery being answered. `read_headers` fills `headers` and `repeated`."""

    __slots__ = ("arrival", "entrance", "headers", "id", "repeated", "scope", "size")

    def __init__(self, scope: Scope, arrival: Arrival, delivery_id: str) -> None:
        self.scope = scope
        self.arrival = arrival
        self.id = delivery_id
        self.entrance: Entrance | None = None
        self.headers: dict[bytes, bytes] = {}
        self.repeated = _NONE_REPEATED
        self.size = 0

    def read_headers(self) -> None:
        """Read the request's headers."""
        pairs: list[tuple[bytes, bytes]] = self.scope["headers"]
        self.headers = dict(pairs)
        if len(self.headers) != len(pairs):
            self.headers, self.repeated = joined(pairs)


def joined(pairs: Sequence[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    """Join repeated headers (RFC 9110, section 5.3) and name them, so that admission can refuse some."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    repeated = frozenset(name for name, several in values.items() if len(several) > 1)
    return {name: b", ".join(several) for name, several in values.items()}, repeated
