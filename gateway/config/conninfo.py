"""What a Postgres DSN says, without saying it to anybody: it holds a password."""

from collections.abc import Mapping


def parts_of(dsn: str) -> Mapping[str, str] | None:
    """Return the parameters of a DSN (`host`, `dbname`, ...) by libpq's own reading; None if it is no DSN."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - no other configuration than one with Postgres pays for it
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - as above

    try:
        return {key: str(value) for key, value in conninfo_to_dict(dsn).items()}
    except (ProgrammingError, UnicodeError):  # its message quotes the DSN
        return None


def is_secret(parameter: str) -> bool:
    """Return whether the value of this parameter is nobody's to see."""
    return "password" in parameter or "secret" in parameter
