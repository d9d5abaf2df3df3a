"""Group commit over a file's one writing connection, which lives in the worker's event loop.

Statements take microseconds and run on the loop's thread; COMMIT waits for the disk and runs in one helper thread,
during which nothing else touches the connection. There is no timer: the previous commit is the linger.

- One transaction at a time (`BEGIN IMMEDIATE`): first the turns of handlers, in order of asking, each within a
  savepoint of its own; then the queued requests; then COMMIT, after which every future of the group completes.
- Reads (`read`) are served only while no transaction is open: they see what is durable, never what may be undone.
- A request that fails costs only itself: its batch is undone and each of it written again in a savepoint of its own.
- An I/O error leaves unknown what is on disk: everything fails with `PoisonedError`, for ever.
"""

import asyncio
from asyncio import Future
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import apsw

from gateway.core.errors import PoisonedError, Unavailable
from gateway.keep.sqlite.disk import Disk
from gateway.keep.sqlite.fence import Fence
from gateway.keep.sqlite.requests import POISON, Request, Waiter, Write, fail, seen, unavailable

T = TypeVar("T")

_BEGIN = "begin immediate -- gateway"
_ROLLBACK = "rollback -- gateway"
_BATCH = ("savepoint gateway_batch", "release gateway_batch", "rollback to gateway_batch")
_TURNS_PER_GROUP = 256
_DEFERRED_SECONDS = 0.1
_BUSY_SECONDS, _BUSY_PAUSE = 5.0, 0.02


