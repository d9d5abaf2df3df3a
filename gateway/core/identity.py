"""Identification of a verified delivery: which events it carries, and each one's id, type, time and ordering key.

Nothing a sender can write raises here. An id that is absent or impossible is replaced by the body's digest, and the
event says so in its flags; a body that does not parse is one opaque event.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.core.admission import Events, Rejected, Request, Verified
from gateway.core.event import Event, Flag, body_bound_digest, identity_digest
from gateway.core.expressions import Document, Expression, Scope, as_text, body_digest, json_paths
from gateway.core.forms import is_form
from gateway.core.paths import Element, Raw, Skim, Split
from gateway.core.provider import Scheme, Shape
from gateway.core.times import to_micros
from gateway.core.tracing import traceparent
from gateway.core.verifying import GETS, hooked, signed_headers, signs, value_of

LONGEST_ID = 255
UNKNOWN_TYPE = "unknown"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Naming(NamedTuple):
    """What all events of a source share."""

    source: str
    provider: str
    body_varies: bool
    max_elements: int
    keep: tuple[tuple[bytes, str], ...]
    decode: Callable[[bytes, str], bytes | None] | None = None
    unverified: bool = False


class _Fields(NamedTuple):
    """A compiled shape."""

    when: Expression | None
    id: Expression
    type: Expression
    time: Expression
    time_unit: str
    key: Expression
    split: Split | None
    equals: str | None = None
    context: tuple[tuple[str, Expression], ...] = ()


class _Delivery(NamedTuple):
    """What the events of one delivery share."""

    request: Request
    label: str
    content_type: str | None
    headers: Mapping[str, str]
    traceparent: str | None


class Identifier:
    """The shapes of a provider under one scheme."""

    __slots__ = ("_naming", "_shapes", "scope")

    def __init__(self, naming: Naming, scope: Scope, shapes: Sequence[_Fields]) -> None:
        self._naming = naming
        self._shapes = shapes
        self.scope = scope

    @property
    def id_is_signed(self) -> bool:
        """Whether the signature covers the id, whatever the shape."""
        return all(shape.id.signed for shape in self._shapes)

    def document(self, request: Request) -> Document:
        """Return what the delivery's expressions read."""
        form = request.method in GETS or is_form(request.headers.get(b"content-type"))
        headers = request.headers
        if request.repeated:
            headers = {name: value for name, value in headers.items() if name not in request.repeated}
        document = Document(
            self.scope.skim, headers, value_of(request), form=form, query=request.query, decode=self._naming.decode
        )
        document.delivery_id = request.delivery_id
        return document

    def events(self, request: Request, document: Document, verified: Verified) -> Events | Rejected:
        """Return the delivery's events, or the refusal of a batch with too many."""
        shape = self._shape(document)
        content_type = request.headers.get(b"content-type")
        delivery = _Delivery(
            request,
            verified.label,
            None if content_type is None else content_type.decode("latin-1"),
            self._kept(document.headers),
            traceparent(document.headers.get(b"traceparent")),
        )
        elements = None if shape.split is None else _elements(shape.split, document.content())
        if elements is None:
            return Events((self._event(shape, delivery, document),), *verified)
        if len(elements) > self._naming.max_elements:
            return Rejected("batch_too_large", verified.age)
        whole = self._around(document, self.scope.root, document.content()) or document
        events, held, outer = list[Event](), None, None
        for index, element in enumerate(elements):
            if element.outer is not held:  # its elements share it: it is read once, not for each
                held, outer = element.outer, self._around(whole, self.scope.outer, element.outer)
            events.append(self._element(shape, delivery, whole, outer, element.raw, index))
        return Events(tuple(events), *verified)

    def _shape(self, document: Document) -> _Fields:
        return next((shape for shape in self._shapes if _applies(shape, document)), self._shapes[-1])

    def _kept(self, headers: Mapping[bytes, bytes]) -> Mapping[str, str]:
        return {name: headers[raw].decode("latin-1") for raw, name in self._naming.keep if raw in headers}

    def _around(self, whole: Document, skim: Skim | None, content: Raw | None) -> Document | None:
        if skim is None or content is None:
            return None
        return Document(skim, whole.headers, bytes(content), form=False, query=whole.query)

    def _element(
        self, shape: _Fields, delivery: _Delivery, whole: Document, outer: Document | None, raw: Raw, index: int
    ) -> Event:
        document = Document(self.scope.skim, whole.headers, bytes(raw), form=False, query=whole.query)
        document.index = index
        document.delivery_id = delivery.request.delivery_id
        document.root = whole
        document.outer = outer
        context = {name: text for name, expression in shape.context if (text := expression.text(document))}
        if context:
            delivery = delivery._replace(headers={**delivery.headers, **context})
        return self._event(shape, delivery, document)

    def _event(self, shape: _Fields, delivery: _Delivery, document: Document) -> Event:
        naming, request, body = self._naming, delivery.request, document.body
        flags: list[Flag] = ["unverified"] if naming.unverified else []
        event_id, id_signed = _event_id(shape.id, document, flags)
        event_type = _event_type(shape.type, document, flags)
        time_us = to_micros(shape.time.find(document).value, "ms" if shape.time_unit == "ms" else "s")
        key = _event_key(shape.key, document, event_id)
        if document.opaque:
            flags.append("opaque")
        identity = identity_digest(naming.source, event_id)
        body_sha256 = hashlib.sha256(body).digest()
        alone = naming.body_varies and id_signed
        return Event(
            source=naming.source,
            provider=naming.provider,
            id=event_id,
            type=event_type,
            time_us=time_us,
            received_us=request.received_us,
            key=key,
            headers=delivery.headers,
            body=body,
            content_type=delivery.content_type,
            verified_by=delivery.label,
            flags=tuple(sorted(flags)),
            delivery_id=request.delivery_id,
            batch_index=document.index,
            body_sha256=body_sha256,
            identity=identity,
            dedupe_key=identity if alone else body_bound_digest(identity, body_sha256),
            traceparent=delivery.traceparent,
        )


