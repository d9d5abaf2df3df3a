"""Moving the write-ahead log into the database: the bulk in a thread of its own, the rest between two batches.

A checkpoint of tens of megabytes in the writer's thread held appends for tens of milliseconds. Beside it, it never
catches up with a busy writer, so that the log would grow for ever: the short rest is done by the writer itself, which
then begins the log anew. Two connections may do this from SQLite 3.51.3 on (docs/decisions/0002-checkpoints.md).
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import apsw

# In pages of 8 KiB: begin at 16 MiB when nothing waits, at 64 MiB whatever waits.
SOFT_FRAMES, HARD_FRAMES = 2048, 8192
_REST_FRAMES = 256
_BULK_ROUNDS = 3


class Checkpoints:
    """Asked by the writer after each batch.

    Args:
        connection: the writer's.
        open_second: opens the second connection to the same file; None where the file allows but one (exclusive
            locking), and the writer does all of it.
    """

    def __init__(self, connection: apsw.Connection, open_second: Callable[[], apsw.Connection] | None) -> None:
        self._connection = connection
        self._open_second = open_second
        self._second: apsw.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._bulk: Future[int] | None = None
        self._rounds = self._began_at = 0
        self._clean_at = self._written()

    def run(self, *, idle: bool) -> None:
        """Begin a checkpoint, go on with it or end it.

        Raises:
            apsw.IOError: what is on the disk is unknown.
        """
        if self._bulk is not None:
            if self._bulk.done():
                self._after_bulk(self._bulk)
        elif self._written() - self._clean_at >= (SOFT_FRAMES if idle else HARD_FRAMES):
            self._rounds = 0
            self._begin()

    def close(self) -> None:
        """End the thread and close the second connection."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        if self._second is not None:
            self._second.close()

    def _written(self) -> int:
        """Return how many pages this connection has written into the write-ahead log."""
        return self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]

    def _begin(self) -> None:
        if self._open_second is None:
            self._finish()
            return
        if self._thread is None or self._second is None:
            self._second = self._open_second()
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-checkpoint")
        self._rounds += 1
        self._began_at = self._written()
        self._bulk = self._thread.submit(_checkpoint, self._second)

    def _after_bulk(self, bulk: "Future[int]") -> None:
        self._bulk = None
        left = bulk.result() + self._written() - self._began_at
        if left <= _REST_FRAMES or self._rounds >= _BULK_ROUNDS:
            self._finish()
        else:
            self._begin()

    def _finish(self) -> None:
        left = _checkpoint(self._connection)
        # What a reader holds back is counted again, but not tried again at every batch.
        self._clean_at = self._written() - min(left, SOFT_FRAMES // 2)


def _checkpoint(connection: apsw.Connection) -> int:
    """Move what can be moved; return how many pages are left in the log."""
    in_log, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    return in_log - moved
