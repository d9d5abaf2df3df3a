"""The ingest endpoint: from the request's head to one of the documented answers.

Everything before verification costs the sender more than us: no parsing, no logging, bytes within a budget. Every way
out is a `Reply` of the closed table; no exception leaves here.
"""

import logging
import time
from collections.abc import Mapping, Sequence

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.core.admission import Admission, Events, Handshake, Rejected, Request
from gateway.core.errors import TooLargeError, Unavailable
from gateway.core.event import Event
from gateway.receive import responses
from gateway.receive.appending import Appends
from gateway.receive.arrival import Arrival, arrival_of
from gateway.receive.body import BodyReader, BodyTooLargeError, ClientGoneError
from gateway.receive.clients import Address, Network, budget_name, client_address, within
from gateway.receive.entrance import Entrance
from gateway.receive.identifiers import DeliveryIds
from gateway.receive.limits import HeldBytes, announced_length, media_type
from gateway.receive.meter import SourceMeter
from gateway.receive.rejections import Rejection, Rejections
from gateway.receive.responses import Reply

UNKNOWN = "unknown"
_MAX_NAMES, _MAX_NAME, _MAX_PATH, _MAX_METHOD = 40, 64, 64, 16
_NONE_REPEATED: frozenset[bytes] = frozenset()

log = logging.getLogger("gateway.receive")


