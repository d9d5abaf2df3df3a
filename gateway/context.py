"""The context of one run: what a handler is given beside the event, and takes nothing else from the gateway.

Once its run is over (it returned, failed, or outlived its timeout) every use of a context raises `TimeoutError`: a
handler that was given up can no longer write.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import orjson

from gateway.core.event import Event, from_micros
from gateway.core.outgoing import Answer, Ask
from gateway.keep.ports import AlreadyDone, StaleEvent, Turn

LINES_PER_RUN = 100
Parameters: TypeAlias = Mapping[str, Any] | None
Json: TypeAlias = Mapping[str, Any] | Sequence[Any] | str | int | float | bool | None

_POST_ANSWER = 2**16
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_log = logging.getLogger("gateway.handler")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a run knows of itself. `attempt` counts from 1; `salt` is a replay's id that asks for new keys."""

    router: str
    handler: str
    first_name: str
    event: Event
    attempt: int
    deadline_us: int
    replay_id: str
    salt: str


class Fence:
    """Whether the run still goes on; `reason` is why not."""

    __slots__ = ("reason",)

    def __init__(self) -> None:
        self.reason = ""

    def check(self) -> None:
        """Raise `TimeoutError` once the run is over."""
        if self.reason:
            raise TimeoutError(self.reason)


