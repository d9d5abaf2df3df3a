"""Reading stored events again, for replays: in a thread, beside the router's subscription."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.keep.ports import Filter, Stored
from gateway.keep.sqlite.reader import SqliteReader


class SqliteHistory:
    """The history of the embedded log; owns `reader`. Partition 0 alone."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history-reader")

    async def read(
        self, where: Filter, *, after: Mapping[int, int], upto: Mapping[int, int], max_events: int, max_bytes: int
    ) -> Sequence[Stored]:
        """Return the next fitting records after `after` and up to `upto` (inclusive); empty at the end."""
        if 0 not in upto:
            return ()

        def call() -> Sequence[Stored]:
            return self._reader.read_where(
                where, after=after.get(0, 0), upto=upto[0], max_events=max_events, max_bytes=max_bytes
            )

        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def close(self) -> None:
        """Let go of the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._reader.close)
        self._thread.shutdown(wait=False)
