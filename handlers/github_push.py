"""Keeps each push to a GitHub repository, in the order GitHub told of them.

Events of one repository share a key (`order_by: "json:repository.id"`), and `order="strict"` holds later pushes back
while an earlier one waits for its retry: the last row of a branch is where the branch stands.
"""

from gateway import Context, Event, Router

SCHEMA = """
create table if not exists push (
    number integer primary key,
    repository text not null,
    ref text not null,
    head text not null,
    commits integer not null,
    pusher text
);
create index if not exists push_ref on push (repository, ref);
"""

router = Router("github-push", schema=SCHEMA)


@router.on("push", provider="github", name="record-push", order="strict")
async def record_push(event: Event, ctx: Context) -> None:
    """Append the push; a deleted branch has a head of zeros."""
    push = event.json()
    await ctx.tx.execute(
        "insert into push (repository, ref, head, commits, pusher)"
        " values (:repository, :ref, :head, :commits, :pusher)",
        {
            "repository": push["repository"]["full_name"],
            "ref": push["ref"],
            "head": push["after"],
            "commits": len(push.get("commits", ())),
            "pusher": push.get("pusher", {}).get("name"),
        },
    )
    ctx.log.info("push.recorded", extra={"repository": push["repository"]["full_name"]})
