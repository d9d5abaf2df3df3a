import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from gateway.core.errors import Unavailable
from gateway.keep.sqlite.committer import Committer
from gateway.keep.sqlite.connection import open_writer
from gateway.keep.sqlite.fence import Fence
from gateway.keep.sqlite.turn import SqliteTurn


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[apsw.Connection]:
    connection = open_writer(tmp_path / "state.db")
    connection.set_busy_timeout(0)
    connection.execute("create table note (word text primary key)")
    yield connection
    connection.close()


@pytest.fixture
async def committer(connection: apsw.Connection) -> AsyncIterator[Committer]:
    committer = Committer(connection, Fence(connection), in_place=False)
    yield committer
    await committer.close(5.0)


def note(word: str) -> Callable[[apsw.Connection], str]:
    def write(connection: apsw.Connection) -> str:
        connection.execute("insert into note values (?)", (word,))
        return word

    return write


def quiet(word: str) -> Callable[[apsw.Connection], None]:
    def write(connection: apsw.Connection) -> None:
        connection.execute("insert into note values (?)", (word,))

    return write


def leave_room(committer: Committer, pages: int) -> None:
    """Let the file grow by `pages`, no more."""
    with committer.fence.own():
        committer.connection.pragma("max_page_count", committer.connection.pragma("page_count") + pages)


