"""What a handler author sees: `Router`, `Context`, `Backoff`, and the signals `Retry` and `GiveUp`.

A handler is an async function of an event and a context, registered under a stable name. Returning means done. The
name is part of the mark, so changing it makes the handler a new one; `aliases` keeps the old marks.
"""

import difflib
import inspect
import math
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict, TypeVar, Unpack, get_args

from gateway.context import Context
from gateway.core.errors import PluginError
from gateway.core.event import Event
from gateway.core.matching import Pattern, compile_pattern
from gateway.core.outgoing import Answer, AnswerError, NotFoundError, OutgoingError
from gateway.core.versions import compile_version

__all__ = [
    "Answer",
    "AnswerError",
    "Backoff",
    "Context",
    "Event",
    "GiveUp",
    "Handler",
    "HandlerSignal",
    "NotFoundError",
    "OutgoingError",
    "Retry",
    "Router",
]

HandlerFunction = Callable[[Event, Context], Awaitable[None]]
F = TypeVar("F", bound=HandlerFunction)
Order = Literal["relaxed", "strict"]
Stale = Literal["run", "skip"]
Start = Literal["latest", "earliest"]

_DAY = 86400.0
# Marks are kept 90 days by default: a longer wait could outlive the mark of the event's first run.
_LONGEST_RETRY = 30 * _DAY
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_CACHED_TYPES = 4096


class HandlerSignal(Exception):  # noqa: N818 - it tells the gateway what to do next, nothing went wrong
    """What a handler raises to say how its run ends."""


class Retry(HandlerSignal):
    """Run this event again: after `after` seconds, or as the retry policy says. It counts as an attempt.

    `reason` is kept with the parked event, and with its dead letter if it comes to that.
    """

    def __init__(self, after: float | None = None, reason: str = "") -> None:
        if after is not None and not 0 <= after <= _LONGEST_RETRY:
            raise ValueError("after must be from 0 to 2,592,000 seconds (30 days)")
        when = f"again after {after:g} s" if after is not None else "again, as the policy says"
        super().__init__(f"{reason}: {when}" if reason else when)
        self.after = after
        self.reason = reason


