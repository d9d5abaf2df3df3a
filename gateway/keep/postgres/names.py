"""Handler names as small integers, so that a mark's key stays short. A name once given an id keeps it."""

from collections.abc import Collection, Mapping

from gateway.keep.postgres.connection import Pool, reaching

_ADD = (
    "insert into gateway.handler (router, name) select %s, name from unnest(%s::text[]) as new (name)"
    " on conflict do nothing"
)
_FIND = "select name, id from gateway.handler where router = %s and name = any(%s)"


class HandlerNames:
    """The ids of one router's handlers, as far as anybody asked."""

    def __init__(self, pool: Pool, router: str) -> None:
        self._pool = pool
        self._router = router
        self._known: dict[str, int] = {}

    async def id(self, name: str) -> int:
        """Return the id of `name`, durable.

        Raises:
            Unavailable: it is not known yet, and Postgres cannot be asked.
        """
        known = self._known.get(name)
        return known if known is not None else (await self.ids([name]))[name]

    async def ids(self, names: Collection[str]) -> Mapping[str, int]:
        """Return the ids of at least `names`; raises as `id` does."""
        new = sorted(set(names) - self._known.keys())
        if new:
            with reaching():
                async with self._pool.connection() as connection:
                    await connection.execute(_ADD, [self._router, new])
                    rows = await (await connection.execute(_FIND, [self._router, new])).fetchall()
            self._known.update(dict(rows))
        return self._known
