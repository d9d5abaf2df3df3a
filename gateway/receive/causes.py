"""Why deliveries were refused, worked out after their answers: a try at a time in a thread, with rests between.

What is here bounds strangers, who choose what there is to work out: how many requests wait, how large they are, and how
often a source's are looked at. A request that finds no place is forgotten: its rejection has no cause.
"""

import asyncio
import itertools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from gateway.core.admission import Request
from gateway.core.diagnosis import Suspect, inquire
from gateway.receive.errands import Errands
from gateway.receive.rejections import Rejection

MOST_WAITING = 16
MOST_BYTES = 2**20
LARGEST_BODY = 64 * 2**10
# Parsing more holds the interpreter for several milliseconds; `gateway verify` tries that, too.
LARGEST_JSON = 16 * 2**10
EVERY_SECONDS = 1.0
MOST_TRIES = 256
LONGEST = 300
# A try takes a millisecond at most; between them the event loop has the interpreter for itself.
_REST_SECONDS = 0.004
_SEVERAL = 2
_LOOKED_INTO = ("signature_", "timestamp_", "body_digest_")

SuspectOf = Callable[[str], Suspect]
"""Returns a source, by name, as it is now."""

log = logging.getLogger("gateway.receive")


class Causes:
    """Works them out, one at a time.

    Args:
        suspect_of: tells what there is to try; None to work nothing out.
        explain: is told each cause.
        errands: owns the work.
    """

    def __init__(
        self, suspect_of: SuspectOf | None, explain: Callable[[Rejection, str], None], errands: Errands
    ) -> None:
        self._suspect_of = suspect_of
        self._explain = explain
        self._errands = errands
        self._waiting: deque[tuple[Rejection, Request]] = deque()
        self._bytes = 0
        self._last: dict[str, float] = {}
        self._running: asyncio.Task[None] | None = None

    def offer(self, rejection: Rejection, request: Request) -> None:
        """Take a refused delivery of a configured source on, if there is a place for it."""
        now, size = time.monotonic(), len(request.body)
        if self._suspect_of is None or size > LARGEST_BODY or not rejection.reason.startswith(_LOOKED_INTO):
            return
        if now - self._last.get(rejection.source, -math.inf) < EVERY_SECONDS:
            return
        if len(self._waiting) >= MOST_WAITING or self._bytes + size > MOST_BYTES:
            return
        self._last[rejection.source] = now
        self._bytes += size
        self._waiting.append((rejection, request))
        if self._running is None or self._running.done():
            self._running = self._errands.start(self._run())

    async def cause_of(self, source: str, request: Request) -> str:
        """Return why a source refuses a delivery, empty if that is not worked out. The text holds nothing secret."""
        if self._suspect_of is None or len(request.body) > LARGEST_BODY:
            return ""
        suspect = self._suspect_of(source)
        # The source's own documents note who reads them; they belong to the event loop.
        request = msgspec.structs.replace(request, keys=dict(request.keys))
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(_worked_out, suspect, request, stopped)
        except Exception as error:  # noqa: BLE001 - a defect of ours costs the cause; its text may hold what a sender wrote
            log.error("cause.failed", extra={"source": source, "error": type(error).__name__})  # noqa: TRY400 - as above
            return ""
        finally:
            stopped.set()

    async def _run(self) -> None:
        while self._waiting:
            rejection, request = self._waiting.popleft()
            self._bytes -= len(request.body)
            cause = await self.cause_of(rejection.source, request)
            if cause:
                self._explain(rejection, cause)
            del rejection, request


def _worked_out(suspect: Suspect, request: Request, stopped: threading.Event) -> str:
    found: list[str] = []
    tries = inquire(suspect, request, request.received_us, longest_json=LARGEST_JSON)
    for cause in itertools.islice(tries, MOST_TRIES):
        if cause:
            found.append(cause)
        if len(found) == _SEVERAL or stopped.wait(_REST_SECONDS):
            break
    text = "; ".join(found)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
