"""Pairs as rows of `gateway.parked` and `gateway.dead`: columns with their types, conditions, texts."""

from collections.abc import Sequence
from typing import Any

from gateway.keep.pairs import PAIR_COLUMNS, dead_tests
from gateway.keep.ports import DeadFilter, Pair
from gateway.keep.postgres.counts import Lane

_PAIR_TYPES = "text bytea text text bigint bigint integer text boolean bigint text bytea bytea"
PARKED_COLUMNS = f"{PAIR_COLUMNS}, due_us, at_us"
PARKED_TYPES = f"{_PAIR_TYPES} bigint bigint"
DEAD_ROW_COLUMNS = f"{PAIR_COLUMNS}, source, event_id, type, reason, trace, died_us"
DEAD_ROW_TYPES = f"{_PAIR_TYPES} text text text text text bigint"
_UNHOLDABLE = "\ufffd"


def lane(pair: Pair) -> Lane:
    """Return the lane whose order the pair stands in."""
    return Lane(pair.position.partition, pair.handler, storable(pair.event.key))


def storable(text: str) -> str:
    """Return `text` without what Postgres cannot hold: NUL, and half surrogate pairs."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", _UNHOLDABLE) if "\0" in text else text


def dead_where(router: str, where: DeadFilter) -> tuple[str, list[Any]]:
    """Return the condition on `gateway.dead` and its parameters."""
    tests = [("router =", router), *dead_tests(where, storable)]
    conditions, values = [f"{test} %s" for test, _ in tests], [value for _, value in tests]
    if where.ids:
        conditions.append("id = any(%s::bigint[])")
        values.append(list(where.ids))
    return " and ".join(conditions), values


def unnest(types: str) -> str:
    """Return the SQL for a table of rows that come as one array a column; `arrays` makes these.

    Binary arrays: the driver takes several times longer to write long texts into others.
    """
    return f"unnest({', '.join(f'%b::{kind}[]' for kind in types.split())})"


def arrays(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return the parameters of `unnest`: the columns of the rows, of which there is at least one."""
    return [list(column) for column in zip(*rows, strict=True)]


def replaced(columns: str) -> str:
    """Return the SET clause that replaces these columns by those of the row that was to be inserted."""
    return ", ".join(f"{name} = excluded.{name}" for name in columns.split(", "))
