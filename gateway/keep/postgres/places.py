"""Copies of one router's positions: by them it goes on when the log's own notes of them are lost."""

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


class PostgresPlaces:
    """Positions by partition number: the offset up to and including which all has a durable outcome."""

    def __init__(self, asker: Asker, *, router: str) -> None:
        self._asker = asker
        self._router = router
        self._unsaved: dict[int, int] = {}

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

    async def flush(self) -> None:
        """Write what was noted.

        Raises:
            Unavailable: it cannot be written now; it is kept for the next time.
        """
        if not self._unsaved:
            return
        unsaved, self._unsaved = self._unsaved, {}
        values = [self._router, list(unsaved), list(unsaved.values())]

        async def work(connection: Connection) -> None:
            await connection.execute(SAVE, values)

        try:
            await self._asker.ask(work)
        except Unavailable:
            self.save(unsaved)
            raise
