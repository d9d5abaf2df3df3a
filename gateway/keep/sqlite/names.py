"""Handler names as small integers, so that a mark's key stays short."""

from typing import Any

import apsw


class HandlerNames:
    """The names of one state file. An id learnt inside a transaction counts only after its commit."""

    def __init__(self, connection: apsw.Connection) -> None:
        rows: list[Any] = connection.execute("select name, id from gateway_handler").fetchall()
        self._kept: dict[str, int] = dict(rows)
        self._fresh: dict[str, int] = {}

    def id(self, connection: apsw.Connection, name: str) -> int:
        """Return the id of `name`, which the open transaction adds if it is new."""
        known = self._kept.get(name) or self._fresh.get(name)
        if known is None:
            connection.execute("insert into gateway_handler (name) values (?) on conflict do nothing", (name,))
            known = int(connection.execute("select id from gateway_handler where name = ?", (name,)).get)
            self._fresh[name] = known
        return known

    def find(self, name: str) -> int | None:
        """Return the durable id of `name`, or None."""
        return self._kept.get(name)

    def keep(self) -> None:
        """Note that all was committed."""
        if self._fresh:
            self._kept.update(self._fresh)
            self._fresh.clear()

    def undo(self) -> None:
        """Note that what was added may have been rolled back."""
        self._fresh.clear()
