"""The embedded log: events in `events.db`, durable before their futures complete.

`SqliteLog` is what the event loop's thread sees; all writing is done by one thread (`writer`). What is queued is
counted here, on the loop's thread alone, from the append to the answer.
"""

import asyncio
import logging
import threading
from asyncio import Future
from collections.abc import Callable, Sequence
from contextlib import suppress

import apsw

from gateway.core.errors import Unavailable, UnavailableReason
from gateway.core.event import Event
from gateway.keep.envelope import encode
from gateway.keep.ports import Appended, LogHealth
from gateway.keep.sqlite.batches import CACHED_STATEMENTS, Batches, Result
from gateway.keep.sqlite.checkpoints import Checkpoints
from gateway.keep.sqlite.connection import FileLock, migrate, open_writer, opening
from gateway.keep.sqlite.expiry import Expiry
from gateway.keep.sqlite.ids import Ids
from gateway.keep.sqlite.options import Entry, LogOptions, steady, wall_us
from gateway.keep.sqlite.schema import FILE_NAME, MIGRATIONS, PAGE_SIZE
from gateway.keep.sqlite.upkeep import Upkeep
from gateway.keep.sqlite.writer import Writer

log = logging.getLogger("gateway.keep")

_CACHE_KIB = 32 * 1024
_CLOSE_SECONDS = 15.0
# What one queued event costs in memory beside its body and head.
_ENTRY_BYTES = 512


class SqliteLog:
    """The log of one edge process. Made on the event loop's thread, which must be running.

    Args:
        options: where and how.
        wake: called on the writer's thread after each commit; tells the workers.
        on_poison: called once on the loop's thread after an I/O error: the process must end.
        now_us: the wall clock, microseconds since the epoch.
        steady_now: seconds of a clock that never steps.

    Attributes:
        log_id: the random id of this log; cursors belong to it.

    Raises:
        DependencyError: another process owns the log, or its files cannot be written.
        DamagedError: the file is damaged.
        GatewayError: a newer gateway wrote it.
    """

    def __init__(
        self,
        options: LogOptions,
        *,
        wake: Callable[[], None],
        on_poison: Callable[[], None],
        now_us: Callable[[], int] = wall_us,
        steady_now: Callable[[], float] = steady,
    ) -> None:
        self._options = options
        self._on_poison = on_poison
        self._now_us = now_us
        self._loop = asyncio.get_running_loop()
        self._ended: Future[None] = self._loop.create_future()
        self._refusal: UnavailableReason | None = None
        self._queued_events = self._queued_bytes = 0
        self._gathered: list[Entry] = []
        self._lock = FileLock(options.folder / FILE_NAME)
        self._lock.acquire()
        try:
            with opening(options.folder / FILE_NAME):
                self._connection = _open(options)
                migrate(self._connection, MIGRATIONS)
                self.log_id = str(self._connection.execute("select value from meta where key = 'log_id'").get)
                expiry = Expiry(self._connection, options, wall_us=now_us, steady=steady_now)
                ids = Ids(self._connection, expiry.day_of)
                self._batches = Batches(self._connection, ids)
                second = None if options.vfs else lambda: _open(options)
                self._upkeep = Upkeep(
                    self._connection,
                    options,
                    ids=ids,
                    expiry=expiry,
                    checkpoints=Checkpoints(self._connection, second),
                    log_id=self.log_id,
                )
        except BaseException:
            self._lock.release()
            raise
        self._writer = Writer(self._batches, self._upkeep, self, wake)
        threading.Thread(target=self._writer.run, name="log-writer", daemon=True).start()

    @property
    def last_offset(self) -> int:
        """The offset of the newest stored event, 0 if there is none: where a new router starts."""
        return self._batches.last_offset

    def append(self, events: Sequence[Event]) -> Sequence["Future[Appended]"]:
        """Enqueue `events` and return at once, one future an event; call it on the event loop's thread.

        Raises:
            Unavailable: nothing was enqueued.
        """
        self._refuse_if_needed()
        entries = [self._entry(event) for event in events]
        size = sum([entry.size for entry in entries])
        options = self._options
        if (
            self._queued_events + len(entries) > options.max_queued_events
            or self._queued_bytes + size > options.max_queued_bytes
        ):
            raise Unavailable("overloaded")
        self._queued_events += len(entries)
        self._queued_bytes += size
        if entries and not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered += entries
        return [entry.future for entry in entries]

    def health(self) -> LogHealth:
        """Return what is known without asking the disk; numbers of the disk are up to a second old."""
        numbers, last = self._upkeep.numbers, self.last_offset
        reason = self._refusal or self._upkeep.short_of
        events = last - numbers.first + 1 if numbers.first else last
        oldest = max(0.0, (self._now_us() - numbers.oldest_us) / 1e6) if numbers.first else 0.0
        return LogHealth(
            writable=reason is None,
            reason=reason,
            events=events,
            bytes=numbers.used_bytes,
            oldest_seconds=oldest,
            queued_events=self._queued_events,
            queued_bytes=self._queued_bytes,
        )

    async def close(self) -> None:
        """Finish what is enqueued, then close. A second call does nothing."""
        if self._refusal != "draining":
            self._refusal = self._refusal or "draining"
            self._hand_over()
            self._writer.inbox.put(None)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._ended), _CLOSE_SECONDS)
            return
        log.error("log.close_timed_out", extra={"queued": self._queued_events})

    def _hand_over(self) -> None:
        """Pass on what this turn of the loop appended, all at once.

        Passed on one by one, the first would wake the writer, which then fights the loop for the interpreter to
        commit a batch of one.
        """
        if self._gathered:
            self._writer.inbox.put(self._gathered)
            self._gathered = []

    def _refuse_if_needed(self) -> None:
        reason = self._refusal or self._upkeep.short_of
        if reason is not None:
            raise Unavailable(reason)

    def _entry(self, event: Event) -> Entry:
        head = encode(event)
        return Entry(event, self._loop.create_future(), head, len(head) + len(event.body) + _ENTRY_BYTES)

    # The writer's answers, called on its thread.

    def settle(self, entries: Sequence[Entry], results: Sequence[Result]) -> None:
        """Pass on the outcomes of one batch, all of them in one turn of the loop."""
        self._tell(self._settle, entries, results)

    def poisoned(self) -> None:
        """Refuse everything from now on, and tell the process."""
        self._refusal = "log_down"
        self._tell(self._on_poison)

    def ended(self, *, poisoned: bool) -> None:
        """Let the files go. A poisoned log is not checkpointed: what could be read back may not be on the disk."""
        try:
            self._upkeep.close()
            if poisoned:
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            self._connection.close()
        except apsw.Error as error:
            log.warning("log.close_failed", extra={"error": type(error).__name__})
        finally:
            self._lock.release()
            self._tell(self._set_ended)

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call, *arguments)

    def _settle(self, entries: Sequence[Entry], results: Sequence[Result]) -> None:
        for entry, result in zip(entries, results, strict=True):
            self._queued_events -= 1
            self._queued_bytes -= entry.size
            if entry.future.done():  # its waiter cancelled it; the event is stored all the same
                continue
            if isinstance(result, Unavailable):
                entry.future.set_exception(result)
            else:
                entry.future.set_result(result)

    def _set_ended(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


def _open(options: LogOptions) -> apsw.Connection:
    path = options.folder / FILE_NAME
    connection = open_writer(path, vfs=options.vfs, page_size=PAGE_SIZE, cached_statements=CACHED_STATEMENTS)
    connection.pragma("synchronous", options.synchronous)
    connection.pragma("cache_size", -_CACHE_KIB)
    return connection
