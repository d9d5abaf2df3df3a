"""Copies of one router's positions: by them it goes on when the log's own notes of them are lost. And its gaps."""

from collections.abc import Mapping

from gateway.core.errors import Unavailable
from gateway.keep.postgres.asking import Asker
from gateway.keep.postgres.connection import Connection

SAVE = (
    'insert into gateway.cursor as c (router, partition, "offset")'
    ' select %s, g.partition, g."offset" from unnest(%s::bigint[], %s::bigint[]) as g (partition, "offset")'
    " order by g.partition on conflict (router, partition) do update"
    ' set "offset" = excluded."offset" where excluded."offset" > c."offset"'
)

_SAVE_GAPS = (
    "insert into gateway.gap as k (router, partition, after, events)"
    " select %s, g.* from unnest(%s::bigint[], %s::bigint[], %s::bigint[]) as g (partition, after, events)"
    " order by g.partition, g.after on conflict (router, partition, after) do update"
    " set events = greatest(k.events, excluded.events)"
)


class PostgresPlaces:
    """Positions by partition number: the offset up to and including which all has a durable outcome."""

    def __init__(self, asker: Asker, *, router: str) -> None:
        self._asker = asker
        self._router = router
        self._unsaved: dict[int, int] = {}
        self._gaps: dict[tuple[int, int], int] = {}

    async def load(self) -> Mapping[int, int]:
        """Return the copies.

        Raises:
            Unavailable: the server cannot be asked now.
        """

        async def work(connection: Connection) -> dict[int, int]:
            cursor = await connection.execute(
                'select partition, "offset" from gateway.cursor where router = %s', [self._router]
            )
            return dict(await cursor.fetchall())

        return await self._asker.ask(work)

    def save(self, positions: Mapping[int, int]) -> None:
        """Note positions; they are written together, every other second and in the end, and never backward."""
        for partition, offset in positions.items():
            self._unsaved[partition] = max(offset, self._unsaved.get(partition, offset))

    def note_gap(self, partition: int, after: int, events: int) -> None:
        """Note that retention removed `events` after the finished offset `after`; written as positions are."""
        self._gaps[partition, after] = max(events, self._gaps.get((partition, after), 0))

    async def flush(self) -> None:
        """Write what was noted.

        Raises:
            Unavailable: it cannot be written now; it is kept for the next time.
        """
        if not self._unsaved and not self._gaps:
            return
        unsaved, self._unsaved = self._unsaved, {}
        gaps, self._gaps = self._gaps, {}

        async def work(connection: Connection) -> None:
            if gaps:
                rows = [(*where, events) for where, events in gaps.items()]
                await connection.execute(_SAVE_GAPS, [self._router, *map(list, zip(*rows, strict=True))])
            if unsaved:
                await connection.execute(SAVE, [self._router, list(unsaved), list(unsaved.values())])

        try:
            await self._asker.ask(work)
        except Unavailable:
            self.save(unsaved)
            for (partition, after), events in gaps.items():
                self.note_gap(partition, after, events)
            raise
