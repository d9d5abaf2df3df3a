"""The two operations of a state file that wait for the disk, in a helper thread: COMMIT and the checkpoint.

They use the file's one writing connection; the committer touches it again only after their outcome came back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import apsw

Then = Callable[[Exception | None], None]

_COMMIT = "commit -- gateway"
# 8 MB of pages: a checkpoint often enough to keep the file's copy in the page cache, rarely enough to cost little.
_CHECKPOINT_PAGES = 2000


class Disk:
    """The helper thread; `in_place` works on the loop's thread instead (a database in memory waits for nothing)."""

    def __init__(self, connection: apsw.Connection, *, in_place: bool) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._helper = None if in_place else ThreadPoolExecutor(1, thread_name_prefix="state-commit")
        self._wal_pages = 0
        if not in_place:
            connection.set_wal_hook(self._note_wal)

    def commit(self, then: Then) -> None:
        """Commit, and call `then` on the loop's thread with None or the error."""
        self._run(self._commit, then)

    def checkpoint(self, then: Then) -> None:
        """Move the WAL into the database as far as readers allow; `then` as for `commit`."""
        self._wal_pages = 0
        self._run(self._checkpoint, then)

    def wants_checkpoint(self) -> bool:
        """Return whether the WAL has grown enough."""
        return self._wal_pages >= _CHECKPOINT_PAGES

    async def close(self) -> None:
        """Wait for what is under way; when this returns its `then` has been called."""
        if self._helper is not None:
            # `then` was handed to the loop before this future's completion, so it runs first.
            await self._loop.run_in_executor(None, self._helper.shutdown)

    def _run(self, work: Callable[[], None], then: Then) -> None:
        if self._helper is None:
            then(_try(work))
        else:
            self._helper.submit(self._beside, work, then)

    def _beside(self, work: Callable[[], None], then: Then) -> None:
        error = _try(work)
        with suppress(RuntimeError):  # the loop is gone: nobody is left to hear of it
            self._loop.call_soon_threadsafe(then, error)

    def _commit(self) -> None:
        self._connection.execute(_COMMIT)

    def _checkpoint(self) -> None:
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def _try(work: Callable[[], None]) -> Exception | None:
    try:
        work()
    except apsw.Error as error:
        return error
    return None
