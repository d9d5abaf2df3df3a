import pytest

from gateway.keep.sqlite.fence import schema_fault, split


@pytest.mark.parametrize(
    "script, count",
    [
        ("", 0),
        (";;", 0),
        ("-- nothing; at all", 0),
        ("/* a; b */", 0),
        ("select 1", 1),
        ("select 1;", 1),
        ("select 1; -- done", 1),
        ("select ';'", 1),
        ('select 1 as "a;b"; ', 1),
        ("select 1; select 2", 2),
        ("-- first;\nselect 1; /* ; */ select 2;", 2),
        ("create trigger t after insert on a begin select 1; select 2; end; select 3", 2),
        ("select '--'; select 2", 2),
    ],
)
def test_script_is_split_at_the_semicolons_that_end_a_statement(script: str, count: int) -> None:
    assert len(split(script)) == count


@pytest.mark.parametrize(
    "statement",
    [
        "create table if not exists a (b)",
        "-- why\nCREATE  UNIQUE INDEX IF NOT EXISTS a ON b (c)",
        "/* x */ create view if not exists a as select 1",
    ],
)
def test_create_if_not_exists_is_a_schema(statement: str) -> None:
    assert schema_fault(statement) is None
