"""Whether one router is paused, the same for all its workers and for commands on any machine."""

from asyncio import Future

from gateway.keep.postgres.asking import Asker, InOrder
from gateway.keep.postgres.connection import Connection


class PostgresPausing:
    """A pause of this worker's counts at once; one of another's within a second or two, by `refresh`."""

    def __init__(self, asker: Asker, *, router: str) -> None:
        self._asker = asker
        self._in_order = InOrder(asker)
        self._router = router
        self._cause = ""
        self._sets = 0
        self._written = 0

    def paused(self) -> str:
        """Return the cause (`operator`, `breaker`), empty if the router runs."""
        return self._cause

    def set_paused(self, cause: str) -> "Future[None]":
        """Pause for `cause`, or resume if it is empty."""
        self._cause = cause
        self._sets += 1
        number = self._sets

        def done(_: None) -> None:
            self._written = number

        return self._in_order.begin(lambda connection: self._write(connection, cause), done)

    async def refresh(self) -> None:
        """Learn what others set; what this worker set and could not write yet is written first.

        Raises:
            Unavailable: it cannot be known now.
        """
        if self._written < self._sets:
            await self.set_paused(self._cause)
            return
        sets = self._sets
        cause = await self._asker.ask(self._read)
        if self._sets == sets:  # else it was set here meanwhile
            self._cause = cause

    async def _read(self, connection: Connection) -> str:
        cursor = await connection.execute("select paused from gateway.router where name = %s", [self._router])
        row = await cursor.fetchone()
        return "" if row is None else str(row[0])

    async def _write(self, connection: Connection, cause: str) -> None:
        await connection.execute("update gateway.router set paused = %s where name = %s", [cause, self._router])
