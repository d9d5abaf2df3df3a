"""The closed table of answers: nothing else in the edge names a status.

Never 410 (senders disable the endpoint on it), never 3xx, never 500. Senders learn that a delivery was refused and one
word why; of an unverified one, never more than that. Every answer carries `gateway-delivery-id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import orjson

from gateway.core.source import Ack

Reason = Literal[
    "unverified", "unknown_source", "method", "too_large", "content_type", "rate", "unavailable", "malformed"
]

DELIVERY_ID = b"gateway-delivery-id"
JSON = b"application/json"
RETRY_AFTER = 5  # seconds: longer than a restart of the edge, shorter than any provider's first retry

Headers = tuple[tuple[bytes, bytes], ...]


class Reply:
    """One answer, encoded once; only the delivery's id varies.

    Args:
        status: the HTTP status.
        body: the exact bytes of the answer.
        content_type: of the body; left out if empty.
        headers: further headers, names in lower case.
        close: whether the connection ends with it.

    Raises:
        ValueError: a header holds a control character.
    """

    __slots__ = ("_closed", "_kept", "_start", "body", "close", "headers", "status")

    def __init__(
        self, status: int, body: bytes, *, content_type: bytes = JSON, headers: Headers = (), close: bool = False
    ) -> None:
        typed: Headers = ((b"content-type", content_type),) if content_type else ()
        sized: Headers = () if status == HTTPStatus.NO_CONTENT else ((b"content-length", b"%d" % len(body)),)
        self.status = status
        self.body = body
        self.close = close
        self.headers = (*typed, *sized, *headers)
        if any(character < 0x20 for name, value in self.headers for character in name + value):
            raise ValueError("a header of an answer holds a control character")
        lines = b"".join(b"%s: %s\r\n" % header for header in self.headers)
        phrase = HTTPStatus(status).phrase.encode()
        self._start = b"HTTP/1.1 %d %s\r\n%s%s: " % (status, phrase, lines, DELIVERY_ID)
        self._kept = b"\r\n\r\n" + body
        self._closed = b"\r\nconnection: close\r\n\r\n" + body

    def encode(self, delivery_id: bytes, *, keep: bool, bodiless: bool = False) -> bytes:
        """Return the answer's bytes; `keep` leaves the connection open, `bodiless` is for HEAD."""
        encoded = self._start + delivery_id + (self._kept if keep else self._closed)
        return encoded[: len(encoded) - len(self.body)] if bodiless else encoded

    def asgi_headers(self, delivery_id: bytes) -> list[tuple[bytes, bytes]]:
        """Return the headers as ASGI wants them."""
        closing = [(b"connection", b"close")] if self.close else []
        return [*self.headers, (DELIVERY_ID, delivery_id), *closing]


def _status(word: str) -> bytes:
    return orjson.dumps({"status": word})


def _refusal(status: int, reason: Reason, *, headers: Headers = (), close: bool = False) -> Reply:
    return Reply(status, orjson.dumps({"status": "refused", "reason": reason}), headers=headers, close=close)


ACCEPTED = Reply(200, _status("accepted"))
DUPLICATE = Reply(200, _status("duplicate"))
UNVERIFIED = _refusal(401, "unverified")
UNKNOWN_SOURCE = _refusal(404, "unknown_source")
TOO_LARGE = _refusal(413, "too_large", close=True)
CONTENT_TYPE = _refusal(415, "content_type")
UNAVAILABLE = _refusal(503, "unavailable", headers=((b"retry-after", b"%d" % RETRY_AFTER),))
# The rest of a request that was given up on is not worth waiting for: its connection ends.
UNAVAILABLE_CLOSING = _refusal(503, "unavailable", headers=((b"retry-after", b"%d" % RETRY_AFTER),), close=True)
MALFORMED = _refusal(400, "malformed", close=True)


def method_refused(allowed: frozenset[str]) -> Reply:
    """Return the 405 of a source with these methods."""
    return _refusal(405, "method", headers=((b"allow", ", ".join(sorted(allowed)).encode()),))


def rate_refused(seconds: int) -> Reply:
    """Return the 429 that asks to come again after so many seconds."""
    return _refusal(429, "rate", headers=((b"retry-after", b"%d" % seconds),))


