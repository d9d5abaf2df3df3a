"""The index of the log: metadata and place of each event, written by the indexers, asked by the catalogue.

Indexers write one after the other, under one lock, so that whoever follows `seq` misses no row. Records that cannot be
decoded are left out, as lists leave them out; each router has them among its dead letters.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.core.event import Event
from gateway.keep.bounds import Bound
from gateway.keep.ports import Position, Stored
from gateway.keep.postgres.connection import Pool, reaching
from gateway.keep.postgres.pair_rows import storable

# Longer than any id, type or key of ours in UTF-8: a stranger's record must not be too much for an index.
_LONGEST = 1020
_PACE = 2.0
_LOCK = 0x77686F6F6B  # an advisory lock is a number that all agree on

_COLUMNS = (
    ("partition", "bigint"), ("offset", "bigint"), ("source", "text"), ("provider", "text"), ("event_id", "bytea"),
    ("type", "bytea"), ("key", "bytea"), ("time_us", "bigint"), ("received_us", "bigint"), ("identity", "bytea"),
    ("body_sha256", "bytea"), ("body_bytes", "integer"), ("flags", "text"),
)  # fmt: skip
_NAMES = ", ".join(f'"{name}"' for name, _ in _COLUMNS)
_ARRAYS = ", ".join(f"%s::{kind}[]" for _, kind in _COLUMNS)
# One statement, so that no network between us and the server can hold the lock.
_WRITE = (
    f"with alone as materialized (select pg_advisory_xact_lock({_LOCK}))"
    f" insert into gateway.event ({_NAMES}) select {_NAMES} from alone, unnest({_ARRAYS}) as new ({_NAMES})"
    " on conflict do nothing"
)
_EXPIRE = (
    'delete from gateway.event where (partition, "offset") in'
    ' (select partition, "offset" from gateway.event where received_us < %s order by received_us limit %s)'
)
_OLDEST = "select min(received_us) from gateway.event"


class PostgresIndex:
    """Writes the index; whoever made `pool` closes it."""

    def __init__(self, pool: Pool, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._steady = steady
        self._expired: Bound | None = None

    async def write(self, batch: Sequence[Stored]) -> None:
        """Write down a batch, durably; one written before is left as it is.

        Raises:
            Unavailable: it cannot be written now.
        """
        rows = [_row(stored.position, stored.event) for stored in batch if stored.event is not None]
        if rows:
            columns = list(zip(*sorted(rows, key=_age), strict=True))
            await self._run(_WRITE, [list(column) for column in columns])

    async def expire(self, before_us: int, limit: int) -> int:
        """Remove up to `limit` entries from before `before_us`, or as the clocks allow; return how many.

        What is removed goes forward from the oldest entry at most twice as fast as time passes (design 6.19): a clock
        that jumped empties no catalogue.

        Raises:
            Unavailable: nothing can be removed now.
        """
        bound_us = await self._bound(before_us)
        return 0 if bound_us is None else await self._run(_EXPIRE, [bound_us, limit])

    async def _bound(self, before_us: int) -> int | None:
        now = self._steady()
        if self._expired is None:
            with reaching():
                async with self._pool.connection() as connection:
                    row: Any = await (await connection.execute(_OLDEST)).fetchone()
            if row[0] is None:
                return None
            self._expired = Bound(min(before_us, row[0]), before_us, now)
        self._expired = self._expired.advance(before_us, now, pace=_PACE)
        return self._expired.removable_us

    async def _run(self, sql: str, values: list[Any]) -> int:
        with reaching():
            async with self._pool.connection() as connection:
                return (await connection.execute(sql.encode(), values)).rowcount


def exact(text: str) -> bytes:
    """Return `text` as the index holds it, so that it is found again whatever it is made of; cut at 1020 bytes."""
    return text.encode("utf-8", "surrogatepass")[:_LONGEST]


def _row(position: Position, event: Event) -> tuple[Any, ...]:
    return (
        *position,
        storable(event.source),
        storable(event.provider),
        exact(event.id),
        exact(event.type),
        exact(event.key),
        event.time_us,
        event.received_us,
        event.identity,
        event.body_sha256,
        len(event.body),
        storable(",".join(event.flags)),
    )


def _age(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Sort by when it was received, then by place: the order in which a list would show it."""
    return row[8], row[0], row[1]
