"""SQL as Postgres reads it: what is a parameter in it, what is not, and what is refused."""

import enum
from uuid import UUID

import pytest

from gateway.keep.postgres import statements
from gateway.keep.postgres.statements import bind, prepare


@pytest.mark.parametrize(
    "sql, text, names",
    [
        ("select :a, :b, :a", "select %(a)s, %(b)s, %(a)s", ("a", "b")),
        ("select :a::int", "select %(a)s::int", ("a",)),
        ("select x::text, y :: text", "select x::text, y :: text", ()),
        ("values (:straße)", "values (%(straße)s)", ("straße",)),
        ("select ':a', 'it''s :b', :c", "select ':a', 'it''s :b', %(c)s", ("c",)),
        (r"select e'\':a', E'\\', :b", r"select e'\':a', E'\\', %(b)s", ("b",)),
        (r"select 'back\', :a", r"select 'back\', %(a)s", ("a",)),
        ('select ":a", "b"":c", :d', 'select ":a", "b"":c", %(d)s', ("d",)),
        ("select $$ :a $$, $x$ $$ :b $x$, :c", "select $$ :a $$, $x$ $$ :b $x$, %(c)s", ("c",)),
        ("select :a -- :b\n, :c", "select %(a)s -- :b\n, %(c)s", ("a", "c")),
        ("select /* :a /* :b */ :c */ :d", "select /* :a /* :b */ :c */ %(d)s", ("d",)),
        ("select list[1:n], list[:n]", "select list[1:n], list[%(n)s]", ("n",)),
        ("select f(name := :a)", "select f(name := %(a)s)", ("a",)),
        ("select a % 2, 'a%b' where x like :p", "select a %% 2, 'a%%b' where x like %(p)s", ("p",)),
        ("select a % 2, 'a%b'", "select a % 2, 'a%b'", ()),
        ("select a->>'b' from t where c @> :d", "select a->>'b' from t where c @> %(d)s", ("d",)),
        ("select a ? 'b' from t", "select a ? 'b' from t", ()),
        ("select :a;  -- and no more", "select %(a)s", ("a",)),
        ("select 'open :a", "select 'open %(a)s", ("a",)),
        ("select 1 /* open :a", "select 1 /* open :a", ()),
    ],
)
def test_parameter_is_found_where_postgres_would_read_one(sql: str, text: str, names: tuple[str, ...]) -> None:
    assert prepare(sql)[:2] == (text, names)


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "abort",
        "set role other",
        "set local statement_timeout = 0",
        "reset all",
        "prepare transaction 'x'",
        "copy invoice to program 'cat'",
        "do $$ begin commit; end $$",
        "listen x",
        "lock table invoice",
        "truncate invoice",
        "grant all on invoice to public",
        "declare c cursor with hold for select 1",
        "select * into other from invoice",
        "select set_config('role', 'other', false)",
        "select pg_catalog.set_config('role', 'other', false)",
        "select pg_advisory_lock(1)",
        "select * from gateway.mark",
        'select * from "gateway" . mark',
        "select * from gateway/* */./* */mark",
        "with gone as (delete from GATEWAY.mark returning 1) select * from gone",
        'select * from U&"g\\0061teway".mark',
    ],
)
def test_what_is_no_handlers_is_refused(sql: str) -> None:
    assert prepare(sql).refusal is not None


@pytest.mark.parametrize(
    "sql",
    [
        "select gateway from delivery",
        "select 'gateway.mark'",
        "select 1 as gateway",
        "(select 1) union (select 2)",
        "with x as (select 1) insert into y select * from x",
        "call book(:a)",
        "values (1)",
        "insert into y select * from x",
        "select pg_advisory_xact_lock(1)",
        "-- first\n /* then */ select 1",
    ],
)
def test_what_is_a_handlers_is_not_refused(sql: str) -> None:
    assert prepare(sql).refusal is None


@pytest.mark.parametrize("sql", ["", " ; ", "-- nothing", "select 1; select 2", "select 1;; commit"])
def test_statement_must_be_one(sql: str) -> None:
    with pytest.raises(ValueError, match="one statement at a time"):
        prepare(sql)


@pytest.mark.parametrize("sql", ["select ';'", "select $$;$$", 'select ";"', "select 1 /* ; */ ;", "select 1 -- ;"])
def test_semicolon_within_a_text_ends_no_statement(sql: str) -> None:
    assert prepare(sql).refusal is None


def test_texts_of_statements_are_remembered_up_to_a_bound() -> None:
    for number in range(statements._REMEMBERED + 10):
        prepare(f"select {number}")

    assert prepare.cache_info().currsize == statements._REMEMBERED


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


@pytest.mark.parametrize(
    "value, goes",
    [
        (True, True),
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        (bytearray(b"x"), b"x"),
        pytest.param(memoryview(b"x"), b"x", id="a memoryview"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (-(2**63), -(2**63)),
    ],
    ids=str,
)
def test_value_goes_to_the_driver_as_what_it_stands_for(value: object, goes: object) -> None:
    found = bind(prepare("select :a"), {"a": value})

    assert found == {"a": goes}
    assert type(found["a"]) is type(goes)


@pytest.mark.parametrize(
    "value, error", [("a\0b", ValueError), (2**63, OverflowError), (-(2**63) - 1, OverflowError), ({}, TypeError)]
)
def test_value_that_no_column_can_hold_is_refused_and_not_told(value: object, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        bind(prepare("select :secret"), {"secret": value})

    assert ":secret" in str(caught.value)
    assert repr(value) not in str(caught.value)


def test_parameters_must_be_a_mapping() -> None:
    with pytest.raises(TypeError, match="give a mapping"):
        bind(prepare("select :a"), ["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "schema, name",
    [
        ("create table if not exists a (x int)", "a"),
        ('create unique index if not exists app."A b" on t (x)', 'app."A b"'),
        ("CREATE /* */ TABLE -- x\n IF NOT EXISTS t(x int)", "t"),
        ("create materialized view if not exists v as select 1", "v"),
        ("create or replace view v as select 1", None),
    ],
)
def test_schema_says_what_it_creates(schema: str, name: str | None) -> None:
    (statement,) = statements.split(schema)

    assert statements.schema_fault(statement) is None
    assert statements.created(statement) == name
