"""For handler authors: make events and signed requests, and run a router on an event, in memory and without waiting.

    results = await run(router, make_event(provider="stripe", type="invoice.paid", body={"id": "in_1"}))
    assert results[0].outcome == "done"

What a handler writes through `ctx.tx` is looked at through a `Memory` that outlives the run; it also remembers marks
and attempts, so that a second run of the same event is a duplicate or a retry, as in the gateway. An `Answers` answers
what it asks of others by `ctx.fetch` and `ctx.post`.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast
from urllib.parse import urlsplit

import orjson

from gateway.api import Handler, Router
from gateway.config.installed import PROVIDERS
from gateway.core.admission import Admission, Events, Request
from gateway.core.compile import compile_source
from gateway.core.event import Event, identity_digest
from gateway.core.objects import FetchOptions, ObjectApi, Objects
from gateway.core.outgoing import Answer, Ask, OutgoingError
from gateway.core.provider import Provider
from gateway.core.source import Secret, SignedRequest, SignRequest, Source, SourceOptions
from gateway.handle.dispatch import Dispatcher, Hooks, Rules
from gateway.handle.fetching import Outside
from gateway.handle.jobs import Job
from gateway.keep.ports import DeadFilter, DeadLetter, MarkKey, Outcome, Pair, Position
from gateway.keep.sqlite.state import SqliteState

SECRET = "whsec_" + base64.b64encode(b"for tests only, 24 bytes").decode()
URL = "https://hooks.example.com/webhooks/test"

_PLACE = Position(0, 1)

Json = Mapping[str, Any] | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one event at one handler. `held` is a strict handler's event behind one that waits for a retry.

    `error` is the type and text of what the handler raised, with its trace in `trace` if it made a dead letter.
    """

    handler: str
    outcome: Outcome | Literal["held"]
    attempt: int = 1
    error: str = ""
    trace: str = ""


class Memory:
    """A router's state in memory. Make it in a running event loop: `async with Memory(router) as memory`."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.state = SqliteState.in_memory(router.name)
        self.attempts: dict[MarkKey, int] = {}

    async def __aenter__(self) -> Self:
        await self.state.store.apply_schema(self._router.schema)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.state.close()

    async def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return what a query of the router's tables finds."""
        key = MarkKey("testing", sql.encode())
        turn = await self.state.store.begin(key, version=None, attempt=0, limit=10.0)
        try:
            return await turn.tx.fetch_all(sql, parameters)
        finally:
            await turn.rollback()

    async def trace(self, key: MarkKey) -> str:
        """Return the trace of that pair's dead letter, empty if there is none."""
        letters = [letter for letter in await self.dead_letters() if letter.pair.event.dedupe_key == key.dedupe_key]
        return next((letter.trace for letter in letters if letter.pair.handler == key.handler), "")

    async def dead_letters(self) -> Sequence[DeadLetter]:
        """Return the router's dead letters, oldest first."""
        return await self.state.parking.dead_letters(DeadFilter(), limit=1000)


Canned = Answer | OutgoingError | int | bytes | Json


