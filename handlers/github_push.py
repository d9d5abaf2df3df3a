"""Keeps each push to a GitHub repository, in the order GitHub told of them.

Events of one repository share a key (`order_by: "json:repository.id"`), and `order="strict"` holds later pushes back
while an earlier one waits for its retry: the row of a branch that was received last is where the branch stands.
"""

from gateway import Context, Event, Router

SCHEMA = """
create table if not exists push (
    id text not null,
    repository text not null,
    ref text not null,
    head text not null,
    commits integer not null,
    pusher text,
    received_at text not null
);
create index if not exists push_ref on push (repository, ref, received_at);
"""

router = Router("github-push", schema=SCHEMA)


@router.on("push", provider="github", name="record-push", order="strict")
async def record_push(event: Event, ctx: Context) -> None:
    """Append the push; a deleted branch has a head of zeros."""
    push = event.json()
    await ctx.tx.execute(
        "insert into push (id, repository, ref, head, commits, pusher, received_at)"
        " values (:id, :repository, :ref, :head, :commits, :pusher, :received_at)",
        {
            "id": event.id,
            "repository": push["repository"]["full_name"],
            "ref": push["ref"],
            "head": push["after"],
            "commits": len(push.get("commits", ())),
            "pusher": push.get("pusher", {}).get("name"),
            "received_at": event.received_at.isoformat(),
        },
    )
    ctx.log.info("push.recorded", extra={"repository": push["repository"]["full_name"]})