class _RefusedError(Exception):
    """This delivery gets a refusal; `reason` is the full one, for metrics and the rejections."""

    def __init__(self, reason: str, reply: Reply, age: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply
        self.age = age


class _Delivery:
    """What is known so far of the delivery being answered."""

    __slots__ = ("arrival", "entrance", "headers", "id", "repeated", "scope", "size")

    def __init__(self, scope: Scope, arrival: Arrival, delivery_id: str) -> None:
        self.scope = scope
        self.arrival = arrival
        self.id = delivery_id
        self.entrance: Entrance | None = None
        self.headers: dict[bytes, bytes] = {}
        self.repeated = _NONE_REPEATED
        self.size = 0

    def read_headers(self) -> None:
        pairs: list[tuple[bytes, bytes]] = self.scope["headers"]
        self.headers = dict(pairs)
        if len(self.headers) != len(pairs):
            self.headers, self.repeated = _joined(pairs)


def _joined(pairs: Sequence[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    """Join repeated headers (RFC 9110, section 5.3) and name them, so that admission can refuse some."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    repeated = frozenset(name for name, several in values.items() if len(several) > 1)
    return {name: b", ".join(several) for name, several in values.items()}, repeated


class Endpoint:
    """The ASGI application behind `/webhooks/{source}`, and of every other path.

    Attributes:
        inflight: deliveries being answered now.
    """

    def __init__(
        self,
        entrances: Mapping[str, Entrance],
        appends: Appends,
        rejections: Rejections,
        *,
        unknown: SourceMeter,
        held: HeldBytes,
        trusted_proxies: tuple[Network, ...],
    ) -> None:
        self._entrances = entrances
        self._appends = appends
        self._rejections = rejections
        self._unknown = unknown
        self._held = held
        self._trusted_proxies = trusted_proxies
        self._ids = DeliveryIds()
        self.inflight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        arrival = arrival_of(scope)
        delivery = _Delivery(scope, arrival, self._ids.next(arrival.received_us))
        self.inflight += 1
        try:
            reply = await self._answer(delivery, receive)
        except _RefusedError as refused:
            reply = self._refuse(delivery, refused)
        except Unavailable as unavailable:
            reply = self._refuse(delivery, _RefusedError(unavailable.reason, responses.UNAVAILABLE))
        except (BodyTooLargeError, TooLargeError):
            reply = self._refuse(delivery, _RefusedError("too_large", responses.TOO_LARGE))
        except ClientGoneError:
            return
        except Exception as error:  # noqa: BLE001 - the edge's top: whatever went wrong, a sender is never told 500
            reply = self._failed(delivery, error)
        finally:
            self.inflight -= 1
        await _send(reply, delivery, send)

    async def _answer(self, delivery: _Delivery, receive: Receive) -> Reply:
        entrance = self._enter(delivery)
        source = entrance.source
        until = delivery.arrival.first_byte + source.deadline
        body = await self._body(delivery, entrance, receive, until)
        delivery.size = len(body)
        request = Request(
            method=delivery.scope["method"],
            query=delivery.scope["query_string"],
            headers=delivery.headers,
            repeated=delivery.repeated,
            body=body,
            received_us=delivery.arrival.received_us,
            delivery_id=delivery.id,
        )
        began = time.perf_counter()
        admission = source.admit(request, request.received_us)
        spent = time.perf_counter() - began
        if type(admission) is not Events:
            return self._not_events(delivery, entrance, admission, spent)
        entrance.meter.verified(spent, admission.secret, admission.signature_age)
        stored = await self._store(entrance, admission, until)
        seconds = time.monotonic() - delivery.arrival.first_byte
        if stored or not admission.events:
            entrance.meter.answered("accepted", "", seconds, len(body))
            return entrance.accepted
        entrance.meter.answered("duplicate", "", seconds, len(body))
        return entrance.duplicate

    def _enter(self, delivery: _Delivery) -> Entrance:
        """Check what the request's head alone tells."""
        scope = delivery.scope
        params = scope.get("path_params")
        entrance = None if params is None else self._entrances.get(params["source"])
        if entrance is None:
            raise _RefusedError("unknown_source", responses.UNKNOWN_SOURCE)
        delivery.entrance = entrance
        if scope["method"] not in entrance.source.methods:
            raise _RefusedError("method", entrance.wrong_method)
        delivery.read_headers()
        if entrance.allowed and not within(self._client(delivery), entrance.allowed):
            raise _RefusedError("address", responses.UNVERIFIED)
        if entrance.content_types and media_type(delivery.headers.get(b"content-type")) not in entrance.content_types:
            raise _RefusedError("content_type", responses.CONTENT_TYPE)
        return entrance

    async def _body(self, delivery: _Delivery, entrance: Entrance, receive: Receive, until: float) -> bytes:
        limit = entrance.source.max_body
        if (announced_length(delivery.headers) or 0) > limit:
            raise BodyTooLargeError
        if not delivery.arrival.more_body:  # all here: nothing is held, nothing can take time
            message = await receive()
            body: bytes = message.get("body", b"")
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            if len(body) > limit:
                raise BodyTooLargeError
            return body
        reader = BodyReader(self._held, budget_name(self._client(delivery)), limit)
        try:
            return await reader.read(receive, until=until)
        except Unavailable as unavailable:
            raise _RefusedError(unavailable.reason, responses.UNAVAILABLE_CLOSING) from None
        finally:
            delivery.size = reader.size
            reader.release()

    def _not_events(self, delivery: _Delivery, entrance: Entrance, admission: Admission, spent: float) -> Reply:
        meter = entrance.meter
        if isinstance(admission, Handshake):
            reply = responses.prescribed(admission.ack)
            meter.verified(spent, admission.secret, admission.signature_age)
            meter.answered("handshake", "", time.monotonic() - delivery.arrival.first_byte, delivery.size)
            return reply
        if isinstance(admission, Rejected):
            meter.verified(spent, None, admission.signature_age)
            raise _RefusedError(admission.reason, responses.UNVERIFIED, admission.signature_age)
        raise _RefusedError("key_unavailable", responses.UNAVAILABLE)

    async def _store(self, entrance: Entrance, admission: Events, until: float) -> bool:
        if entrance.bucket is not None and (wait := entrance.bucket.take(time.monotonic())):
            raise _RefusedError("rate", responses.rate_refused(wait), admission.signature_age)
        events: Sequence[Event] = admission.events
        if entrance.bodies is not None:
            events = [_checked(event, entrance, admission) for event in events]
        return await self._appends.store(events, entrance.meter, until=until)

    def _refuse(self, delivery: _Delivery, refused: _RefusedError) -> Reply:
        """Count and keep a refusal."""
        entrance = delivery.entrance
        meter = self._unknown if entrance is None else entrance.meter
        meter.answered("refused", refused.reason, time.monotonic() - delivery.arrival.first_byte, delivery.size)
        scope = delivery.scope
        self._rejections.add(
            Rejection(
                at_us=delivery.arrival.received_us,
                delivery_id=delivery.id,
                source=UNKNOWN if entrance is None else entrance.source.name,
                reason=refused.reason,
                status=refused.reply.status,
                client=str(self._client(delivery) or ""),
                method=scope["method"][:_MAX_METHOD],
                path="" if entrance is not None else scope["path"][:_MAX_PATH],
                body_bytes=delivery.size,
                signature_age=refused.age,
                header_names=_names(scope["headers"]),
            )
        )
        return refused.reply

    def _failed(self, delivery: _Delivery, error: Exception) -> Reply:
        """Answer for a defect of ours; the type alone is logged, its text may hold what a sender wrote."""
        log.error("delivery.failed", extra={"delivery_id": delivery.id, "error": type(error).__name__})
        return self._refuse(delivery, _RefusedError("internal", responses.UNAVAILABLE))

    def _client(self, delivery: _Delivery) -> Address | None:
        peer = delivery.scope.get("client")
        if not delivery.headers:
            delivery.read_headers()
        forwarded = delivery.headers.get(b"x-forwarded-for", b"")
        return client_address(peer[0] if peer else "", forwarded, self._trusted_proxies)

    def refused_by_server(self, reason: str, reply: Reply, *, client: str, arrival: tuple[float, int]) -> bytes:
        """Count and keep what the server refused before there was a request; return the delivery's id.

        Args:
            reason: `malformed`, `too_large`, `deadline`, `overloaded` or `internal`.
            reply: what is answered.
            client: the peer's address.
            arrival: when its first byte came: `time.monotonic`, and microseconds since the epoch.
        """
        first_byte, received_us = arrival
        delivery_id = self._ids.next(received_us)
        self._unknown.answered("refused", reason, time.monotonic() - first_byte, 0)
        self._rejections.add(
            Rejection(
                at_us=received_us,
                delivery_id=delivery_id,
                source=UNKNOWN,
                reason=reason,
                status=reply.status,
                client=client,
            )
        )
        return delivery_id.encode()


def _names(pairs: Sequence[tuple[bytes, bytes]]) -> tuple[str, ...]:
    return tuple(sorted({name[:_MAX_NAME].decode("latin-1") for name, _ in pairs[:_MAX_NAMES]}))


def _checked(event: Event, entrance: Entrance, admission: Events) -> Event:
    """Flag an old body under a new unsigned id, or refuse it where the source says so (design section 6.14)."""
    bodies = entrance.bodies
    if bodies is None or event.id_is_signed or not bodies.came_under_another_id(event.body_sha256, event.id):
        return event
    if entrance.source.on_replay == "refuse":
        entrance.meter.flagged("suspected_replay")
        raise _RefusedError("suspected_replay", responses.UNVERIFIED, admission.signature_age)
    return msgspec.structs.replace(event, flags=tuple(sorted({*event.flags, "suspected_replay"})))


async def _send(reply: Reply, delivery: _Delivery, send: Send) -> None:
    encoded_id = delivery.id.encode()
    if delivery.arrival.answer(reply, encoded_id):
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.asgi_headers(encoded_id)})
    await send({"type": "http.response.body", "body": b"" if delivery.scope["method"] == "HEAD" else reply.body})
