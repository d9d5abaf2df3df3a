"""The gateway's tables in Postgres: made once, by whoever may, and looked at before anything works on them."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from gateway.core.errors import DependencyError
from gateway.keep.postgres import migrations
from tests.commands import CONFIG, Commands, folder_with_config
from tests.postgres_rig import PASSWORD, PostgresServer

USER = 'app "one"'
TABLES = "select count(*) from pg_class where relnamespace = 'gateway'::regnamespace"


def execute(dsn: str, *statements: str) -> object:
    """Run statements as the owner of the database; return the last one's only value, if it has one."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


@pytest.fixture
def user(postgres: PostgresServer, database: str) -> Iterator[str]:
    """The DSN of another user of the same database, who has no right there but to connect."""
    postgres.execute(f"create role {{}} login password '{PASSWORD}'", USER)
    yield psycopg.conninfo.make_conninfo(database, user=USER)
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    postgres.execute("drop owned by {} cascade", USER, database=str(name))
    postgres.execute("drop role {}", USER)


def test_first_run_makes_the_tables_and_the_second_has_nothing_to_do(database: str) -> None:
    applied = migrations.apply(database)
    again = migrations.apply(database)

    assert (list(applied), list(again)) == ([*range(1, migrations.NEWEST + 1)], [])
    migrations.verify(database)


def test_tables_of_before_are_told_to_be_migrated(database: str) -> None:
    with pytest.raises(DependencyError, match="does not exist yet; run `gateway store migrate`"):
        migrations.verify(database)
    migrations.apply(database)
    execute(database, "delete from gateway.version", "insert into gateway.version values (0)")

    with pytest.raises(DependencyError, match="run `gateway store migrate`"):
        migrations.verify(database)


def test_tables_of_a_newer_gateway_are_refused(database: str) -> None:
    migrations.apply(database)
    execute(database, f"insert into gateway.version values ({migrations.NEWEST + 1})")

    for work in (migrations.verify, migrations.apply):
        with pytest.raises(DependencyError, match="a newer gateway made it"):
            work(database)


def test_two_runs_at_a_time_wait_for_one_another(database: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(migrations.apply, [database] * 4))

    # Which run applies which is a matter of luck: they take turns after each.
    assert sorted(version for run in runs for version in run) == [*range(1, migrations.NEWEST + 1)]
    migrations.verify(database)


def test_migration_that_fails_leaves_nothing(database: str) -> None:
    execute(database, "create schema gateway", "create table gateway.event (mine integer)")

    with pytest.raises(DependencyError, match="already exists"):
        migrations.apply(database)

    assert execute(database, TABLES) == 1


def test_user_who_may_not_create_the_schema_is_told_who_can(user: str, database: str) -> None:
    with pytest.raises(DependencyError) as refused:
        migrations.apply(user)
    remedy = str(refused.value).partition("can run: ")[2]

    assert remedy == 'create schema gateway authorization "app ""one"""'


def test_user_who_may_not_create_schemas_migrates_one_that_is_there(
    user: str, database: str, postgres: PostgresServer
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(database)["dbname"])
    postgres.execute("create schema gateway authorization {}", USER, database=name)

    assert len(migrations.apply(user)) == migrations.NEWEST
    migrations.verify(user)


@pytest.mark.parametrize(
    "granted, told",
    [
        ([], "grant usage, create on schema gateway to"),
        (["grant usage on schema gateway to public"], "grant usage, create on schema gateway to"),
    ],
    ids=["nothing", "usage alone"],
)
def test_user_who_may_not_migrate_is_told_which_right_is_missing(
    user: str, database: str, granted: list[str], told: str
) -> None:
    execute(database, "create schema gateway", *granted)

    with pytest.raises(DependencyError, match=told):
        migrations.apply(user)


def test_user_who_may_not_work_on_the_tables_is_told_which_right_is_missing(user: str, database: str) -> None:
    migrations.apply(database)
    with pytest.raises(DependencyError) as unusable:
        migrations.verify(user)
    execute(database, str(unusable.value).partition("can run: ")[2])
    with pytest.raises(DependencyError) as unreadable:
        migrations.verify(user)
    execute(database, "grant select on all tables in schema gateway to public")
    with pytest.raises(DependencyError) as unwritable:
        migrations.verify(user)
    assert "(delete, insert, update)" in str(unwritable.value)
    execute(database, str(unwritable.value).partition("can run: ")[2])

    migrations.verify(user)

    assert "grant usage on" in str(unusable.value)
    assert "table version" in str(unreadable.value)


def test_server_that_is_not_there_is_told_without_the_password() -> None:
    with pytest.raises(DependencyError, match="cannot reach Postgres") as refused:
        migrations.verify(f"postgresql://gateway:{PASSWORD}@127.0.0.1:1/nothing")

    assert PASSWORD not in str(refused.value)


def test_wrong_password_is_told_without_it(database: str) -> None:
    with pytest.raises(DependencyError, match="password authentication failed") as refused:
        migrations.verify(database.replace(PASSWORD, "not-the-password"))

    assert "not-the-password" not in str(refused.value)


def test_database_of_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.execute("create database {} owner {} template template0 encoding 'LATIN1'", "latin", "gateway")
    try:
        with pytest.raises(DependencyError, match="encoding is LATIN1"):
            migrations.apply(postgres.dsn("latin"))
    finally:
        postgres.drop("latin")


@pytest.mark.timeout(120)
def test_server_that_stands_still_is_given_up(
    migrated_database: str, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.keep.postgres.connection.Session.patience", 1.0)
    with migrations.session(migrated_database, "test") as connection:
        postgres.freeze()
        try:
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
        finally:
            postgres.thaw()


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, database: str) -> Commands:
    store = f"store: {{engine: postgres, dsn: {{env: DATABASE_URL}}}}\n{CONFIG}"
    folder = folder_with_config(tmp_path / "gateway", store)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Commands(folder, capsys)


def test_command_says_what_it_would_do_then_does_it_then_has_nothing_to_do(run: Commands) -> None:
    before = run("store", "status", "--output", "jsonl")
    planned = run.lines("store", "migrate", "--dry-run")
    still = run("store", "status")
    done = run.lines("store", "migrate")
    again = run("store", "migrate")
    (after,) = run.lines("store", "status")

    assert (before.status, still.status, again.status) == (1, 1, 0)
    assert (before.rows[0]["version"], before.rows[0]["state"]) == (0, "to be migrated")
    assert [row["state"] for row in planned] == ["would be applied"] * migrations.NEWEST
    assert [row["state"] for row in done] == ["applied"] * migrations.NEWEST
    assert "nothing to do" in again.err
    assert (after["version"], after["state"]) == (migrations.NEWEST, "current")
    assert PASSWORD not in before.out + again.out + again.err


def test_command_without_a_server_exits_3(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://gateway:{PASSWORD}@127.0.0.1:1/nothing")

    for words in (("store", "migrate"), ("store", "migrate", "--dry-run"), ("store", "status")):
        ran = run(*words)
        assert (ran.status, PASSWORD in ran.err) == (3, False)


def test_command_for_another_engine_says_so(run: Commands) -> None:
    (run.folder / "config/gateway.yaml").write_text(CONFIG)

    ran = run("store", "migrate")

    assert ran.status == 2
    assert "store.engine is sqlite" in ran.err