class Answers:
    """What `ctx.fetch` and `ctx.post` get, by the full URL that they ask.

        answers = Answers({"https://api.mollie.com/v2/payments/tr_1": {"id": "tr_1", "status": "paid"}})
        results = await run(router, event, answers=answers)
        assert answers.asked[0].method == "GET"

    An answer is what becomes JSON, bytes, a status, an `Answer`, or an `OutgoingError`; of a tuple the first request
    gets the first, and the last is for all that follow. Pauses take no time.

    Args:
        by_url: the answers.
        named: where the object stands that an event names, as in `fetch.object` of the configuration; by default where
            its provider says.

    Attributes:
        asked: the requests, in order.
    """

    def __init__(self, by_url: Mapping[str, Canned | tuple[Canned, ...]], *, named: str | None = None) -> None:
        self.asked: list[Ask] = []
        self._left = {url: list(said) if isinstance(said, tuple) else [said] for url, said in by_url.items()}
        self._named = named

    async def fetch(self, ask: Ask, seconds: float) -> Answer:  # noqa: ARG002 - the signature of a Fetch
        """Answer one request."""
        self.asked.append(ask)
        if ask.url not in self._left:
            raise OutgoingError(f"the test gives no answer for {ask.method} {ask.url}")
        left = self._left[ask.url]
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, OutgoingError):
            raise said
        if isinstance(said, Answer):
            return said
        if isinstance(said, int):
            return Answer(said, {}, b"")
        return Answer(200, {}, said if isinstance(said, bytes) else orjson.dumps(said))

    def outside(self, event: Event) -> Outside:
        """Return what `run` gives the handlers."""
        known = PROVIDERS[event.provider].object_api if event.provider in PROVIDERS else None
        api = known or ObjectApi()
        told = (urlsplit(url).netloc for url in (self._named or "", *self._left))
        hosts = tuple(dict.fromkeys((*api.hosts, *filter(None, told)))) or ("api.example.com",)
        options = FetchOptions(credential="test", hosts=hosts, url=self._named, rate=1e9, private=True)
        return Outside(fetch=self.fetch, sources={event.source: Objects(api, options)}, sleep=_no_pause)


async def _no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


async def run(
    router: Router, event: Event, *, store: Memory | None = None, answers: Answers | None = None
) -> list[Result]:
    """Run each handler of `router` that matches `event` once, in order of registration, and return what became of it.

    A failed run is not repeated: its outcome is `retry` or `dead`, as the handler's policy has it; run the event again
    on the same `store` for the next attempt. The router's lifespan is open meanwhile.
    """
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(Memory(router)) if store is None else store
        if router.lifespan is not None:
            await stack.enter_async_context(router.lifespan())
        rules = Rules(outside=(answers or Answers({})).outside(event))
        results = [await _run_one(router, handler, event, memory, rules) for handler in router.candidates(event)]
    return [result for result in results if result is not None]


async def _run_one(router: Router, handler: Handler, event: Event, memory: Memory, rules: Rules) -> Result | None:
    done = memory.attempts.get(MarkKey(handler.name, event.dedupe_key), 0)
    pair = Pair(handler=handler.name, event=event, position=_PLACE, attempt=done, parked_id=0 if done else None)
    job = Job(pair, handler, lambda _entry: None, fresh=not done)
    job.task, job.recheck = asyncio.current_task(), True
    told = _Told()
    hooks = Hooks(hung=lambda _job: None, ended=lambda _job, _outcome: None)
    state = memory.state
    dispatcher = Dispatcher(router.name, state.store, state.parking, told, rules=rules, hooks=hooks)
    await dispatcher.run(job, lambda _job: None)
    memory.attempts[job.key] = job.pair.attempt
    if told.outcome is not None:
        trace = await memory.trace(job.key) if told.outcome == "dead" else ""
        return Result(handler.name, told.outcome, done + 1, job.pair.error, trace)
    held = handler.order == "strict" and state.parking.holds(handler.name, event.key)
    return Result(handler.name, "held") if held else None  # None: its `where` said no


class _Told:
    """The meter of one run."""

    outcome: Outcome | None = None

    def ran(self, handler: str, outcome: str, seconds: float) -> None:  # noqa: ARG002 - the port's signature
        self.outcome = cast("Outcome", outcome)

    def died(self, handler: str, reason: str) -> None:
        pass

    def done(self, age_seconds: float) -> None:
        pass

    def replayed(self, count: int) -> None:
        pass


