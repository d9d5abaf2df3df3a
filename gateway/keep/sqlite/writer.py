"""The writer's thread: takes what is queued, commits it at once, answers, tidies up, and begins again.

There is no timer: the commit under way is what gathers the next batch. Only this thread uses the connection: apsw
waits for a connection in use while it holds the interpreter's lock, and the thread that uses it waits for that lock.
"""

import logging
import queue
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from gateway.core.errors import Unavailable, UnavailableReason
from gateway.keep.sqlite.batches import REFUSED, Batches, Result, refusal
from gateway.keep.sqlite.options import Entry
from gateway.keep.sqlite.upkeep import SLICE_SECONDS, TICK_SECONDS, Upkeep

log = logging.getLogger("gateway.keep")

MAX_EVENTS, MAX_BYTES = 512, 4 * 2**20

Inbox = queue.SimpleQueue[Sequence[Entry] | None]


class Answers(Protocol):
    """Who is told; called on the writer's thread."""

    def settle(self, entries: Sequence[Entry], results: Sequence[Result]) -> None:
        """Pass on the outcomes of one batch."""
        ...

    def poisoned(self) -> None:
        """Learn that nothing can be written any more."""
        ...

    def ended(self, *, poisoned: bool) -> None:
        """Learn that the thread is about to end."""
        ...


class Writer:
    """Runs until None comes through the inbox. `poisoned` is set for good by the first fatal error."""

    def __init__(self, batches: Batches, upkeep: Upkeep, answers: Answers, wake: Callable[[], None]) -> None:
        self.inbox: Inbox = queue.SimpleQueue()
        self._batches = batches
        self._upkeep = upkeep
        self._answers = answers
        self._wake = wake
        self._poisoned = self._refusing = False
        self._closing = False
        self._more_upkeep = False

    def run(self) -> None:
        """Work until told to end; what was queued before is finished first."""
        try:
            while not self._closing:
                entries = self._take()
                if entries:
                    self._store(entries)
                self._tidy(stored=bool(entries))
        except Exception as error:  # noqa: BLE001 - a thread that ended unnoticed would leave appends waiting for ever
            self._poison(error)
        finally:
            self._answers.ended(poisoned=self._poisoned)

    def _take(self) -> list[Entry]:
        """Wait for an append, then take what came with it, up to the batch's bounds."""
        entries: list[Entry] = []
        size = 0
        wait = SLICE_SECONDS if self._more_upkeep else TICK_SECONDS
        try:
            while len(entries) < MAX_EVENTS and size < MAX_BYTES:
                some = self.inbox.get(timeout=wait) if wait else self.inbox.get_nowait()
                if some is None:
                    self._closing = True
                    break
                wait = 0.0
                entries.extend(some)
                size += sum([entry.size for entry in some])
        except queue.Empty:
            pass
        return entries

    def _store(self, entries: Sequence[Entry]) -> None:
        results: Sequence[Result]
        if self._poisoned:
            results = _all(entries, "log_down", written=False)
        else:
            try:
                results = self._batches.store(entries)
                self._refusing = False
            except REFUSED as error:
                self._say_once(error)
                results = [refusal(error) for _ in entries]
            except Exception as error:  # noqa: BLE001 - whatever it is, the waiting futures must learn of it
                self._poison(error)
                results = _all(entries, "log_down", written=None)
        self._answers.settle(entries, results)

    def _tidy(self, *, stored: bool) -> None:
        if self._poisoned:
            return
        try:
            if stored:
                self._wake()
            self._more_upkeep = self._upkeep.run(self._batches.last_offset, idle=self.inbox.empty())
            if self._closing:
                self._upkeep.finish()
        except REFUSED as error:
            self._more_upkeep = False
            self._say_once(error)
        except Exception as error:  # noqa: BLE001 - as above: a thread that just ends would leave the process deaf
            self._poison(error)

    def _say_once(self, error: Exception) -> None:
        """A full disk, or a stranger's lock: nothing was written, and the log goes on. Said once until it does."""
        if not self._refusing:
            self._refusing = True
            log.warning("log.refused", extra={"error": type(error).__name__})

    def _poison(self, error: Exception) -> None:
        self._poisoned = True
        self._more_upkeep = False
        log.critical("log.poisoned", extra={"error": type(error).__name__})
        self._answers.poisoned()


def _all(entries: Sequence[Entry], reason: UnavailableReason, *, written: Literal[False] | None) -> list[Result]:
    return [Unavailable(reason, written=written) for _ in entries]
