"""Reading a router's state file from outside its worker: for the catalogue, the command line and the log's retention.

Every function opens the file READONLY for one short read; a file that is absent or not yet registered is a router
without anything. Raises DependencyError where the file exists and cannot be read, DamagedError where it cannot be
understood.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from gateway.core.errors import DamagedError, DependencyError
from gateway.keep.ports import DeadFilter, DeadLetter, PairState, PairStatus, Replay, Stored
from gateway.keep.sqlite.connection import open_reader
from gateway.keep.sqlite.parking import read_dead
from gateway.keep.sqlite.replays import read_replay

_FINISHED: dict[str, PairState] = {"stale": "stale", "dead": "dead"}


@dataclass(frozen=True, slots=True)
class StateSummary:
    """One router's numbers: `cursor` is None before it is registered, `paused` the cause or empty."""

    router: str
    log_id: str | None
    cursor: int | None
    parked: int
    dead: int
    paused: str


def summary(path: Path) -> StateSummary:
    """Return the numbers of the router whose state is at `path`."""
    with _reading(path) as connection:
        if connection is None:
            return StateSummary(path.stem, None, None, 0, 0, "")
        rows: list[Any] = connection.execute("select key, value from gateway_meta").fetchall()
        meta = dict(rows)
        return StateSummary(
            router=str(meta.get("router", path.stem)),
            log_id=meta.get("log_id"),
            cursor=_cursor(connection),
            parked=_count(connection, "gateway_parked"),
            dead=_count(connection, "gateway_dead"),
            paused=str(meta.get("paused", "")),
        )


def cursor(path: Path) -> int | None:
    """Return the offset up to which all is durably handled, or None if the router is not registered."""
    with _reading(path) as connection:
        return None if connection is None else _cursor(connection)


def needed_after(path: Path) -> int | None:
    """Return the offset after which the log must keep everything: for the cursor and the running replays.

    None if the router is not registered. Parked pairs and dead letters hold their own copies.
    """
    with _reading(path) as connection:
        if connection is None:
            return None
        places = [place for place in (_cursor(connection),) if place is not None]
        places += [replay.at.get(0, 0) for replay in _running(connection)]
        return min(places, default=None)


def replays(path: Path) -> Sequence[Replay]:
    """Return the replays that are remembered, by id."""
    with _reading(path) as connection:
        if connection is None:
            return ()
        rows = connection.execute("select document from gateway_replay order by id")
        return tuple(read_replay(row[0]) for row in rows)


def dead_letters(path: Path, where: DeadFilter | None = None, *, limit: int, after_id: int = 0) -> Sequence[DeadLetter]:
    """Return up to `limit` dead letters with ids past `after_id`, oldest first.

    Raises:
        EnvelopeError: one of them cannot be decoded.
    """
    with _reading(path) as connection:
        if connection is None:
            return ()
        where = DeadFilter() if where is None else where
        return read_dead(connection, path.stem, where, limit=limit, after_id=after_id)


def pair_states(path: Path, stored: Stored) -> list[PairStatus]:
    """Return what each handler made of a stored event, by name; one that has it pending bears the name "".

    Which handlers match an event is known to the worker alone: an event past the cursor that no handler has an outcome
    of is `pending` for the router as a whole, one before it simply matched none.
    """
    if stored.event is None:
        return []
    with _reading(path) as connection:
        if connection is None:
            return []
        key, router = stored.event.dedupe_key, path.stem
        found = [*_marks(connection, router, key), *_parked(connection, router, key), *_dead(connection, router, key)]
        at = _cursor(connection)
    if at is not None and stored.position.offset > at:
        found.append(PairStatus(router=router, handler="", state="pending"))
    return sorted(found, key=lambda status: (status.handler, status.replay))


def _marks(connection: apsw.Connection, router: str, key: bytes) -> Iterator[PairStatus]:
    rows = connection.execute(
        "select h.name, m.outcome, m.attempts, m.at_us, m.replay from gateway_handler h"
        " join gateway_mark m on m.handler = h.id and m.dedupe_key = ?",
        (key,),
    )
    for name, outcome, attempts, at_us, replay in rows:
        state: PairState = _FINISHED.get(outcome, "done")
        yield PairStatus(router=router, handler=name, state=state, attempts=attempts, at_us=at_us, replay=replay)


def _parked(connection: apsw.Connection, router: str, key: bytes) -> Iterator[PairStatus]:
    rows = connection.execute(
        "select handler, due_us, attempt, at_us, error, replay from gateway_parked where dedupe_key = ?", (key,)
    )
    for name, due_us, attempt, at_us, error, replay in rows:
        yield PairStatus(
            router=router,
            handler=name,
            state="held" if due_us is None else "retrying",
            attempts=attempt,
            at_us=at_us,
            next_us=due_us,
            error=error,
            replay=replay,
        )


def _dead(connection: apsw.Connection, router: str, key: bytes) -> Iterator[PairStatus]:
    rows = connection.execute(
        "select handler, attempt, died_us, error, replay from gateway_dead where dedupe_key = ?", (key,)
    )
    for name, attempt, died_us, error, replay in rows:
        yield PairStatus(
            router=router,
            handler=name,
            state="dead",
            attempts=attempt,
            at_us=died_us,
            error=error,
            replay=replay,
        )


def _running(connection: apsw.Connection) -> Iterator[Replay]:
    rows = connection.execute("select document from gateway_replay where state = 'running'")
    return (read_replay(row[0]) for row in rows)


def _cursor(connection: apsw.Connection) -> int | None:
    row = connection.execute("select offset from gateway_cursor where partition = 0").fetchone()
    return None if row is None else int(row[0])


def _count(connection: apsw.Connection, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").get)


@contextmanager
def _reading(path: Path) -> Iterator[apsw.Connection | None]:
    """Open the state file for one consistent read; None if it holds nothing yet."""
    if not path.exists():
        yield None
        return
    connection = open_reader(path)
    try:
        connection.execute("begin")
        try:
            version = connection.pragma("user_version")
        except (apsw.CorruptError, apsw.NotADBError):
            raise
        except apsw.Error as error:
            raise DependencyError(f"cannot read {path.name} ({error})") from error
        yield connection if version else None
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise DamagedError(path) from error
    finally:
        connection.close()