def make_event(*, body: bytes | Json = b"{}", **over: Any) -> Event:
    """Return a valid event, for any provider; each field can be given, `body` as bytes or as what becomes JSON.

    Identity and digests follow from `source`, `id` and `body`. For an event as the provider's own fields make it, see
    `received`.
    """
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    event_id = over.get("id", "evt_test")
    source = over.get("source", over.get("provider", "test"))
    now_us = time.time_ns() // 1000
    identity = identity_digest(source, event_id)
    fields = {
        "source": source,
        "provider": "custom",
        "id": event_id,
        "type": "test",
        "time_us": now_us,
        "received_us": now_us,
        "key": event_id,
        "headers": {},
        "body": raw,
        "content_type": "application/json",
        "verified_by": "test",
        "flags": (),
        "delivery_id": "test",
        "batch_index": None,
        "body_sha256": hashlib.sha256(raw).digest(),
        "identity": identity,
        "dedupe_key": identity,
    }
    return Event(**{**fields, **over})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a test delivery differs from the plain one; `now_us` is the time of signing, by default the present."""

    event_id: str = "evt_test"
    event_type: str = "test"
    secret: str = SECRET
    content_type: str = "application/json"
    now_us: int | None = None
    source: str = ""
    order_by: str | None = None
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def signed_request(provider: str, body: bytes | Json, delivery: Delivery | None = None) -> SignedRequest:
    """Return the request the provider would send, signed with `delivery.secret`, for any HTTP client.

    Raises:
        KeyError: there is no such provider.
        ValueError: the secret does not fit the provider, or only the provider can sign.
    """
    chosen = delivery or Delivery()
    source = _source(provider, chosen)
    if source.sign is None:
        raise ValueError(f"only {provider} itself can sign")
    return source.sign(
        SignRequest(
            body=body if isinstance(body, bytes) else orjson.dumps(body),
            now_us=_now_us(chosen),
            event_id=chosen.event_id,
            event_type=chosen.event_type,
            content_type=chosen.content_type,
        )
    )


def received(provider: str, body: bytes | Json, delivery: Delivery | None = None) -> tuple[Event, ...]:
    """Sign `body` as the provider does and return what the gateway makes of it: ids, types, times and keys are real.

    Raises:
        KeyError: there is no such provider.
        ValueError: it cannot be signed, or it is refused or answered without an event (a challenge).
    """
    chosen = delivery or Delivery()
    signed = signed_request(provider, body, chosen)
    request = Request(
        method=signed.method,
        query=signed.query,
        headers={name.lower().encode(): value.encode("latin-1") for name, value in signed.headers.items()},
        repeated=frozenset(),
        body=signed.body,
        received_us=_now_us(chosen),
        delivery_id="test",
    )
    admission = _source(provider, chosen).admit(request, _now_us(chosen))
    if not isinstance(admission, Events):
        raise ValueError(f"no events: {admission}")  # noqa: TRY004 - the delivery is at fault, not its type
    return admission.events


def _source(provider: str, delivery: Delivery) -> Source:
    options = SourceOptions(public_url=URL, order_by=delivery.order_by, values=delivery.settings)
    found = PROVIDERS[provider]
    secrets = () if found.secrets == "none" else (Secret("test", delivery.secret),)
    return compile_source(found, name=delivery.source or provider, secrets=secrets, options=options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A request as a provider's documentation or library shows it, with its secret: what a `Provider` must admit.

    `url` is the full one, `now` in seconds since the epoch.
    """

    headers: Mapping[str, str]
    body: bytes
    secret: str = ""
    url: str = URL
    method: str = "POST"
    now: float | None = None
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def admitted(provider: Provider, vector: Vector) -> Admission:
    """Return what the gateway makes of a vector: `Events` or a `Handshake`, or `Rejected` with the reason.

    Raises:
        ValueError: the secret or a setting does not fit the provider.
    """
    url, _, query = vector.url.partition("?")
    now_us = time.time_ns() // 1000 if vector.now is None else round(vector.now * 1_000_000)
    options = SourceOptions(
        public_url=url,
        values=vector.settings,
        allow_unverified=provider.secrets == "optional" and not vector.secret,
    )
    secrets = (Secret("test", vector.secret),) if vector.secret else ()
    source = compile_source(provider, name="test", secrets=secrets, options=options)
    request = Request(
        method=vector.method,
        query=query.encode(),
        headers={name.lower().encode(): value.encode("latin-1") for name, value in vector.headers.items()},
        repeated=frozenset(),
        body=vector.body,
        received_us=now_us,
        delivery_id="test",
    )
    return source.admit(request, now_us)


def _now_us(delivery: Delivery) -> int:
    return time.time_ns() // 1000 if delivery.now_us is None else delivery.now_us