def words(path: Path) -> list[str]:
    reader = apsw.Connection(str(path / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return [str(row[0]) for row in reader.execute("select word from note order by rowid")]
    finally:
        reader.close()


async def test_write_is_in_the_file_when_its_future_completes(committer: Committer, tmp_path: Path) -> None:
    value = await committer.submit(note("a"))

    assert value == "a"
    assert words(tmp_path) == ["a"]


async def test_writes_of_one_moment_share_a_commit(committer: Committer, tmp_path: Path) -> None:
    commits = []
    committer.committed = lambda: commits.append(1)

    await asyncio.gather(*(committer.submit(note(str(number))) for number in range(50)))

    assert len(commits) == 1
    assert len(words(tmp_path)) == 50


async def test_failing_write_costs_only_itself(committer: Committer, tmp_path: Path) -> None:
    def half(connection: apsw.Connection) -> None:
        connection.execute("insert into note values ('half')")
        connection.execute("insert into note values ('a')")

    outcomes = await asyncio.gather(
        committer.submit(note("a")), committer.submit(half), committer.submit(note("b")), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes] == [str, apsw.ConstraintError, str]
    assert words(tmp_path) == ["a", "b"]


async def test_what_follows_a_write_is_told_before_its_future_completes(committer: Committer) -> None:
    told: list[str] = []

    await committer.submit(note("a"), told.append)
    await asyncio.gather(
        committer.submit(note("a"), told.append), committer.submit(note("b"), told.append), return_exceptions=True
    )

    assert told == ["a", "b"]


async def test_deferred_write_joins_the_next_group(committer: Committer, tmp_path: Path) -> None:
    committer.defer("cursor", quiet("first"))
    committer.defer("cursor", quiet("last"))

    await committer.submit(note("a"))

    assert sorted(words(tmp_path)) == ["a", "last"]


async def test_deferred_write_forces_a_group_of_its_own_in_the_end(committer: Committer, tmp_path: Path) -> None:
    committed = asyncio.Event()
    committer.committed = committed.set

    committer.defer("cursor", quiet("a"))
    await committed.wait()

    assert words(tmp_path) == ["a"]


async def test_deferred_write_is_not_lost_with_its_group(committer: Committer, tmp_path: Path) -> None:
    leave_room(committer, 0)
    committer.defer("cursor", quiet("cursor"))
    with pytest.raises(Unavailable):
        await committer.submit(note("x" * 100_000))

    leave_room(committer, 10_000)
    await committer.submit(note("a"))

    assert sorted(words(tmp_path)) == ["a", "cursor"]


async def test_full_disk_fails_the_group_and_the_next_one_works(committer: Committer, tmp_path: Path) -> None:
    leave_room(committer, 0)
    outcomes = await asyncio.gather(
        committer.submit(note("x" * 100_000)), committer.submit(note("y" * 100_000)), return_exceptions=True
    )
    leave_room(committer, 10_000)

    await committer.submit(note("a"))

    assert {getattr(outcome, "reason", None) for outcome in outcomes} == {"disk_full"}
    assert words(tmp_path) == ["a"]


async def test_read_between_groups_sees_what_is_durable_alone(committer: Committer) -> None:
    turn = SqliteTurn(committer, lambda connection: None, 30.0)
    await turn.granted
    await turn.tx.execute("insert into note values ('undone')")
    asked = committer.read(lambda connection: connection.execute("select word from note").fetchall())
    await asyncio.sleep(0)

    await turn.rollback()

    assert await asked == []


async def test_read_does_not_see_a_finished_turn_before_its_commit(committer: Committer) -> None:
    await committer.submit(note("a"))
    first = SqliteTurn(committer, lambda connection: None, 30.0)
    second = SqliteTurn(committer, lambda connection: None, 30.0)
    await first.granted
    await first.tx.execute("insert into note values ('b')")
    asked = committer.read(lambda connection: connection.execute("select word from note").fetchall())
    lost = first.finish()
    await second.granted

    with pytest.raises(apsw.ConstraintError):
        await second.tx.execute("insert or rollback into note values ('a')")

    assert await asked == [("a",)]
    assert isinstance(lost.exception(), Unavailable)


async def test_failing_read_is_its_askers_alone(committer: Committer) -> None:
    with pytest.raises(apsw.SQLError):
        await committer.read(lambda connection: connection.execute("select nonsense"))

    assert await committer.submit(note("a")) == "a"


async def test_lock_of_another_program_is_waited_for_without_blocking_the_loop(
    committer: Committer, tmp_path: Path
) -> None:
    shell = apsw.Connection(str(tmp_path / "state.db"))
    shell.execute("begin immediate")
    future = committer.submit(note("a"))
    ticks = 0
    while ticks < 20:
        await asyncio.sleep(0.001)
        ticks += 1
    waited = not future.done()

    shell.execute("commit")
    shell.close()
    await future

    assert waited
    assert words(tmp_path) == ["a"]


async def test_lock_that_stays_fails_what_waits_and_the_committer_lives_on(
    committer: Committer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.keep.sqlite.committer._BUSY_SECONDS", 0.05)
    shell = apsw.Connection(str(tmp_path / "state.db"))
    shell.execute("begin immediate")
    turn = SqliteTurn(committer, lambda connection: None, 30.0)

    with pytest.raises(Unavailable):
        await committer.submit(note("a"))
    with pytest.raises(Unavailable):
        await turn.granted

    shell.execute("commit")
    shell.close()
    assert await committer.submit(note("b")) == "b"


async def test_transaction_lost_to_a_conflict_clause_fails_all_of_its_group(
    committer: Committer, tmp_path: Path
) -> None:
    await committer.submit(note("a"))
    first = SqliteTurn(committer, lambda connection: None, 30.0)
    second = SqliteTurn(committer, lambda connection: None, 30.0)
    await first.granted
    await first.tx.execute("insert into note values ('b')")
    kept = first.finish()
    await second.granted

    with pytest.raises(apsw.ConstraintError):
        await second.tx.execute("insert or rollback into note values ('a')")
    with pytest.raises(apsw.ConstraintError):
        await second.tx.execute("insert into note values ('c')")
    with pytest.raises(apsw.ConstraintError):
        second.finish()

    assert isinstance(kept.exception(), Unavailable)
    assert await committer.submit(note("d")) == "d"
    assert words(tmp_path) == ["a", "d"]


async def test_many_turns_share_a_commit(committer: Committer) -> None:
    commits = []
    committer.committed = lambda: commits.append(1)

    async def run(word: str) -> None:
        turn = SqliteTurn(committer, lambda connection: None, 30.0)
        await turn.granted
        await turn.tx.execute("insert into note values (:word)", {"word": word})
        await turn.finish()

    await asyncio.gather(*(run(str(number)) for number in range(30)))

    assert len(commits) == 1


async def test_endless_turns_do_not_keep_the_first_from_its_commit(committer: Committer) -> None:
    done = asyncio.Event()

    async def run() -> None:
        while not done.is_set():
            turn = SqliteTurn(committer, lambda connection: None, 30.0)
            await turn.granted
            turn.finish()

    async def first() -> None:
        turn = SqliteTurn(committer, lambda connection: None, 30.0)
        await turn.granted
        await turn.finish()
        done.set()

    await asyncio.wait_for(asyncio.gather(first(), run(), run()), 10)

    assert done.is_set()


async def test_wal_is_moved_into_the_file_as_it_grows(committer: Committer, tmp_path: Path) -> None:
    for number in range(30):
        await committer.submit(note(f"{number} {'x' * 500_000}"))
    await committer.drained()

    assert (tmp_path / "state.db").stat().st_size > 5_000_000


async def test_closing_finishes_what_is_queued_and_refuses_the_rest(committer: Committer, tmp_path: Path) -> None:
    future = committer.submit(note("a"))
    committer.defer("cursor", quiet("b"))

    await committer.close(5.0)

    assert await future == "a"
    assert words(tmp_path) == ["a", "b"]
    with pytest.raises(Unavailable):
        await committer.submit(note("c"))


async def test_closing_under_an_open_turn_undoes_it(committer: Committer, tmp_path: Path) -> None:
    turn = SqliteTurn(committer, lambda connection: None, 30.0)
    await turn.granted
    await turn.tx.execute("insert into note values ('a')")

    await committer.close(0.01)

    with pytest.raises(Unavailable):
        turn.finish()
    assert words(tmp_path) == []
