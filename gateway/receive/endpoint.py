"""The ingest endpoint: from the request's head to one of the documented answers.

Everything before verification costs the sender more than us: no parsing, no logging, bytes within a budget. Every way
out is a `Reply` of the closed table; no exception leaves here.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from gateway.core.admission import NO_KEYS, Admission, Events, Handshake, Rejected, Request
from gateway.core.errors import TooLargeError, Unavailable
from gateway.receive import responses
from gateway.receive.appending import Appends
from gateway.receive.arrival import arrival_of
from gateway.receive.body import BodyReader, BodyTooLargeError, ClientGoneError
from gateway.receive.causes import Causes
from gateway.receive.clients import Address, Network, budget_name, client_address
from gateway.receive.delivery import Delivery
from gateway.receive.entrance import Entrance
from gateway.receive.identifiers import DeliveryIds
from gateway.receive.keys import KeyUnavailableError
from gateway.receive.limits import ClientRates, HeldBytes, announced_length, media_type
from gateway.receive.meter import SourceMeter
from gateway.receive.pairing import Pairings
from gateway.receive.quarantine import Quarantine
from gateway.receive.quarantined import Quarantined
from gateway.receive.rejections import Rejection, Rejections
from gateway.receive.responses import Reply
from gateway.receive.visits import Visits

UNKNOWN = "unknown"
_MAX_NAMES, _MAX_NAME, _MAX_PATH, _MAX_METHOD = 40, 64, 64, 16
# Answered as unverified, though a signature held.
_VERIFIED = frozenset({"suspected_replay", "batch_too_large"})

log = logging.getLogger("gateway.receive")


class _RefusedError(Exception):
    """This delivery gets a refusal; `reason` is the full one, for metrics and, if it is `kept`, the rejections.

    `request` is set where nothing verified it: why may be worked out, and it may be put into quarantine.
    """

    def __init__(
        self,
        reason: str,
        reply: Reply,
        age: float | None = None,
        *,
        kept: bool = True,
        request: Request | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply
        self.age = age
        self.kept = kept
        self.request = request

    @property
    def unverified(self) -> bool:
        """Whether nothing proves who sent it."""
        return self.reply is responses.UNVERIFIED and self.reason not in _VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What the endpoint has beside the sources.

    Attributes:
        appends: makes events durable.
        rejections: keeps what was refused.
        causes: works out why.
        quarantine: keeps deliveries that did not verify, where an operator wants that.
        unknown: the meter of requests that name no source.
        held: the budget of unverified bodies.
        failures: how many unverified deliveries of a client are each answered and kept as such; None for all.
        trusted_proxies: whose X-Forwarded-For is believed.
        pairings: takes secrets that come at run time.
        visits: fetches what confirms a subscription.
    """

    appends: Appends
    rejections: Rejections
    causes: Causes
    quarantine: Quarantine
    unknown: SourceMeter
    held: HeldBytes
    failures: ClientRates | None
    trusted_proxies: tuple[Network, ...]
    pairings: Pairings
    visits: Visits


