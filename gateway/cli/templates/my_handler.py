"""A handler to start from: it keeps one row for each event of any source."""

from gateway import Context, Event, Router

router = Router(
    "my-handler",
    schema="create table if not exists seen (source text, id text, type text, primary key (source, id))",
)


@router.on("*", name="remember")
async def remember(event: Event, ctx: Context) -> None:
    """What is written through `ctx.tx` happens once, however often the event comes or this function is run."""
    await ctx.tx.execute(
        "insert into seen (source, id, type) values (:source, :id, :type) on conflict do nothing",
        {"source": event.source, "id": event.id, "type": event.type},
    )
