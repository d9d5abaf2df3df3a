"""The public API as handler authors use it: this file must type-check under `mypy --strict`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway import (
    Answer,
    AnswerError,
    Backoff,
    Context,
    Event,
    GiveUp,
    NotFoundError,
    OutgoingError,
    Retry,
    Router,
)
from gateway.testing import Answers, Memory, Result, make_event, received, run


class Client:
    async def send(self, key: str) -> None: ...


@asynccontextmanager
async def clients() -> AsyncIterator[Client]:
    yield Client()


@dataclass
class Invoice:
    id: str
    amount: int


router = Router("r", schema="create table if not exists t (id text)", lifespan=clients, start="earliest")


@router.on("invoice.*", name="plain")
async def plain(event: Event, ctx: Context) -> None:
    changed: int = await ctx.tx.execute("insert into t (id) values (:id)", {"id": event.id})
    row: tuple[object, ...] | None = await ctx.tx.fetch_one("select id from t")
    rows: list[tuple[object, ...]] = await ctx.tx.fetch_all("select id from t where id = :id", {"id": event.id})
    ctx.log.info("written", extra={"changed": changed, "row": row, "rows": len(rows)})


@router.on(
    "*",
    name="every-option",
    provider="stripe",
    source="stripe-eu",
    where=lambda event: event.key != "",
    retry=Backoff(attempts=5, first=1.0, factor=2.0, most=60.0, jitter=0.2),
    timeout=10,
    concurrency=4,
    rate=2.5,
    order="strict",
    stale="skip",
    version="json:data.object.version",
    aliases=("first-name",),
)
async def every_option(event: Event, ctx: Context) -> None:
    invoice: Invoice = event.parse(Invoice)
    key: str = ctx.idempotency_key
    if ctx.attempt > 2 or ctx.replay_id is not None:
        raise GiveUp(f"{invoice.id} {key} {ctx.deadline.isoformat()}")
    raise Retry(after=60)


@router.on("*", name="asks")
async def asks(event: Event, ctx: Context) -> None:
    try:
        answer: Answer = await ctx.fetch()
        invoice: dict[str, int] = (await ctx.fetch("/v1/invoices/in_1")).json()
    except NotFoundError as error:
        raise GiveUp(f"gone: {error.status}") from error
    except (AnswerError, OutgoingError) as error:
        raise Retry(after=60, reason=str(error)) from error
    body: bytes = answer.body
    await ctx.post("https://a.example/", body, headers={"x-id": answer.headers["x-id"]})
    status: int = (await ctx.post("https://a.example/", {"ids": [invoice]}, private=True)).status
    ctx.log.info("posted", extra={"status": status})


# The decorator keeps the function's own type, so that it can be called in a test of its own.
async def call_directly(event: Event, ctx: Context) -> None:
    await plain(event, ctx)


async def test_of_an_author() -> None:
    async with Memory(router) as memory:
        results: list[Result] = await run(router, make_event(body={"id": "in_1"}), store=memory)
        await run(router, make_event(), answers=Answers({"https://a.example/": (500, {"id": 1})}, named="/{json:id}"))
        await memory.rows("select id from t")
    assert results[0].outcome == "done"
    assert [handler.name for handler in router.match(received("stripe", b"{}")[0])]
