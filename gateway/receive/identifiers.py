"""Ids of deliveries: 26 characters, unique, and sorted within one edge process by arrival."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_SECOND, _PROCESS = 7, 9


def _base32(number: int, length: int) -> str:
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(length)))


class DeliveryIds:
    """Makes them: the second of arrival, 45 bits of this process's own, and a counter.

    A random number for each would cost a system call on the ack path.
    """

    __slots__ = ("_count", "_prefix", "_process", "_second")

    def __init__(self) -> None:
        self._process = _base32(secrets.randbits(5 * _PROCESS), _PROCESS)
        self._count = 0
        self._second = -1
        self._prefix = ""

    def next(self, received_us: int) -> str:
        """Return the id of a delivery that arrived at `received_us`, microseconds since the epoch."""
        second = received_us // 1_000_000
        if second > self._second:
            self._second = second
            self._prefix = _base32(second, _SECOND) + self._process
        self._count += 1
        return f"{self._prefix}{self._count:010x}"
