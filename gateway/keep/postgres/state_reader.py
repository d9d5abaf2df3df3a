"""Reading the routers' state in Postgres from outside their workers: for the catalogue and the commands.

Each function asks in one statement, which sees one moment. Raises DependencyError where Postgres cannot be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from gateway.keep.pairs import DEAD_COLUMNS, dead_from
from gateway.keep.ports import DeadLetter, PairStatus, Replay, Stored
from gateway.keep.postgres.questions import Connection, ask
from gateway.keep.postgres.replays import read_replay

# A worker that was not seen for so long is taken for gone.
PRESENCE_SECONDS = 15

_SUMMARY = f"""
    select paused,
        (select count(*) from gateway.parked where router = name),
        (select count(*) from gateway.dead where router = name),
        (select coalesce(sum(events), 0)::bigint from gateway.gap where router = name),
        exists (select 1 from gateway.worker where router = name
            and seen_us > extract(epoch from clock_timestamp() - interval '{PRESENCE_SECONDS} s') * 1000000)
    from gateway.router where name = %s
"""
_STATES = """
    select h.router, h.name, m.replay, case when m.outcome in ('stale', 'dead') then m.outcome else 'done' end,
        m.attempts, m.at_us, null::bigint, ''
        from gateway.handler h join gateway.mark m on m.handler = h.id and m.dedupe_key = %(key)s
    union all
    select router, handler, replay, case when due_us is null then 'held' else 'retrying' end,
        attempt, at_us, due_us, error from gateway.parked where dedupe_key = %(key)s
    union all
    select router, handler, replay, 'dead', attempt, died_us, null, error
        from gateway.dead where dedupe_key = %(key)s
    union all
    select r.name, '', '', 'pending', 0, null, null, ''
        from gateway.router r left join gateway.cursor c on c.router = r.name and c.partition = %(partition)s
        where %(offset)s > coalesce(c."offset", -1)
"""
_DEAD = f"""
    select router, {DEAD_COLUMNS} from gateway.dead
    where id > %(after)s and (%(router)s::text is null or router = %(router)s) order by id limit %(limit)s
"""
_OLDEST = """
    select min(first_us) from unnest(%s::bigint[], %s::bigint[]) as asked (partition, past), lateral (
        select received_us as first_us from gateway.event e
        where e.partition = asked.partition and e."offset" > asked.past order by e."offset" limit 1
    ) found
"""


@dataclass(frozen=True, slots=True)
class StateSummary:
    """One router's numbers: `paused` is the cause or empty, `running` whether a worker was seen just now.

    `gap` is how many events the log let go before the router had them, as far as its workers came upon it.
    """

    registered: bool = False
    parked: int = 0
    dead: int = 0
    gap: int = 0
    paused: str = ""
    running: bool = False


def routers(connection: Connection) -> Sequence[str]:
    """Return the routers that are registered, by name."""
    return sorted(name for (name,) in ask(connection, "select name from gateway.router"))


def summary(connection: Connection, router: str) -> StateSummary:
    """Return the numbers of a router; one that is not registered has none."""
    for paused, parked, dead, gap, running in ask(connection, _SUMMARY, (router,)):
        return StateSummary(registered=True, parked=parked, dead=dead, gap=gap, paused=paused, running=running)
    return StateSummary()


def cursors(connection: Connection, router: str) -> Mapping[int, int]:
    """Return the last handled offset of each partition that the router has begun."""
    rows: list[Any] = ask(connection, 'select partition, "offset" from gateway.cursor where router = %s', (router,))
    return dict(rows)


def gaps(connection: Connection, router: str) -> Mapping[int, int]:
    """Return the last offset of each partition that is known to be let go unhandled."""
    sql = "select partition, max(after + events) from gateway.gap where router = %s group by partition"
    return dict(cast("list[Any]", ask(connection, sql, (router,))))


def replay(connection: Connection, router: str, replay_id: str) -> Replay | None:
    """Return where a replay stands, None if it is not remembered."""
    rows = ask(connection, "select document from gateway.replay where router = %s and id = %s", (router, replay_id))
    return read_replay(rows[0][0]) if rows else None


def oldest_received_after(connection: Connection, places: Mapping[int, int]) -> int | None:
    """Return when the first event past these offsets was received, in microseconds, as far as it is indexed."""
    ((oldest_us,),) = ask(connection, _OLDEST, (list(places), list(places.values())))
    return cast("int | None", oldest_us)


def pair_states(connection: Connection, stored: Stored) -> list[PairStatus]:
    """Return what each handler of each router made of a stored event; one that has it pending bears the name "".

    Which handlers match an event is known to the worker alone: an event past the cursor that no handler has an outcome
    of is `pending` for the router as a whole, one before it simply matched none.
    """
    if stored.event is None:
        return []
    values = {"key": stored.event.dedupe_key, **stored.position._asdict()}
    found = [_status(row) for row in ask(connection, _STATES, values)]
    return sorted(found, key=lambda status: (status.router, status.handler, status.replay))


def dead_letters(connection: Connection, router: str | None, *, limit: int, after_id: int) -> list[DeadLetter]:
    """Return up to `limit` dead letters with numbers past `after_id`, oldest first.

    Raises:
        EnvelopeError: one of them cannot be decoded.
    """
    rows = ask(connection, _DEAD, {"router": router, "after": after_id, "limit": limit})
    return [dead_from(row[0], row[1:]) for row in rows]


def _status(row: Sequence[Any]) -> PairStatus:
    router, handler, replay, state, attempts, at_us, next_us, error = row
    return PairStatus(
        router=router,
        handler=handler,
        state=state,
        attempts=attempts,
        at_us=at_us,
        next_us=next_us,
        error=error,
        replay=replay,
    )
