"""What handlers and routers may say to Postgres, and how it is said to the driver. Pure.

A statement is read as Postgres reads it: strings, quoted names, dollar quotes and comments are skipped, so that `:name`
within them, the cast `::`, `:=` and a slice such as `[1:n]` are no parameters. The fence keeps honest authors from
harm, it is no wall: what must not be reached by a handler must not be granted to the gateway's database user.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

_REMEMBERED = 1000
_LARGEST = 2**63

_TOKEN = re.compile(
    r"""
    (?P<space> \s+ | --[^\n]* )
  | (?P<comment> /\* )
  | (?P<escaped> [uU]&['"] )
  | (?P<text> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' )
  | (?P<dollar> (?P<quote>\$(?:[^\W\d]\w*)?\$) .*? (?P=quote) )
  | (?P<name> "(?:[^"]|"")*" )
  | (?P<number> \d[\w.]* )
  | (?P<word> [^\W\d][\w$]* )
  | (?P<positional> \$\d+ )
  | (?P<parameter> (?<![\w"'\])]) : (?P<of>[^\W\d]\w*) )
  | (?P<sign> ::? | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_STATEMENTS = frozenset({"call", "delete", "insert", "merge", "select", "table", "update", "values", "with", "("})
_LASTING = frozenset(
    {
        "pg_advisory_lock",
        "pg_advisory_lock_shared",
        "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared",
        "set_config",
    }
)
_CREATE = re.compile(
    r"create (unique )?(table|index|materialized view|sequence) if not exists\b"
    r"|create or replace (view|function|procedure|trigger)\b",
)


class Token(NamedTuple):
    """A piece of SQL: its kind (a group of the pattern above), its text, and the parameter it names, if any."""

    kind: str
    text: str
    parameter: str | None = None

    @property
    def word(self) -> str:
        """The word as Postgres compares it, a quoted name without its quotes."""
        return self.text[1:-1].replace('""', '"') if self.kind == "name" else self.text.lower()


class Statement(NamedTuple):
    """One statement as it goes to the driver, the parameters it needs, and why a handler may not say it, if so."""

    text: str
    parameters: tuple[str, ...]
    refusal: str | None


def tokens(sql: str) -> Iterator[Token]:
    """Yield the pieces of `sql`; together they are its text."""
    place = 0
    while place < len(sql):
        match = _TOKEN.match(sql, place)
        assert match is not None  # noqa: S101 - the pattern's last piece is any character
        kind, end = str(match.lastgroup), match.end()
        if kind == "comment":
            kind, end = "space", _end_of_comment(sql, end)
        yield Token("parameter" if kind == "of" else kind, sql[place:end], match["of"])
        place = end


def split(script: str) -> list[list[Token]]:
    """Return the statements of `script`, without those that are space and comments alone."""
    statements: list[list[Token]] = [[]]
    for token in tokens(script):
        if token.text == ";":
            statements.append([])
        else:
            statements[-1].append(token)
    return [each for each in statements if any(token.kind != "space" for token in each)]


@lru_cache(maxsize=_REMEMBERED)
def prepare(sql: str) -> Statement:
    """Return a handler's statement as the driver takes it.

    Raises:
        ValueError: it is more than one statement, or none, or its parameters have numbers.
    """
    statements = split(sql)
    if len(statements) != 1:
        raise ValueError("ctx.tx takes one statement at a time")
    (statement,) = statements
    if any(token.kind == "positional" for token in statement):
        raise ValueError("ctx.tx takes named parameters: write :name, and give a mapping")
    names = tuple(dict.fromkeys(token.parameter for token in statement if token.parameter))
    return Statement(_text(statement, doubled=bool(names)), names, _refusal(_spoken(statement)))


def bind(statement: Statement, parameters: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the values of the statement's parameters, None if it has none.

    Raises:
        ValueError: one is missing, or is a text with a NUL.
        TypeError: one is of a type that no column can hold, or they are no mapping.
        OverflowError: one is an int beyond 64 bits.
    """
    given = parameters or {}
    if not isinstance(given, Mapping):
        raise TypeError("ctx.tx takes named parameters: write :name, and give a mapping")
    try:
        return {name: stored(name, given[name]) for name in statement.parameters} or None
    except KeyError as error:
        raise ValueError(f"the statement's parameter :{error.args[0]} was not given") from None


def stored(name: str, value: Any) -> bool | int | float | str | bytes | None:
    """Return what goes to the driver for a handler's value.

    A text goes without a type: Postgres takes that of where it stands. So do a datetime, a date, a Decimal and a UUID,
    which are written as the SQLite store writes them, and fit a text column as well as one of their own type.
    """
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError(f"parameter :{name} is a text with a NUL, which Postgres cannot hold")
        return str.__str__(value)  # of an enum's member its text, which the driver would not take
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            raise OverflowError(f"parameter :{name} is an int beyond 64 bits")
        return int(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return _written(name, value)


def schema_fault(statement: list[Token]) -> str | None:
    """Return why a statement of a router's schema is refused, or None."""
    spoken = _spoken(statement)
    words = " ".join(token.word if token.kind == "word" else token.text for token in spoken)
    if _CREATE.match(words) is None:
        return (
            "only `create table|index|sequence|materialized view if not exists` and"
            " `create or replace view|function|procedure|trigger` may stand in a schema"
        )
    return _of_the_gateway(spoken)


def created(statement: list[Token]) -> str | None:
    """Return the name that a `create ... if not exists` gives, as it is written; None for `or replace`."""
    spoken = _spoken(statement)
    words = [token.word for token in spoken]
    if words[1:2] == ["or"]:
        return None
    place = words.index("exists") + 1
    name = [spoken[place].text]
    for dot, part in zip(spoken[place + 1 :: 2], spoken[place + 2 :: 2], strict=False):
        if dot.text != ".":
            break
        name += [dot.text, part.text]
    return "".join(name)


def text(statement: list[Token]) -> str:
    """Return the statement as it was written."""
    return "".join(token.text for token in statement).strip()


def _written(name: str, value: object) -> str:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"parameter :{name} is a datetime without a time zone")
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    raise TypeError(f"parameter :{name} is a {type(value).__name__}, which no column can hold")


def _text(statement: list[Token], *, doubled: bool) -> str:
    if not doubled:
        return text(statement)
    return "".join(
        f"%({token.parameter})s" if token.parameter else token.text.replace("%", "%%") for token in statement
    ).strip()


def _spoken(statement: list[Token]) -> list[Token]:
    return [token for token in statement if token.kind != "space"]


def _refusal(spoken: list[Token]) -> str | None:
    words = [token.word for token in spoken if token.kind == "word"]
    first = spoken[0].word
    if first not in _STATEMENTS:
        return f"{first} is none of {', '.join(sorted(_STATEMENTS - {'('}))}"
    if first == "select" and "into" in words:
        return "select into makes a table, which is for Router(schema=...)"
    lasting = next((word for word in words if word in _LASTING), None)
    if lasting is not None:
        return f"{lasting} outlasts the transaction"
    return _of_the_gateway(spoken)


def _of_the_gateway(spoken: list[Token]) -> str | None:
    if any(token.kind == "escaped" for token in spoken):
        return "a text or name with U& escapes"
    for token, following in itertools.pairwise(spoken):
        if token.kind in {"word", "name"} and token.word == "gateway" and following.text == ".":
            return "the schema gateway holds the gateway's own tables"
    return None


def _end_of_comment(sql: str, place: int) -> int:
    """Return where the comment ends whose `/*` ends at `place`; comments may stand within it."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, place)
        if edge is None:
            return len(sql)
        depth += 1 if edge[0] == "/*" else -1
        place = edge.end()
    return place