class Committer:
    """The only user of the connection's transactions. All methods belong to the loop's thread.

    `in_place` commits on the loop's thread (a database in memory). `committed` and `undone` are called after each
    commit, and after anything that was written in a group may have been rolled back.
    """

    def __init__(
        self, connection: apsw.Connection, fence: Fence, *, in_place: bool, on_poison: Callable[[], None] | None = None
    ) -> None:
        self.connection = connection
        self.fence = fence
        self.committed: Callable[[], None] = _nothing
        self.undone: Callable[[], None] = _nothing
        self._loop = asyncio.get_running_loop()
        self._on_poison = on_poison
        self._disk = Disk(connection, in_place=in_place)
        self._turns: deque[Waiter] = deque()
        self._requests: list[Request] = []
        self._deferred: dict[str, Write[None]] = {}
        self._reads: list[tuple[Write[Any], Future[Any]]] = []
        self._turn: Waiter | None = None
        self._open = False
        self._committing = False
        self._finished: list[Future[None]] = []
        self._batch: list[Request] = []
        self._given = 0
        self._scheduled = False
        self._deferred_due = False
        self._deferred_timer: asyncio.TimerHandle | None = None
        self._busy_since: float | None = None
        self._failure: Exception | None = None
        self._draining: list[Future[None]] = []

    # What may be asked

    def submit(self, write: Write[T], done: Callable[[T], None] | None = None) -> "Future[T]":
        """Queue a write for the next group; the future completes when it is durable, after `done` was called."""
        future: Future[T] = self._loop.create_future()
        if self._failure is not None:
            future.set_exception(self._failure)
            return future
        self._requests.append(Request(write, done, future))
        self._schedule()
        return future

    def defer(self, name: str, write: Write[None]) -> None:
        """Let `write` join the next group, which it forces only after 0.1 s; a later one of that name replaces it."""
        self._deferred[name] = write
        if self._deferred_timer is None and self._failure is None:
            self._deferred_timer = self._loop.call_later(_DEFERRED_SECONDS, self._force_deferred)

    def read(self, query: Write[T]) -> "Future[T]":
        """Run a query between two groups; it sees what is durable."""
        future: Future[T] = self._loop.create_future()
        if self._failure is not None:
            future.set_exception(self._failure)
            return future
        self._reads.append((query, future))
        self._schedule()
        return future

    def ask_turn(self, waiter: Waiter) -> None:
        """Queue for a turn."""
        if self._failure is not None:
            waiter.fail(self._failure)
            return
        self._turns.append(waiter)
        self._schedule()

    def end_turn(self, *, keep: bool) -> "Future[None]":
        """Take the turn back, its savepoint released or rolled back; with `keep` the future completes by the commit."""
        future: Future[None] = self._loop.create_future()
        self._turn = None
        self.fence.mode = "closed"
        if keep:
            self._finished.append(future)
        else:
            self.undone()
            future.set_result(None)
        self._schedule()
        return future

    def survived(self, error: Exception) -> bool:
        """Return whether the open transaction outlived a failed statement; if not, the whole group has failed."""
        if isinstance(error, POISON):
            self._poison()
            return False
        if self.connection.in_transaction:
            return True
        self._lose(unavailable(error))
        return False

    async def drained(self) -> None:
        """Wait until nothing is queued or open."""
        while self._failure is None and not self._is_idle():
            self._deferred_due = bool(self._deferred)
            self._schedule()
            self._draining.append(self._loop.create_future())
            await self._draining[-1]

    async def close(self, patience: float) -> None:
        """Finish what is queued within `patience` seconds; what is left then fails with `Unavailable("draining")`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.drained(), patience)
        if self._failure is None:
            self._failure = Unavailable("draining")
        await self._disk.close()
        self._end_all(self._failure)
        if self._deferred_timer is not None:
            self._deferred_timer.cancel()

    # The group

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._advance)

    def _advance(self) -> None:
        self._scheduled = False
        if self._committing or self._turn is not None or self._failure is not None:
            return
        self.fence.mode = "own"
        try:
            if not self._open:
                self._serve_reads()
            if self._has_work() and (self._open or self._begin()):
                self._give_turns()
                if self._open and self._turn is None:
                    self._end_group()
        except apsw.Error as error:
            self._lose(unavailable(error), poisoned=isinstance(error, POISON))
        self._settle_mode()
        self._note_drained()

    def _settle_mode(self) -> None:
        """Say whose statements come next: the holder's of the turn, the helper's COMMIT, or nobody's."""
        self.fence.mode = "turn" if self._turn is not None else "own" if self._committing else "closed"

    def _has_work(self) -> bool:
        return bool(self._open or self._turns or self._requests or self._deferred_due)

    def _begin(self) -> bool:
        try:
            self.connection.execute(_BEGIN)
        except apsw.BusyError as error:
            self._wait_for_lock(error)
            return False
        self._busy_since, self._open, self._given = None, True, 0
        return True

    def _wait_for_lock(self, error: Exception) -> None:
        """Try again soon: another program (a shell) holds the write lock, and the loop's thread must not wait."""
        now = self._loop.time()
        self._busy_since = self._busy_since or now
        if now - self._busy_since > _BUSY_SECONDS:
            self._busy_since = None
            self._fail_queued(unavailable(error))
        else:
            self._loop.call_later(_BUSY_PAUSE, self._schedule)

    def _give_turns(self) -> None:
        while self._turns and self._open and self._given < _TURNS_PER_GROUP:
            waiter = self._turns.popleft()
            self._given += 1
            if waiter.open():
                self._turn = waiter
                return

    def _end_group(self) -> None:
        self._batch, self._requests = self._requests, []
        self._batch += [self._deferred_request(name, write) for name, write in self._deferred.items()]
        self._deferred, self._deferred_due = {}, False
        if self._deferred_timer is not None:
            self._deferred_timer.cancel()
            self._deferred_timer = None
        if self._write_batch():
            self._commit()

    def _deferred_request(self, name: str, write: Write[None]) -> Request:
        """Return the request of a deferred write, which stays deferred if its group fails and no newer one came."""

        def settle(future: "Future[None]") -> None:
            if future.exception() is not None and name not in self._deferred:
                self.defer(name, write)

        future: Future[None] = self._loop.create_future()
        future.add_done_callback(settle)
        return Request(write, None, future)

    def _write_batch(self) -> bool:
        """Write the batch; return whether the transaction still stands."""
        execute = self.connection.execute
        execute(_BATCH[0])
        try:
            for request in self._batch:
                request.value = request.write(self.connection)
        except Exception as error:  # noqa: BLE001 - whatever one request raises must cost that request alone
            if not self.survived(error):
                return False
            execute(_BATCH[2])
            self.undone()
            if not self._write_one_by_one():
                return False
        execute(_BATCH[1])
        return True

    def _write_one_by_one(self) -> bool:
        written = []
        for request in self._batch:
            self.connection.execute("savepoint gateway_one")
            try:
                request.value = request.write(self.connection)
                written.append(request)
            except Exception as error:  # noqa: BLE001 - as above
                if not self.survived(error):
                    return False
                self.connection.execute("rollback to gateway_one")
                self.undone()
                fail(request.future, seen(error))
            self.connection.execute("release gateway_one")
        self._batch = written
        return True

    def _commit(self) -> None:
        self._committing = True
        self._disk.commit(self._after_commit)

    def _after_commit(self, error: Exception | None) -> None:
        self._committing = self._open = False
        self._settle_mode()
        if isinstance(error, apsw.FullError):
            self._lose(Unavailable("disk_full"))
        elif error is not None:
            self._poison()
        else:
            self._resolve()
            if self._failure is None and self._disk.wants_checkpoint():
                self._committing = True
                self._disk.checkpoint(self._after_checkpoint)
        self._schedule()

    def _resolve(self) -> None:
        self.committed()
        batch, self._batch = self._batch, []
        finished, self._finished = self._finished, []
        for request in batch:
            if request.done is not None:
                request.done(request.value)
            if not request.future.done():
                request.future.set_result(request.value)
        for future in finished:
            if not future.done():
                future.set_result(None)

    def _after_checkpoint(self, error: Exception | None) -> None:
        self._committing = False
        if isinstance(error, POISON):
            self._poison()
        self._schedule()

    # Failure

    def _lose(self, error: Exception, *, poisoned: bool = False) -> None:
        """Roll the group back and fail all that was in it; or, if poisoned, everything."""
        if poisoned:
            self._poison()
            return
        if self.connection.in_transaction:
            with self.fence.own(), suppress(apsw.Error):
                self.connection.execute(_ROLLBACK)
        self._open = False
        self.undone()
        self._fail_group(error)
        self._schedule()

    def _fail_group(self, error: Exception) -> None:
        holder, self._turn = self._turn, None
        if holder is not None:
            holder.fail(error)
        batch, self._batch = self._batch, []
        finished, self._finished = self._finished, []
        for future in (*(request.future for request in batch), *finished):
            fail(future, error)

    def _poison(self) -> None:
        if not isinstance(self._failure, PoisonedError):
            self._end_all(PoisonedError())
            if self._on_poison is not None:
                self._on_poison()

    def _end_all(self, error: Exception) -> None:
        self._failure = error
        self._lose(error)
        self._fail_queued(error)
        reads, self._reads = self._reads, []
        for _, future in reads:
            fail(future, error)
        self._note_drained()

    def _fail_queued(self, error: Exception) -> None:
        requests, self._requests = self._requests, []
        turns, self._turns = self._turns, deque()
        for request in requests:
            fail(request.future, error)
        for waiter in turns:
            waiter.fail(error)

    # Rest

    def _serve_reads(self) -> None:
        reads, self._reads = self._reads, []
        for query, future in reads:
            if future.done():
                continue
            try:
                future.set_result(query(self.connection))
            except Exception as error:  # noqa: BLE001 - it belongs to the one who asked
                fail(future, error)
                if isinstance(error, POISON):
                    self._poison()

    def _force_deferred(self) -> None:
        self._deferred_timer = None
        self._deferred_due = bool(self._deferred)
        self._schedule()

    def _is_idle(self) -> bool:
        return not (self._has_work() or self._committing or self._reads or self._deferred)

    def _note_drained(self) -> None:
        if self._draining and (self._failure is not None or self._is_idle()):
            waiting, self._draining = self._draining, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


def _nothing() -> None:
    return None