class GiveUp(HandlerSignal):
    """Do not run this event again: make it a dead letter with this reason."""

    def __init__(self, reason: str = "the handler gave up") -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The retry policy; times in seconds.

    The pause after run n is `first * factor ** (n - 1)`, at most `most`, shifted at random by up to the fraction
    `jitter` either way. Up to `inline` runs follow each other within about ten seconds, and hold back later events of
    the key meanwhile; the others are durable. After `attempts` runs in all the event is a dead letter.

    The default makes 20 attempts in about three days, the last ones six hours apart.
    """

    attempts: int = 20
    first: float = 1.0
    factor: float = 4.0
    most: float = _DAY / 4
    jitter: float = 0.1
    inline: int = 3

    def __post_init__(self) -> None:
        """Refuse what would retry for ever or in the past."""
        for name, low, high in (
            ("attempts", 1, 1000),
            ("first", 0.0, _LONGEST_RETRY),
            ("factor", 1.0, 100.0),
            ("most", 0.0, _LONGEST_RETRY),
            ("jitter", 0.0, 1.0),
            ("inline", 1, 10),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise PluginError(f"Backoff({name}={value!r}) must be from {low} to {high}")


class HandlerOptions(TypedDict, total=False):
    """The options of `Router.on` and `Router.add`; times in seconds.

    provider, source: run for events of this provider, or of this configured source alone.
    where: a further condition, a plain function of the event; an exception in it is a failed run.
    retry: the retry policy.
    timeout: how long one run may take.
    concurrency: how many runs of this handler may go on at a time; None leaves it to the router.
    rate: how many runs a second may begin.
    order: whether later events of a key wait while an earlier one is parked for a durable retry.
    stale: `skip` does not run an event that is strictly older than the last one applied for its source and key.
    version: what makes it older: `time` (the provider's, the default), or a whole number at `json:a.b[0].c` or
        `header:name`. An event without a provider time runs unguarded; one without that number becomes a dead letter.
    aliases: earlier names of this handler, the oldest first; their marks and parked events count as its own.
    """

    provider: str | None
    source: str | None
    where: Callable[[Event], bool] | None
    retry: Backoff
    timeout: float
    concurrency: int | None
    rate: float | None
    order: Order
    stale: Stale
    version: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Handler:
    """One registered handler; the fields are those of `HandlerOptions`, checked and compiled.

    `by_time`: its stale guard goes by the provider's time.
    """

    name: str
    function: HandlerFunction
    pattern: Pattern
    provider: str | None = None
    source: str | None = None
    where: Callable[[Event], bool] | None = None
    retry: Backoff = field(default_factory=Backoff)
    timeout: float = 30.0
    concurrency: int | None = None
    rate: float | None = None
    order: Order = "relaxed"
    stale: Stale = "run"
    version: Callable[[Event], int | None] | None = None
    by_time: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its aliases: a mark under any of them is this handler's."""
        return (self.name, *self.aliases)

    @property
    def first_name(self) -> str:
        """The name it was born with; idempotency keys keep it, so that a rename does not repeat effects elsewhere."""
        return self.aliases[0] if self.aliases else self.name

    def takes(self, provider: str, source: str, event_type: str) -> bool:
        """Return whether an event of that origin and type may be for this handler; `where` is not asked."""
        return (
            (self.provider is None or self.provider == provider)
            and (self.source is None or self.source == source)
            and self.pattern.matches(event_type)
        )


class NamedSource(Protocol):
    """What `Router.problems` needs to know of a configured source."""

    @property
    def name(self) -> str:
        """The source's name."""
        ...

    @property
    def provider(self) -> str:
        """The provider's name."""
        ...


class Router:
    """A named group of handlers: one plugin. `gateway run` gives each router a worker process of its own.

    Args:
        name: stable; letters a-z, digits and dashes. The configuration names it too.
        schema: SQL that creates the router's own tables, run at each start: `create table if not exists ...`.
        lifespan: an async context manager, entered before the first event and left when the worker drains.
        start: where a new router begins: with what comes from now on, or with all that is stored.
    """

    def __init__(
        self,
        name: str,
        *,
        schema: str = "",
        lifespan: Callable[[], AbstractAsyncContextManager[object]] | None = None,
        start: Start = "latest",
    ) -> None:
        _check_name("router", name)
        _check_choice(f"router {name!r}", "start", start, get_args(Start))
        self.name = name
        self.schema = schema
        self.lifespan = lifespan
        self.start: Start = start
        self._handlers: dict[str, Handler] = {}
        self._owners: dict[str, Handler] = {}
        self._candidates: dict[tuple[str, str, str], tuple[Handler, ...]] = {}

    def __repr__(self) -> str:
        return f"Router({self.name!r}, handlers={list(self._handlers)})"

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The handlers in order of registration."""
        return tuple(self._handlers.values())

    def on(self, pattern: str, *, name: str, **options: Unpack[HandlerOptions]) -> Callable[[F], F]:
        """Register the decorated function; see `HandlerOptions`. The function itself is returned unchanged.

        Raises:
            PluginError: a wrong name, pattern, option or function.
        """

        def register(function: F) -> F:
            self.add(function, pattern, name=name, **options)
            return function

        return register

    def add(self, function: HandlerFunction, pattern: str, *, name: str, **options: Unpack[HandlerOptions]) -> Handler:
        """Register `function` for event types that match `pattern`: a literal, or a text that ends in `*`.

        Raises:
            PluginError: a wrong name, pattern, option or function.
        """
        handler = _compile(function, pattern, name, options)
        for known in handler.names:
            if known in self._owners:
                raise PluginError(f"router {self.name!r} has two handlers named {known!r} (aliases count)")
        self._handlers[name] = handler
        self._owners.update(dict.fromkeys(handler.names, handler))
        self._candidates.clear()
        return handler

    def handler(self, name: str) -> Handler | None:
        """Return the handler of that name or alias, or None."""
        return self._owners.get(name)

    def candidates(self, event: Event) -> tuple[Handler, ...]:
        """Return the handlers whose pattern, provider and source fit; `where` is not asked."""
        origin = (event.provider, event.source, event.type)
        found = self._candidates.get(origin)
        if found is None:
            if len(self._candidates) >= _CACHED_TYPES:  # types come from senders: the cache must stay bounded
                self._candidates.clear()
            found = tuple(handler for handler in self._handlers.values() if handler.takes(*origin))
            self._candidates[origin] = found
        return found

    def match(self, event: Event) -> tuple[Handler, ...]:
        """Return the handlers that would run for `event`, without running them; raises what a `where` raises."""
        return tuple(handler for handler in self.candidates(event) if handler.where is None or handler.where(event))

    def problems(self, sources: Iterable[NamedSource], *, timeless: Collection[str] = ()) -> list[str]:
        """Return what keeps handlers from working on these sources, each a sentence with the nearest valid word.

        `timeless` names the sources whose events carry no time of their own, which a stale guard by time would need.
        """
        providers = {source.name: source.provider for source in sources}
        found = [problem for handler in self.handlers for problem in _unreachable(handler, providers)]
        for handler in self.handlers:
            found += _unguarded(handler, {name: providers[name] for name in timeless if name in providers})
        if not self._handlers:
            found.append("no handlers are registered")
        return [f"router {self.name!r}: {problem}" for problem in found]


def _unreachable(handler: Handler, providers: dict[str, str]) -> list[str]:
    label = f"handler {handler.name!r}"
    found = []
    if handler.source is not None and handler.source not in providers:
        found.append(f"{label}: no source {handler.source!r} is configured{nearest(handler.source, providers)}")
    if handler.provider is not None and handler.provider not in providers.values():
        hint = nearest(handler.provider, providers.values())
        found.append(f"{label}: no source of provider {handler.provider!r} is configured{hint}")
    actual = providers.get(handler.source or "")
    if not found and actual and handler.provider not in (None, actual):
        found.append(f"{label}: source {handler.source!r} is of provider {actual!r}, not {handler.provider!r}")
    return found


def _unguarded(handler: Handler, timeless: Mapping[str, str]) -> list[str]:
    if not handler.by_time:
        return []
    remedy = 'give a version ("json:..."), or narrow the handler with provider= or source='
    return [
        f'handler {handler.name!r}: stale="skip" goes by the provider\'s time, and source {name!r} has none; {remedy}'
        for name, provider in timeless.items()
        if handler.source in (None, name) and handler.provider in (None, provider)
    ]


def _compile(function: HandlerFunction, pattern: str, name: str, options: HandlerOptions) -> Handler:
    label = f"handler {name!r}"
    for known in (name, *options.get("aliases", ())):
        _check_name("handler", known)
    for option in options:
        if option not in HandlerOptions.__annotations__:
            raise PluginError(f"{label}: unknown option {option!r}{nearest(option, HandlerOptions.__annotations__)}")
    _check_function(label, function)
    _check_values(label, options)
    values: dict[str, Any] = {key: value for key, value in options.items() if key != "version"}
    guarded, path = options.get("stale") == "skip", options.get("version", "time")
    try:
        return Handler(
            name=name,
            function=function,
            pattern=compile_pattern(pattern),
            version=compile_version(path) if guarded else None,
            by_time=guarded and path == "time",
            **values,
        )
    except ValueError as error:
        raise PluginError(f"{label}: {error}") from error


def _check_name(kind: str, name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PluginError(f"{kind} name {name!r}: use a-z, 0-9 and dashes, at most 63, not a dash first")


def _check_choice(label: str, option: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise PluginError(f"{label}: {option}={value!r} must be one of {', '.join(choices)}{nearest(value, choices)}")


def _check_function(label: str, function: object) -> None:
    if not callable(function):
        raise PluginError(f"{label}: a handler is an async function, not {type(function).__name__}")
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)):
        raise PluginError(f"{label} must be `async def`; call blocking code in it with `await asyncio.to_thread(...)`")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError as error:
        raise PluginError(f"{label}: a handler takes (event, ctx)") from error


def _check_values(label: str, options: HandlerOptions) -> None:
    _check_choice(label, "order", options.get("order", "relaxed"), get_args(Order))
    _check_choice(label, "stale", options.get("stale", "run"), get_args(Stale))
    if "version" in options and options.get("stale") != "skip":
        raise PluginError(f'{label}: version is only read with stale="skip"')
    retry: object = options.get("retry", Backoff())
    if not isinstance(retry, Backoff):
        raise PluginError(f"{label}: retry must be a Backoff")
    where: object = options.get("where")
    if where is not None and (not callable(where) or inspect.iscoroutinefunction(where)):
        raise PluginError(f"{label}: where must be a plain function of the event")
    for option, value in (("timeout", options.get("timeout")), ("rate", options.get("rate"))):
        if value is not None and not (0 < value < math.inf):
            raise PluginError(f"{label}: {option}={value!r} must be above 0")
    concurrency = options.get("concurrency")
    if concurrency is not None and concurrency < 1:
        raise PluginError(f"{label}: concurrency={concurrency!r} must be at least 1")


def nearest(word: object, words: Iterable[str]) -> str:
    """Return `; did you mean "..."?` with the nearest of `words`, or nothing."""
    close = difflib.get_close_matches(str(word), list(words), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
