"""What pairs become, written in one transaction and one round trip.

Each change says all about its pair: parked, dead, or gone. Of several changes of one pair the last counts, so that a
batch is a set of rows to write. A transaction first takes its partitions, by raising their revision: changes of one
partition happen one after the other, and each sees the one before. So a lane (handler, key) of a partition that has
rows always has one that is due or will be, whoever else settles and holds there at that moment.

Statements are planned anew each time (`prepare=False`): a plan from when the tables were empty reads all of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.keep.pairs import mark_key
from gateway.keep.ports import MarkKey, Pair
from gateway.keep.postgres.connection import Connection
from gateway.keep.postgres.counts import Change, Lane
from gateway.keep.postgres.pair_rows import (
    DEAD_ROW_COLUMNS,
    DEAD_ROW_TYPES,
    PARKED_COLUMNS,
    PARKED_TYPES,
    arrays,
    lane,
    replaced,
    unnest,
)

_IDENTITY = "dedupe_key, router, handler, replay"
_SAME = "r.router = %s and r.handler = g.handler and r.dedupe_key = g.dedupe_key and r.replay = g.replay"
_KEYS = f"{unnest('text bytea text bigint')} as g (handler, dedupe_key, replay, partition)"

RAISE = (
    "insert into gateway.revision as r (router, partition, revision)"
    " select %s, g.partition, 1 from unnest(%s::bigint[]) as g (partition) order by g.partition"
    " on conflict (router, partition) do update set revision = r.revision + 1 returning partition, revision"
)
_ALIVE = f"delete from gateway.dead r using {_KEYS} where {_SAME} returning r.partition"
_GONE = (
    f"delete from gateway.parked r using {_KEYS} where {_SAME} and r.partition = g.partition"
    " returning r.id, r.partition, r.handler, r.key"
)
# The query in `returning` sees the table as it was before the statement: it tells new rows from replaced ones.
_PARK = (
    f"insert into gateway.parked as r (router, {PARKED_COLUMNS})"
    f" select %s, g.* from {unnest(PARKED_TYPES)} as g"
    f" on conflict ({_IDENTITY}, partition) do update set {replaced(PARKED_COLUMNS)}"
    " returning id, partition, handler, key, not exists (select 1 from gateway.parked former where former.id = r.id)"
)
_BURY = (
    f"insert into gateway.dead (router, {DEAD_ROW_COLUMNS})"
    f" select %s, g.* from {unnest(DEAD_ROW_TYPES)} as g"
    f" on conflict ({_IDENTITY}) do update set {replaced(DEAD_ROW_COLUMNS)} returning partition"
)
# The first of a lane is one that is due or will be, if there is any, and else the oldest of those held.
_PROMOTE = (
    "update gateway.parked set due_us = 0 where due_us is null and id in (select"
    " (select p.id from gateway.parked p where p.router = %s and p.partition = g.partition and p.handler = g.handler"
    ' and p.key = g.key order by (p.due_us is null), p."offset", p.id limit 1)'
    f" from {unnest('bigint text text')} as g (partition, handler, key))"
)

_COUNT = (
    "select g.*, (select count(*) from gateway.parked p where p.router = %s and p.partition = g.partition"
    " and p.handler = g.handler and p.key = g.key)"
    f" from {unnest('bigint text text')} as g (partition, handler, key)"
)

Fate = Literal["parked", "dead", "gone"]


@dataclass(frozen=True, slots=True)
class PairChange:
    """What becomes of one pair; `row` is the new one's values, none if it is gone; `parked_id` the row it came from."""

    key: MarkKey
    lane: Lane
    fate: Fate
    row: tuple[Any, ...] = ()
    size: int = 0
    parked_id: int | None = None


def change_of(pair: Pair, fate: Fate, row: tuple[Any, ...] = ()) -> PairChange:
    """Return a change of the pair."""
    return PairChange(mark_key(pair), lane(pair), fate, row, len(pair.event.body) if row else 0, pair.parked_id)


async def write(connection: Connection, router: str, batch: Sequence[PairChange]) -> Change:
    """Write the changes in one transaction; return what they changed."""
    last = list({(change.key, change.lane.partition): change for change in batch}.values())
    statements = _statements(router, last)
    async with connection.pipeline():
        await connection.execute("begin")
        found = {name: await connection.execute(sql, values, prepare=False) for name, sql, values in statements}
        await connection.execute("commit")
    return await _changed(found)


async def count(connection: Connection, router: str, lanes: Sequence[Lane]) -> dict[Lane, int]:
    """Return how many rows each of the lanes has."""
    cursor = await connection.execute(_COUNT, [router, *arrays(lanes)], prepare=False)
    return {Lane(*where): rows for *where, rows in await cursor.fetchall()}


def _statements(router: str, batch: Sequence[PairChange]) -> list[tuple[str, str, list[Any]]]:
    """Return the transaction as (name, SQL, parameters); each statement sees what those before it did."""
    keys = [(*change.key, change.lane.partition) for change in batch]
    gone = [key for key, change in zip(keys, batch, strict=True) if change.fate != "parked"]
    parked = [change.row for change in batch if change.fate == "parked"]
    dead = [change.row for change in batch if change.fate == "dead"]
    lanes = list({change.lane for change in batch})
    statements = [
        ("raise", RAISE, [router, list({lane.partition for lane in lanes})]),
        ("alive", _ALIVE, [*arrays(keys), router]),
    ]
    if gone:
        statements.append(("gone", _GONE, [*arrays(gone), router]))
    if parked:
        statements.append(("park", _PARK, [router, *arrays(parked)]))
    if dead:
        statements.append(("bury", _BURY, [router, *arrays(dead)]))
    statements.append(("promote", _PROMOTE, [router, *arrays(lanes)]))
    return statements


async def _changed(found: dict[str, Any]) -> Change:
    rows = {name: await cursor.fetchall() for name, cursor in found.items() if name != "promote"}
    change = Change(revisions=dict(rows["raise"]))
    change.dead = Counter(partition for (partition,) in rows.get("bury", ()))
    change.dead.subtract(partition for (partition,) in rows["alive"])
    for number, *where in rows.get("gone", ()):
        change.rows.add(number)
        change.lanes[Lane(*where)] -= 1
    for number, *where, is_new in rows.get("park", ()):
        change.rows.add(number)
        change.lanes[Lane(*where)] += int(is_new)
    return change
