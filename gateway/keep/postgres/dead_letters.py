"""Dead letters of one router: listed, sent back, forgotten. For a worker, and for commands on any machine.

What changes many goes in slices, so that nobody waits long behind it; what dies meanwhile is left for the next time.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from gateway.keep.pairs import DEAD_COLUMNS, dead_from
from gateway.keep.ports import DeadFilter, DeadLetter, MarkKey
from gateway.keep.postgres.asking import Asker
from gateway.keep.postgres.connection import Connection
from gateway.keep.postgres.counts import Change, Lane
from gateway.keep.postgres.pair_changes import RAISE
from gateway.keep.postgres.pair_rows import PARKED_COLUMNS, dead_where, replaced, unnest

_SLICE = 100
# A command that is stopped in the middle must not keep the workers waiting.
_PATIENCE = "set local idle_in_transaction_session_timeout = 5000"

# The letters are locked, so that what one command sends back another does not forget.
_CHOOSE = "select id, handler, dedupe_key, replay from gateway.dead where id = any(%s::bigint[]) order by id for update"
_RETRY = (
    f"insert into gateway.parked as r (router, {PARKED_COLUMNS})"
    ' select router, handler, dedupe_key, replay, key, partition, "offset", 0, replay_id, new_keys, null, error,'
    " head, body, 0, %s from gateway.dead where id = any(%s::bigint[]) order by id"
    f" on conflict (dedupe_key, router, handler, replay, partition) do update set {replaced(PARKED_COLUMNS)}"
    " returning id, partition, handler, key, not exists (select 1 from gateway.parked former where former.id = r.id)"
)
_REMOVE = "delete from gateway.dead where id = any(%s::bigint[]) returning partition"
_KEYS = f"{unnest('text bytea text')} as g (handler, dedupe_key, replay)"
# A worker that lost the partition may have buried what the next one had done: that is done, and stays so.
_UNMARK = (
    f"delete from gateway.mark m using gateway.handler h, {_KEYS} where h.router = %s and h.name = g.handler"
    " and m.handler = h.id and m.dedupe_key = g.dedupe_key and m.replay = g.replay and m.outcome <> 'done'"
)
_UNBLAME = (
    f"delete from gateway.crash c using {_KEYS} where c.router = %s and c.handler = g.handler"
    " and c.dedupe_key = g.dedupe_key and c.replay = g.replay"
)


async def listed(
    connection: Connection, router: str, where: DeadFilter, *, limit: int, after_id: int
) -> list[DeadLetter]:
    """Return up to `limit` dead letters with ids past `after_id`, oldest first."""
    condition, values = dead_where(router, where)
    cursor = await connection.execute(
        f"select {DEAD_COLUMNS} from gateway.dead where {condition} and id > %s order by id limit %s",
        [*values, after_id, limit],
        prepare=False,
    )
    return [dead_from(router, row) for row in await cursor.fetchall()]


class DeadLetters:
    """Changes a router's dead letters; `told` is told what each slice changed, and the keys that run again."""

    def __init__(
        self,
        asker: Asker,
        *,
        router: str,
        now_us: Callable[[], int],
        told: Callable[[Change, Sequence[MarkKey]], None] = lambda _change, _keys: None,
    ) -> None:
        self._asker = asker
        self._router = router
        self._now_us = now_us
        self._told = told

    async def retry(self, where: DeadFilter) -> int:
        """Make dead letters parked pairs, due at once, with no mark, attempt and crash; return how many."""
        return await self._each_slice(where, partial(_retry, self._router, self._now_us()))

    async def purge(self, where: DeadFilter) -> int:
        """Remove dead letters for good; return how many."""
        return await self._each_slice(where, partial(_purge, self._router))

    async def _each_slice(self, where: DeadFilter, act: "_Act") -> int:
        letters = await self._asker.ask(lambda connection: _chosen(connection, self._router, where))
        done = 0
        for start in range(0, len(letters), _SLICE):
            chosen = letters[start : start + _SLICE]
            change, keys = await self._asker.ask(partial(act, chosen))
            self._told(change, keys)
            done -= change.dead.total()
        return done


_Act = Callable[[Sequence[tuple[int, int]], Connection], Awaitable[tuple[Change, Sequence[MarkKey]]]]


async def _chosen(connection: Connection, router: str, where: DeadFilter) -> list[tuple[int, int]]:
    """Return (id, partition) of the dead letters that fit now, by id."""
    condition, values = dead_where(router, where)
    cursor = await connection.execute(
        f"select id, partition from gateway.dead where {condition} order by id", values, prepare=False
    )
    return [(number, partition) for number, partition in await cursor.fetchall()]


async def _retry(
    router: str, at_us: int, letters: Sequence[tuple[int, int]], connection: Connection
) -> tuple[Change, Sequence[MarkKey]]:
    async with connection.transaction():
        change, keys = await _take(connection, router, letters)
        numbers = [number for number, _ in letters]
        parked = await connection.execute(_RETRY, [at_us, numbers], prepare=False)
        for number, *where, is_new in await parked.fetchall():
            change.rows.add(number)
            change.lanes[Lane(*where)] += int(is_new)
        columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)] or [[], [], []]
        await connection.execute(_UNMARK, [*columns, router], prepare=False)
        await connection.execute(_UNBLAME, [*columns, router], prepare=False)
        await _remove(connection, letters, change)
    return change, keys


async def _purge(
    router: str, letters: Sequence[tuple[int, int]], connection: Connection
) -> tuple[Change, Sequence[MarkKey]]:
    async with connection.transaction():
        change, _ = await _take(connection, router, letters)
        await _remove(connection, letters, change)
    return change, ()


async def _take(
    connection: Connection, router: str, letters: Sequence[tuple[int, int]]
) -> tuple[Change, Sequence[MarkKey]]:
    """Lock the partitions, then the letters; return the keys of those that are still there."""
    await connection.execute(_PATIENCE)
    raised = await connection.execute(RAISE, [router, list({partition for _, partition in letters})], prepare=False)
    change = Change(revisions=dict(await raised.fetchall()))
    found = await connection.execute(_CHOOSE, [[number for number, _ in letters]], prepare=False)
    return change, [MarkKey(*key) for _, *key in await found.fetchall()]


async def _remove(connection: Connection, letters: Sequence[tuple[int, int]], change: Change) -> None:
    removed = await connection.execute(_REMOVE, [[number for number, _ in letters]], prepare=False)
    change.dead = Counter()
    change.dead.subtract(partition for (partition,) in await removed.fetchall())
