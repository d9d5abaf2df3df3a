"""Mistakes that a type checker must find: each line marked `E: code` has that error, and no other line has one."""

from gateway import Backoff, Context, Event, Retry, Router

router = Router("r", start="newest")  # E: arg-type


@router.on("*", name="sync")  # E: type-var
def sync(event: Event, ctx: Context) -> None: ...


@router.on("*", name="no-context")  # E: type-var
async def no_context(event: Event) -> None: ...


@router.on("*", name="wrong-order")  # E: type-var
async def wrong_order(ctx: Context, event: Event) -> None: ...


@router.on("*")  # E: call-arg
async def unnamed(event: Event, ctx: Context) -> None: ...


@router.on("*", name="typo", concurency=3)  # E: call-arg
async def typo(event: Event, ctx: Context) -> None: ...


@router.on("*", name="word", order="strikt")  # E: arg-type
async def word(event: Event, ctx: Context) -> None: ...


@router.on("*", name="policy", retry=3)  # E: arg-type
async def policy(event: Event, ctx: Context) -> None: ...


@router.on("*", name="uses")
async def uses(event: Event, ctx: Context) -> None:
    event.id = "other"  # E: misc
    ctx.attempt = 2  # E: misc
    await ctx.tx.execute("insert into t values (?)", [event.id])  # E: arg-type
    ctx.tx.execute("delete from t")  # E: unused-coroutine
    ctx.fetch()  # E: unused-coroutine
    await ctx.fetch(event)  # E: arg-type
    await ctx.post("https://a.example/", {event.id})  # E: arg-type
    (await ctx.fetch()).status = 200  # E: misc
    raise Retry(after="soon")  # E: arg-type


Backoff(max_attempts=3)  # E: call-arg