class Endpoint:
    """The ASGI application behind `/webhooks/{source}`, and of every other path.

    Args:
        entrances: the sources by name; looked up for each delivery, so that one may be replaced.
        equipment: what there is beside them.

    Attributes:
        inflight: deliveries being answered now.
    """

    def __init__(self, entrances: Mapping[str, Entrance], equipment: Equipment) -> None:
        self._entrances = entrances
        self._appends = equipment.appends
        self._rejections = equipment.rejections
        self._causes = equipment.causes
        self._quarantine = equipment.quarantine
        self._unknown = equipment.unknown
        self._held = equipment.held
        self._failures = equipment.failures
        self._trusted_proxies = equipment.trusted_proxies
        self._pairings = equipment.pairings
        self._visits = equipment.visits
        self._ids = DeliveryIds()
        self.inflight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        arrival = arrival_of(scope)
        delivery = Delivery(scope, arrival, self._ids.next(arrival.received_us))
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

    async def _answer(self, delivery: Delivery, receive: Receive) -> Reply:
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
            keys=NO_KEYS if entrance.keys is None else entrance.keys,
        )
        if entrance.keys is None:
            began = time.perf_counter()
            admission = source.admit(request, request.received_us)
            spent = time.perf_counter() - began
        else:
            admission, spent = await self._admit_by_keys(delivery, entrance, request, until)
        if type(admission) is not Events:
            return await self._not_events(delivery, entrance, request, admission, spent)
        entrance.meter.verified(spent, admission.secret, admission.signature_age)
        entrance.uses.note(admission.secret, request.received_us)
        stored = await self._store(entrance, admission, until)
        seconds = time.monotonic() - delivery.arrival.first_byte
        if stored or not admission.events:
            entrance.meter.answered("accepted", "", seconds, len(body))
            return entrance.accepted
        entrance.meter.answered("duplicate", "", seconds, len(body))
        return entrance.duplicate

    def _enter(self, delivery: Delivery) -> Entrance:
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
        if entrance.guarded:
            self._check_address(delivery, entrance)
        if entrance.content_types and media_type(delivery.headers.get(b"content-type")) not in entrance.content_types:
            raise _RefusedError("content_type", responses.CONTENT_TYPE)
        return entrance

    async def _body(self, delivery: Delivery, entrance: Entrance, receive: Receive, until: float) -> bytes:
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

    def _check_address(self, delivery: Delivery, entrance: Entrance) -> None:
        admitted = entrance.admits(self._client(delivery))
        if admitted is False:
            raise _RefusedError("address", responses.UNVERIFIED)
        if admitted is None and entrance.source.verification == "none":
            raise _RefusedError("addresses_unknown", responses.UNAVAILABLE)

    async def _admit_by_keys(
        self, delivery: Delivery, entrance: Entrance, request: Request, until: float
    ) -> tuple[Admission, float]:
        """Decide with fetched keys; return the seconds that the decision itself took, too."""
        assert entrance.keys is not None  # noqa: S101 - the caller's condition
        client = budget_name(self._client(delivery))
        trusted = self._failures is None or not self._failures.is_spent(client, time.monotonic())
        try:
            return await entrance.keys.admit(
                entrance.source, request, client=client, held=self._held, may_fetch=trusted, until=until
            )
        except KeyUnavailableError as missing:
            raise _RefusedError("key_unavailable", responses.UNAVAILABLE, kept=not missing.limited) from None

    async def _not_events(
        self, delivery: Delivery, entrance: Entrance, request: Request, admission: Admission, spent: float
    ) -> Reply:
        meter = entrance.meter
        if isinstance(admission, Handshake):
            meter.verified(spent, admission.secret, admission.signature_age)
            if admission.secret is not None:
                entrance.uses.note(admission.secret, request.received_us)
            await self._follow_up(delivery, entrance, admission)
            reply = responses.prescribed(admission.ack)
            meter.answered("handshake", "", time.monotonic() - delivery.arrival.first_byte, delivery.size)
            return reply
        if isinstance(admission, Rejected):
            meter.verified(spent, None, admission.signature_age)
            if entrance.source.name in self._pairings.unreadable:  # the secret that cannot be read may have fitted
                raise _RefusedError("secret_unavailable", responses.UNAVAILABLE, admission.signature_age)
            proved = admission.reason in _VERIFIED
            raise _RefusedError(
                admission.reason,
                responses.UNVERIFIED,
                admission.signature_age,
                request=None if proved else request,
            )
        raise _RefusedError("key_unavailable", responses.UNAVAILABLE)

    async def _follow_up(self, delivery: Delivery, entrance: Entrance, handshake: Handshake) -> None:
        """Do what a challenge asks for beside its answer; refuse it if that cannot be done."""
        source = entrance.source
        if handshake.pairing is not None:
            until = delivery.arrival.first_byte + source.deadline
            outcome = await self._pairings.offer(source.name, handshake.pairing, until=until)
            if outcome == "closed":
                raise _RefusedError("pairing_closed", responses.UNVERIFIED)
            if outcome == "failed":
                raise _RefusedError("pairing_failed", responses.UNAVAILABLE)
        if handshake.visit is not None and not self._visits.add(source.name, handshake.visit, entrance.meter):
            raise _RefusedError("overloaded", responses.UNAVAILABLE)

    async def _store(self, entrance: Entrance, admission: Events, until: float) -> bool:
        if entrance.bucket is not None and (wait := entrance.bucket.take(time.monotonic())):
            raise _RefusedError("rate", responses.rate_refused(wait), admission.signature_age)
        events = admission.events if entrance.bodies is None else entrance.screened(admission)
        if events is None:
            raise _RefusedError("suspected_replay", responses.UNVERIFIED, admission.signature_age)
        return await self._appends.store(events, entrance.meter, until=until)

    def _refuse(self, delivery: Delivery, refused: _RefusedError) -> Reply:
        """Count a refusal, and keep it unless its sender had too many that were not verified."""
        entrance = delivery.entrance
        meter = self._unknown if entrance is None else entrance.meter
        seconds = time.monotonic() - delivery.arrival.first_byte
        if refused.unverified and (wait := self._note_failure(delivery)):
            meter.answered("refused", "failed_rate", seconds, delivery.size)
            if entrance is not None and refused.request is not None and self._quarantine.takes(entrance.source.name):
                meter.quarantine_lost()
            return responses.rate_refused(wait)
        meter.answered("refused", refused.reason, seconds, delivery.size)
        if not refused.kept:
            return refused.reply
        scope = delivery.scope
        rejection = Rejection(
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
        self._rejections.add(rejection)
        if refused.request is not None:
            self._look_into(rejection, refused.request, scope["headers"])
        return refused.reply

    def _look_into(self, rejection: Rejection, request: Request, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Hand what was refused to those who look at it after the answer; each takes what it has room for."""
        self._causes.offer(rejection, request)
        if self._quarantine.takes(rejection.source):
            self._quarantine.offer(
                Quarantined(
                    at_us=rejection.at_us,
                    id=rejection.delivery_id,
                    source=rejection.source,
                    reason=rejection.reason,
                    client=rejection.client,
                    method=request.method,
                    query=request.query,
                    headers=tuple((bytes(name), bytes(value)) for name, value in headers),
                    body=request.body,
                )
            )

    def _note_failure(self, delivery: Delivery) -> int:
        """Count an unverified delivery against its client; return for how many seconds it has had too many, or 0."""
        if self._failures is None:
            return 0
        return self._failures.take(budget_name(self._client(delivery)), time.monotonic())

    def _failed(self, delivery: Delivery, error: Exception) -> Reply:
        """Answer for a defect of ours; the type alone is logged, its text may hold what a sender wrote."""
        log.error("delivery.failed", extra={"delivery_id": delivery.id, "error": type(error).__name__})
        return self._refuse(delivery, _RefusedError("internal", responses.UNAVAILABLE))

    def _client(self, delivery: Delivery) -> Address | None:
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


async def _send(reply: Reply, delivery: Delivery, send: Send) -> None:
    encoded_id = delivery.id.encode()
    if delivery.arrival.answer(reply, encoded_id):
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.asgi_headers(encoded_id)})
    await send({"type": "http.response.body", "body": b"" if delivery.scope["method"] == "HEAD" else reply.body})