class LazyTx:
    """`ctx.tx`: the transaction opens, and the mark is written, at the first statement."""

    __slots__ = ("_begin", "_fence", "_opening", "ended", "turn")

    def __init__(self, begin: Callable[[], Awaitable[Turn]], fence: Fence) -> None:
        self._begin = begin
        self._fence = fence
        self._opening: asyncio.Lock | None = None
        self.turn: Turn | None = None
        self.ended: AlreadyDone | StaleEvent | None = None

    @property
    def connection(self) -> Any:
        """The driver's own connection; a statement must have run before, because opening has to be awaited."""
        self._fence.check()
        if self.turn is None:
            raise RuntimeError("run a statement through ctx.tx first: the transaction opens at its first awaited use")
        return self.turn.tx.connection

    async def execute(self, sql: str, parameters: Parameters = None) -> int:
        """Run one statement; return the number of rows it changed."""
        return await (await self._open()).tx.execute(sql, parameters)

    async def fetch_one(self, sql: str, parameters: Parameters = None) -> tuple[Any, ...] | None:
        """Run one query; return its first row."""
        return await (await self._open()).tx.fetch_one(sql, parameters)

    async def fetch_all(self, sql: str, parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Run one query; return all its rows."""
        return await (await self._open()).tx.fetch_all(sql, parameters)

    async def _open(self) -> Turn:
        self._fence.check()
        if self.turn is None:
            if self._opening is None:
                self._opening = asyncio.Lock()
            async with self._opening:
                await self._begin_once()
        self._fence.check()
        if self.ended is not None or self.turn is None:
            raise self.ended or TimeoutError(self._fence.reason)
        return self.turn

    async def _begin_once(self) -> None:
        if self.turn is not None or self.ended is not None:
            return
        try:
            turn = await self._begin()
        except (AlreadyDone, StaleEvent) as outcome:
            self.ended = outcome
            return
        if self._fence.reason:  # the run ended while a task it left behind waited for the turn
            await turn.rollback()
            return
        self.turn = turn


class RunLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that knows its run and stops after 100 lines, so that a handler cannot flood the log."""

    def __init__(self, facts: RunFacts, fence: Fence) -> None:
        event = facts.event
        extra = {
            "router": facts.router,
            "handler": facts.handler,
            "source": event.source,
            "event_id": event.id,
            "event_type": event.type,
            "attempt": facts.attempt,
        }
        super().__init__(_log, extra)
        self._fence = fence
        self._left = LINES_PER_RUN
        self.dropped = 0

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the run's facts to the line's own."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Write one line, or count it as dropped."""
        self._fence.check()
        if not self.isEnabledFor(level):
            return
        if self._left == 0:
            self.dropped += 1
            return
        self._left -= 1
        kwargs.setdefault("stacklevel", 2)
        super().log(level, msg, *args, **kwargs)

    def close(self) -> None:
        """Say once how many lines were dropped."""
        if self.dropped:
            _log.warning("handler.lines_dropped", extra={**(self.extra or {}), "dropped": self.dropped})


class Reaching(Protocol):
    """Runs the requests of handlers; `gateway.handle.fetching` has it, and tells what is raised."""

    async def fetch(self, event: Event, where: str | None, deadline_us: int) -> Answer:
        """Return the object that the event names, or what stands at `where` of the same API."""
        ...

    async def post(self, ask: Ask, deadline_us: int) -> Answer:
        """Run a request of the handler's own."""
        ...


class Context:
    """What a handler is given beside the event.

    Handlers get theirs from the gateway; tests get one through `gateway.testing.run`.
    """

    __slots__ = ("_facts", "_fence", "_log", "_reaching", "_tx")

    def __init__(self, facts: RunFacts, begin: Callable[[], Awaitable[Turn]], reaching: Reaching) -> None:
        self._facts = facts
        self._reaching = reaching
        self._fence = Fence()
        self._tx = LazyTx(begin, self._fence)
        self._log: RunLog | None = None

    @property
    def tx(self) -> LazyTx:
        """The transaction that also holds the mark: what it writes happens exactly once."""
        self._fence.check()
        return self._tx

    @property
    def idempotency_key(self) -> str:
        """A key for outside APIs, 32 hex digits: the same over retries, copies and replays of this event."""
        self._fence.check()
        facts = self._facts
        parts = f"{facts.router}\0{facts.first_name}\0{facts.salt}\0".encode()
        return blake2b(parts + facts.event.dedupe_key, digest_size=16).hexdigest()

    @property
    def attempt(self) -> int:
        """Which run of this event by this handler it is, from 1."""
        self._fence.check()
        return self._facts.attempt

    @property
    def deadline(self) -> datetime:
        """When this run is given up (aware, UTC)."""
        self._fence.check()
        return from_micros(self._facts.deadline_us)

    @property
    def replay_id(self) -> str | None:
        """The id of the replay that asked for this run, or None."""
        self._fence.check()
        return self._facts.replay_id or None

    @property
    def log(self) -> RunLog:
        """A logger that adds router, handler and event to each line; up to 100 lines a run."""
        self._fence.check()
        if self._log is None:
            self._log = RunLog(self._facts, self._fence)
        return self._log

    async def fetch(self, where: str | None = None) -> Answer:
        """Return the object that the event only names, from the API that the source configures under `fetch`.

        Args:
            where: a path of that API, or a URL of its hosts, to get instead.

        Raises:
            NotFoundError: there is no such object (404, 410), or the event names none.
            AnswerError: the API refused: the credential may not read this, say.
            OutgoingError: there was no answer, or the host is not one of the source's.
            Retry: the API asks for patience (429, 5xx), or the object is not final yet; to be let through.
        """
        self._fence.check()
        answer = await self._reaching.fetch(self._facts.event, where, self._facts.deadline_us)
        self._fence.check()
        return answer

    async def post(
        self, url: str, body: bytes | Json = b"", *, headers: Mapping[str, str] = _NO_HEADERS, private: bool = False
    ) -> Answer:
        """Post to a URL and return the answer, if it is 2xx. Redirects are refused, and answers above 64 KiB.

        What a post does happens at least once: a crash after it runs the handler again. Let the URL come from your
        configuration, never from the event.

        Args:
            url: `https`; with `private`, `http` too.
            body: bytes are sent as they are; all else as JSON.
            headers: of the request; they and the URL appear in no error and no log line.
            private: whether the host may be in this network; without it, public addresses alone are connected to.

        Raises:
            AnswerError: the host refused; a `NotFoundError` for 404 and 410.
            OutgoingError: there was no answer.
            Retry: the host asks for patience (429, 5xx); to be let through.
        """
        self._fence.check()
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        kind = {} if isinstance(body, bytes) else {"content-type": "application/json"}
        ask = Ask(
            url=url, method="POST", headers={**kind, **headers}, body=raw, max_bytes=_POST_ANSWER, private=private
        )
        answer = await self._reaching.post(ask, self._facts.deadline_us)
        self._fence.check()
        return answer

    def end(self, reason: str) -> LazyTx:
        """Fence this context for good and return its transaction. For the dispatcher; a handler has no use for it."""
        if not self._fence.reason:
            self._fence.reason = reason
            if self._log is not None:
                self._log.close()
        return self._tx
