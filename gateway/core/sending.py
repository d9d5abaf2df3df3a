"""Signing of test deliveries: a request that the compiled source will accept, as the provider would send it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from gateway.core.admission import RefusedReason, Request
from gateway.core.event import from_micros
from gateway.core.provider import Message, Provider, Scheme, Terms, Timestamp
from gateway.core.signing import Labelled
from gateway.core.source import SignedRequest, SignRequest
from gateway.core.verifying import GETS, message_rule

Sign = Callable[[SignRequest], SignedRequest]


def sender(provider: Provider, scheme: Scheme, secret: Labelled, terms: Terms) -> Sign | None:
    """Return the function that signs with `secret`, or None where only the provider can."""
    if scheme.claims is not None or secret.checker.sign((b"",)) is None:
        return None
    messages = message_rule(scheme, terms)
    templates = _templates(provider, scheme)

    def sign(asked: SignRequest) -> SignedRequest:
        headers = {"content-type": asked.content_type, **_filled(templates, asked)}
        query = asked.query if scheme.signing_query is None else scheme.signing_query(asked)
        stamp = _stamp(scheme.timestamp, asked.now_us)
        headers |= _time_of(scheme, stamp)
        request = _request(asked, query, headers)
        message = _first(messages(request, stamp.encode()))
        signature = (secret.prefix + (secret.checker.sign(message) or b"")).decode("latin-1")
        if scheme.query:
            query = b"&".join(part for part in (query, f"{scheme.query}={quote(signature)}".encode()) if part)
        else:
            headers |= _proof(scheme, stamp, signature)
        return SignedRequest(method=asked.method, query=query, headers=headers, body=request.body)

    return sign


def sealer(
    provider: Provider, scheme: Scheme, seal: Callable[[Terms, SignRequest], SignedRequest], terms: Terms
) -> Sign:
    """Return the function that signs as the scheme's own code does."""
    templates = _templates(provider, scheme)

    def sign(asked: SignRequest) -> SignedRequest:
        try:
            sealed = seal(terms, asked)
        except RecursionError:
            raise ValueError("such a body cannot be signed: it is nested too deeply") from None
        return replace(
            sealed, headers={"content-type": asked.content_type, **_filled(templates, asked), **sealed.headers}
        )

    return sign


def unsigned_sender(provider: Provider) -> Sign:
    """Return what sends the example as it is, for sources that nothing proves."""
    templates = _templates(provider, provider.schemes[-1])

    def send(asked: SignRequest) -> SignedRequest:
        headers = {"content-type": asked.content_type, **_filled(templates, asked)}
        return SignedRequest(method=asked.method, query=asked.query, headers=headers, body=asked.body)

    return send


def _templates(provider: Provider, scheme: Scheme) -> Mapping[str, str]:
    return {_named(scheme, name): template for name, template in provider.sends.items()}


def _first(built: Sequence[Message] | RefusedReason) -> Message:
    if isinstance(built, str) or not built:
        raise ValueError(f"such a request cannot be signed: {built}")
    return built[0]


def _named(scheme: Scheme, name: str) -> str:
    return scheme.aliases[name[1:]] if name.startswith("@") else name.lower()


def _filled(templates: Mapping[str, str], asked: SignRequest) -> dict[str, str]:
    values = {
        "{id}": asked.event_id,
        "{type}": asked.event_type,
        "{event}": asked.event_type.partition(".")[0],
        "{time}": from_micros(asked.now_us).isoformat().replace("+00:00", "Z"),
    }
    filled = {}
    for name, template in templates.items():
        text = template
        for placeholder, value in values.items():
            text = text.replace(placeholder, value)
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"{name}: an id or type that a header can hold is needed: printable ASCII")
        filled[name] = text
    return filled


def _request(asked: SignRequest, query: bytes, headers: Mapping[str, str]) -> Request:
    return Request(
        method=asked.method,
        query=query,
        headers={name.encode("latin-1"): value.encode("latin-1") for name, value in headers.items()},
        repeated=frozenset(),
        body=b"" if asked.method in GETS else asked.body,
        received_us=asked.now_us,
        delivery_id="",
    )


def _stamp(timestamp: Timestamp | None, now_us: int) -> str:
    if timestamp is None:
        return ""
    if timestamp.unit == "iso":
        return from_micros(now_us).isoformat().replace("+00:00", "Z")
    return str(now_us // (1_000_000 if timestamp.unit == "s" else 1_000))


def _time_of(scheme: Scheme, stamp: str) -> dict[str, str]:
    """Return the header of the time, where it has one of its own."""
    timestamp = scheme.timestamp
    if timestamp is None or not timestamp.header or timestamp.header.lower() == scheme.header.lower():
        return {}
    return {timestamp.header.lower(): timestamp.prefix + stamp}


def _proof(scheme: Scheme, stamp: str, signature: str) -> dict[str, str]:
    timestamp = scheme.timestamp
    if timestamp is None or timestamp.header.lower() != scheme.header.lower():
        return {scheme.header.lower(): signature}
    return {scheme.header.lower(): scheme.split.join((timestamp.prefix + stamp, signature))}