def identifier(scheme: Scheme, shapes: Sequence[Shape], naming: Naming, extra: Sequence[str]) -> Identifier:
    """Return the identifier; `extra` are further expressions that will be read from its documents.

    Raises:
        ValueError: an expression is none.
    """
    texts = [
        text
        for shape in shapes
        for text in (shape.when, shape.id, shape.type, shape.time, shape.key, *shape.context.values())
    ]
    scope = scope_of(scheme, Skim(json_paths([*texts, *extra])))
    around = {kind: Skim(paths) for kind in ("outer", "root") if (paths := json_paths(texts, kind))}
    scope = replace(scope, outer=around.get("outer"), root=around.get("root"))
    return Identifier(naming, scope, [_fields(shape, scope) for shape in shapes])


def scope_of(scheme: Scheme, skim: Skim) -> Scope:
    """Return what the scheme makes of names, and what its signature covers."""
    signed = frozenset(scheme.covers if hooked(scheme) else scheme.message) if signs(scheme) else frozenset()
    return Scope(
        skim=skim,
        aliases=scheme.aliases,
        signed_headers=signed_headers(scheme),
        signs_body="body" in signed,
        signs_query=not signed.isdisjoint({"url", "query"}),
        signed_paths=frozenset(part.removeprefix("json:") for part in signed if part.startswith("json:")),
    )


def _fields(shape: Shape, scope: Scope) -> _Fields:
    return _Fields(
        when=Expression(shape.when, scope) if shape.when else None,
        id=Expression(shape.id, scope),
        # Its flag is about headers; that a shared token covers no body either is known of the whole source.
        type=Expression(shape.type, replace(scope, signs_body=True)),
        time=Expression(shape.time, scope),
        time_unit=shape.time_unit,
        key=Expression(shape.key, scope),
        split=Split(shape.split) if shape.split else None,
        equals=shape.equals,
        context=tuple((name.lower(), Expression(text, scope)) for name, text in shape.context.items()),
    )


def _applies(shape: _Fields, document: Document) -> bool:
    if shape.when is None:
        return True
    value = shape.when.find(document).value
    return value is not None and shape.equals in (None, as_text(value))


def _elements(split: Split, content: bytes | None) -> Sequence[Element] | None:
    try:
        return None if content is None else split.elements(content)
    except ValueError:
        return None


def _fits(text: str) -> bool:
    """Return whether a text can be an id, a type or a key: short enough, and without control characters."""
    # What is printable to Python holds none, and is known faster; which other characters are depends on its version.
    return len(text) <= LONGEST_ID and (text.isprintable() or _CONTROL.search(text) is None)


def _event_id(expression: Expression, document: Document, flags: list[Flag]) -> tuple[str, bool]:
    value, signed = expression.find(document)
    text = as_text(value)
    if not text:
        flags.append("id_missing")
    elif _fits(text):
        return text, signed
    else:
        flags.append("id_invalid")
    return body_digest(document.body), signed


def _event_type(expression: Expression, document: Document, flags: list[Flag]) -> str:
    value, signed = expression.find(document)
    text = as_text(value)
    if not text or not _fits(text):
        return UNKNOWN_TYPE
    if not signed:
        flags.append("type_unsigned")
    return text


def _event_key(expression: Expression, document: Document, event_id: str) -> str:
    text = expression.text(document)
    if not text:
        return event_id
    if _fits(text):
        return text
    # Still the same for the same key, so that order holds.
    return body_digest(text.encode("utf-8", "surrogatepass"))
