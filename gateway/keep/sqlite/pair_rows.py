"""A pair as a row of `gateway_parked` and `gateway_dead`."""

from typing import Any

from gateway.keep.pairs import dead_tests
from gateway.keep.ports import DeadFilter, Pair


def lane(pair: Pair) -> tuple[str, str]:
    """Return the (handler, key) whose order the pair stands in."""
    return pair.handler, storable(pair.event.key)


def dead_where(where: DeadFilter) -> tuple[str, tuple[Any, ...]]:
    """Return the condition on `gateway_dead` and its parameters; ids stand in it, being numbers."""
    tests = dead_tests(where, storable)
    conditions = [f"{test} ?" for test, _ in tests]
    if where.ids:
        conditions.append(f"id in ({', '.join(str(int(number)) for number in where.ids)})")
    return " and ".join(conditions) or "true", tuple(value for _, value in tests)


def storable(text: str) -> str:
    """Return `text` without what UTF-8 cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