def prescribed(ack: Ack) -> Reply:
    """Return the answer a provider prescribes.

    Raises:
        ValueError: a header holds a control character.
    """
    headers = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in ack.headers)
    return Reply(ack.status, ack.body, content_type=ack.content_type.encode("latin-1"), headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One row of the documented table: what is answered when, with an example of a request that gets it."""

    name: str
    status: int
    when: str
    headers: Mapping[str, str]
    body: bytes
    request: str
    reason: Reason | None = None


_EXAMPLE_ID = "1r5rr3xk2v9qf8tzb00000002a"
_POST = "POST /webhooks/github HTTP/1.1\ncontent-type: application/json\nx-github-delivery: 72d3162e-cc78-11e3-81ab\n"
_SIGNED = _POST + 'x-hub-signature-256: sha256=<HMAC of the body>\n\n{"zen":"Keep it logically awesome."}'

# Name, reply, reason, when it is given, and a request that gets it.
_TABLE: tuple[tuple[str, Reply, Reason | None, str, str], ...] = (
    (
        "accepted",
        ACCEPTED,
        None,
        (
            "The event is durable. Also for an empty batch, with nothing stored. Providers that prescribe an answer of"
            " their own (Slack: an empty body; Twilio: TwiML) get that one."
        ),
        _SIGNED,
    ),
    ("duplicate", DUPLICATE, None, "A copy of this event is durable already; this one was not stored again.", _SIGNED),
    (
        "handshake",
        prescribed(
            Ack(
                body=b"3eZbrw1aBm2rZgRNFdxV2595E9CY",
                content_type="text/plain",
                headers=(("x-content-type-options", "nosniff"),),
            )
        ),
        None,
        "A signed challenge of the provider, answered as it prescribes; nothing is stored.",
        (
            "POST /webhooks/slack HTTP/1.1\ncontent-type: application/json\nx-slack-signature: v0=<HMAC>\n"
            'x-slack-request-timestamp: <now>\n\n{"type":"url_verification","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY"}'
        ),
    ),
    (
        "malformed",
        MALFORMED,
        "malformed",
        "The bytes are not HTTP. The connection is closed.",
        "POST /webhooks/github HTTP/1.1\ncontent-length: x\n",
    ),
    (
        "unverified",
        UNVERIFIED,
        "unverified",
        (
            "Not verified: signature or timestamp absent, repeated, malformed, wrong or out of tolerance, or the"
            " client's address is not allowed, or a secret came while the source was not open for pairing. The sender"
            " is not told which; `gateway rejections` is."
        ),
        _POST + "x-hub-signature-256: sha256=0000\n\n{}",
    ),
    (
        "unknown_source",
        UNKNOWN_SOURCE,
        "unknown_source",
        "No source of this name, or another path. There is no redirect from a trailing slash.",
        "POST /webhooks/nobody HTTP/1.1\n\n{}",
    ),
    (
        "method",
        method_refused(frozenset({"POST"})),
        "method",
        "A method that the source's provider does not use.",
        "DELETE /webhooks/github HTTP/1.1\n",
    ),
    (
        "too_large",
        TOO_LARGE,
        "too_large",
        (
            "The body exceeds the source's `max_body`, announced or not; or the request's head exceeds 32 KiB or 128"
            " headers. The connection is closed."
        ),
        "POST /webhooks/github HTTP/1.1\ncontent-length: 99999999\n",
    ),
    (
        "content_type",
        CONTENT_TYPE,
        "content_type",
        "The source sets `content_types`, and this is none of them.",
        "POST /webhooks/github HTTP/1.1\ncontent-type: text/xml\n\n<a/>",
    ),
    (
        "rate",
        rate_refused(1),
        "rate",
        (
            "Over the source's `rate` of verified deliveries a second; or not verified, as too many from the same"
            " address before it (`server.failed_rate`). Come again after `retry-after` seconds."
        ),
        _SIGNED,
    ),
    (
        "unavailable",
        UNAVAILABLE,
        "unavailable",
        (
            "The event cannot be made durable now, or not within the deadline; or the gateway is overloaded or"
            " draining; or the request was not complete at the deadline; or a key or secret that would verify it cannot"
            " be had now. Come again after `retry-after` seconds."
        ),
        _SIGNED,
    ),
)


def answers() -> tuple[Answer, ...]:
    """Return every answer there is, in the order of their status, for the generated documentation."""
    return tuple(
        Answer(
            name=name,
            status=reply.status,
            when=when,
            headers={key.decode(): value.decode() for key, value in reply.asgi_headers(_EXAMPLE_ID.encode())},
            body=reply.body,
            request=request,
            reason=reason,
        )
        for name, reply, reason, when, request in _TABLE
    )
