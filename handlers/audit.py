"""Keeps one row of every event of every source: what came, when, and whether anything about it was odd.

A router for all sources needs no body: it works for a source that is added tomorrow.
"""

from gateway import Context, Event, Router

SCHEMA = """
create table if not exists audit (
    source text not null,
    id text not null,
    type text not null,
    received_at text not null,
    bytes integer not null,
    flags text not null
);
create index if not exists audit_source on audit (source, received_at);
"""

router = Router("audit", schema=SCHEMA, start="earliest")


@router.on("*", name="keep-row")
async def keep_row(event: Event, ctx: Context) -> None:
    """Write the event's row; a redelivery adds none, because the row and its mark are one transaction."""
    await ctx.tx.execute(
        "insert into audit (source, id, type, received_at, bytes, flags)"
        " values (:source, :id, :type, :received_at, :bytes, :flags)",
        {
            "source": event.source,
            "id": event.id,
            "type": event.type,
            "received_at": event.received_at.isoformat(),
            "bytes": len(event.body),
            "flags": " ".join(event.flags),
        },
    )
