"""Expressions: how a provider's data say where an event's id, type, time and ordering key stand.

    expression  = join *( " | " join )        the first alternative of which every term has a value
    join        = term *( " + " term )        the values, one after the other
    term        = header:NAME                 a request header; `header:@ALIAS` is a header the chosen scheme names
                | json:PATH                   a value of the JSON body; of a form, of the JSON in its `payload` field
                | form:FIELD                  a field of the form body; of a GET, of its query string
                | query:FIELD                 a field of the query string
                | body:sha256                 the digest of the event's bytes
                | batch:index                 the element's place in a batch
                | delivery:id                 our id of the delivery, for senders that repeat themselves word for word
                | root:PATH                   of a batch's event, a value of the whole body
                | outer:PATH                  the same of the element that holds it, where array stands in array
                | 'TEXT'                      the text itself

A value is a text, or a number written in decimal. Null, booleans, objects, lists and empty texts are no value.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from gateway.core.forms import form_fields
from gateway.core.paths import Getter, Path, Skim, parse_path

TERM_KINDS = ("header", "json", "form", "query", "body", "batch", "delivery", "root", "outer")
_FIXED = {"body": "sha256", "batch": "index", "delivery": "id"}
_PATHS = frozenset({"json", "root", "outer"})


class Term(NamedTuple):
    """One term. `kind` is one of `TERM_KINDS`, or `text`."""

    kind: str
    name: str


Join = tuple[Term, ...]


def parse_expression(text: str) -> tuple[Join, ...]:
    """Return the alternatives of an expression, each the terms to be joined; none for an empty text.

    Raises:
        ValueError: the text is no expression.
    """
    if not text.strip():
        return ()
    return tuple(tuple(_term(term.strip()) for term in join.split(" + ")) for join in text.split(" | "))


def _term(text: str) -> Term:
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return Term("text", text[1:-1])
    kind, colon, name = text.partition(":")
    if not colon or kind not in TERM_KINDS or not name:
        message = f"{text!r} is no term; write header:NAME, json:PATH, form:FIELD, query:FIELD, body:sha256 or 'text'"
        raise ValueError(message)
    if kind in _PATHS:
        parse_path(name)
    if kind in _FIXED and name != _FIXED[kind]:
        message = f"{text!r} is no term; write {kind}:{_FIXED[kind]}"
        raise ValueError(message)
    return Term(kind, name.lower() if kind == "header" else name)


def json_paths(expressions: Iterable[str], kind: str = "json") -> list[Path]:
    """Return every JSON path that the expressions read, by terms of that kind."""
    joins = [join for text in expressions for join in parse_expression(text)]
    return [parse_path(term.name) for join in joins for term in join if term.kind == kind]


class Document:
    """What expressions read: one event's bytes and the headers it came with, each part parsed at its first use.

    `outer` and `root` are what stands around the element of a batch, None elsewhere.
    """

    __slots__ = (
        "_decode",
        "_form",
        "_query",
        "_skim",
        "_tree",
        "body",
        "delivery_id",
        "form_encoded",
        "headers",
        "index",
        "opaque",
        "outer",
        "query",
        "root",
    )

    def __init__(
        self,
        skim: Skim,
        headers: Mapping[bytes, bytes],
        body: bytes,
        *,
        form: bool,
        query: bytes,
        decode: Callable[[bytes, str], bytes | None] | None = None,
    ) -> None:
        self.headers = headers
        self.body = body
        self.form_encoded = form
        self.query = query
        self.index: int | None = None
        self.delivery_id = ""
        self.opaque = False
        self.outer: Document | None = None
        self.root: Document | None = None
        self._decode = decode
        self._skim = skim
        self._tree: object = _UNREAD
        self._form: dict[str, str] | None = None
        self._query: dict[str, str] | None = None

    def tree(self) -> object:
        """Return the JSON values, None where the body does not parse (then `opaque` is set)."""
        if self._tree is _UNREAD:
            self._tree = self._parse()
        return self._tree

    def form(self) -> dict[str, str]:
        """Return the form's fields, of repeated ones the first."""
        if self._form is None:
            self._form = self._fields(self.body) if self.form_encoded else {}
        return self._form

    def query_fields(self) -> dict[str, str]:
        """Return the query string's fields, of repeated ones the first."""
        if self._query is None:
            self._query = self._fields(self.query)
        return self._query

    def content(self) -> bytes | None:
        """Return the JSON that stands for the body, None where a body of another form cannot be read."""
        if self._decode is None:
            return self.body
        return self._decode(self.body, self.headers.get(b"content-type", b"").decode("latin-1"))

    def _parse(self) -> object:
        if self._decode is not None:
            return self._skimmed(self.content())
        body = self.body
        if self.form_encoded:
            payload = self.form().get("payload")
            if not payload:
                return None
            body = payload.encode()
        return self._skimmed(body)

    def _skimmed(self, content: bytes | None) -> object:
        try:
            if content is not None:
                return self._skim.decode(content)
        except ValueError:
            pass
        self.opaque = True
        return None

    def _fields(self, text: bytes) -> dict[str, str]:
        pairs = form_fields(text)
        if pairs is None:
            self.opaque = True
            return {}
        try:
            return {name.decode(): value.decode() for name, value in reversed(pairs)}
        except UnicodeDecodeError:
            self.opaque = True
            return {}


_UNREAD = object()
_SCALARS = frozenset({str, int, float})

Reader = Callable[[Document], object]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a scheme makes of names: the JSON decoder, its header aliases, and what its signature covers."""

    skim: Skim
    aliases: Mapping[str, str]
    signed_headers: frozenset[str]
    signs_body: bool
    signs_query: bool
    signed_paths: frozenset[str] = frozenset()
    outer: Skim | None = None
    root: Skim | None = None

    def header(self, name: str) -> str:
        """Return the header that a name or an `@alias` stands for.

        Raises:
            ValueError: the scheme has no such alias.
        """
        if not name.startswith("@"):
            return name
        if name[1:] not in self.aliases:
            raise ValueError(f"the scheme names no header {name!r}")
        return self.aliases[name[1:]]

    def covers(self, term: Term) -> bool:
        """Return whether the signature covers the term's value."""
        if term.kind == "header":
            return self.header(term.name) in self.signed_headers
        if term.kind == "query":
            return self.signs_query
        if term.kind == "json" and term.name in self.signed_paths:
            return True
        return term.kind in {"text", "delivery"} or self.signs_body


class Found(NamedTuple):
    """An expression's value, None if it has none; `signed` tells whether the signature covers all of it."""

    value: object
    signed: bool


_NOTHING = Found(None, signed=True)


class Expression:
    """A compiled expression."""

    __slots__ = ("_alternatives",)

    def __init__(self, text: str, scope: Scope) -> None:
        self._alternatives: Sequence[tuple[Reader, bool]] = [
            (_join_reader(join, scope), all(scope.covers(term) for term in join)) for join in parse_expression(text)
        ]

    @property
    def signed(self) -> bool:
        """Whether the signature covers every alternative."""
        return all(signed for _, signed in self._alternatives)

    def find(self, document: Document) -> Found:
        """Return the first alternative that has a value, as it stands there."""
        for read, signed in self._alternatives:
            value = read(document)
            if value is not None and value != "":
                return Found(value, signed)
        return _NOTHING

    def text(self, document: Document) -> str | None:
        """Return the value as text."""
        return as_text(self.find(document).value)


def as_text(value: object) -> str | None:
    """Return a text or number as text, None for everything else. Decimal digits, whatever the number's size."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return None


def _join_reader(join: Join, scope: Scope) -> Reader:
    readers = [_term_reader(term, scope) for term in join]
    if len(readers) == 1:
        return readers[0]

    def read(document: Document) -> object:
        parts = []
        for reader in readers:
            part = as_text(reader(document))
            if not part:
                return None
            parts.append(part)
        return "".join(parts)

    return read


def _term_reader(term: Term, scope: Scope) -> Reader:
    name = term.name
    if term.kind == "json":
        return _json_reader(scope.skim.getter(parse_path(name)))
    if term.kind in _PATHS:
        return _around_reader(term, scope)
    if term.kind == "header":
        return _header_reader(scope.header(name).encode("latin-1"))
    readers: dict[str, Reader] = {
        "text": lambda _: name,
        "form": lambda document: document.form().get(name),
        "query": lambda document: document.query_fields().get(name),
        "body": lambda document: body_digest(document.body),
        "batch": lambda document: document.index,
        "delivery": lambda document: document.delivery_id,
    }
    return readers[term.kind]


def _json_reader(get: Getter) -> Reader:
    def read(document: Document) -> object:
        value = get(document.tree())
        return value if type(value) in _SCALARS else None

    return read


def _around_reader(term: Term, scope: Scope) -> Reader:
    """Read what stands around an element: for an event that is none of a batch, the body itself stands for both."""
    outside = scope.outer if term.kind == "outer" else scope.root
    if outside is None:
        return lambda _: None
    read = _json_reader(outside.getter(parse_path(term.name)))

    def around(document: Document) -> object:
        place = document.outer if term.kind == "outer" else document.root
        return None if place is None else read(place)

    return around


def _header_reader(name: bytes) -> Reader:
    def read(document: Document) -> object:
        value = document.headers.get(name)
        return None if value is None else value.decode("latin-1")

    return read


def body_digest(body: bytes) -> str:
    """Return what stands in for an id: the SHA-256 of the body."""
    return "sha256:" + hashlib.sha256(body).hexdigest()
