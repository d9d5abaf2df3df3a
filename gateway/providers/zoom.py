"""Zoom: `v0:timestamp:body`; the URL is validated again every 72 hours, by a signed event."""

import hmac
import re

import msgspec

from gateway.core.admission import Handshake, Request
from gateway.core.provider import Challenge, Example, Mac, MiB, Provider, Scheme, Shape, Terms, Timestamp
from gateway.core.source import Ack

_SIGNATURE, _TIMESTAMP = "x-zm-signature", "x-zm-request-timestamp"
# Never what a delivery signs, which begins with `v0:`.
_TOKEN = re.compile(r"[A-Za-z0-9_+/=-]{1,128}")


class _Payload(msgspec.Struct):
    plain: str = msgspec.field(name="plainToken")


class _Validation(msgspec.Struct):
    payload: _Payload


_validations = msgspec.json.Decoder(_Validation)


def _validated(request: Request, terms: Terms) -> Handshake | None:
    """Return the token with its digest, under the secret that signed the question."""
    try:
        plain = _validations.decode(request.body).payload.plain
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    key = _key(request, terms)
    if key is None or _TOKEN.fullmatch(plain) is None:
        return None
    answer = {"plainToken": plain, "encryptedToken": _digest(key, plain.encode())}
    return Handshake(Ack(body=msgspec.json.encode(answer)))


def _key(request: Request, terms: Terms) -> bytes | None:
    message = b"v0:" + request.headers.get(_TIMESTAMP.encode(), b"") + b":" + request.body
    signature = request.headers.get(_SIGNATURE.encode(), b"").lower()
    keys = (secret.text.encode() for secret in terms.secrets)
    return next((key for key in keys if hmac.compare_digest(f"v0={_digest(key, message)}".encode(), signature)), None)


def _digest(key: bytes, message: bytes) -> str:
    return hmac.digest(key, message, "sha256").hex()


def _event(fields: str) -> Example:
    return Example(
        '{"event": "$type", "event_ts": ${time_s}000, "payload": {"account_id": "AAAAAABBBB", "object": '
        '{"id": "1234567890", "uuid": "$id", "host_id": "x1yCzABCDEfg23HiJKl4mN", "topic": "Example"' + fields + "}}}"
    )


ZOOM = Provider(
    name="zoom",
    title="Zoom",
    category="productivity",
    schemes=(
        Scheme(
            header=_SIGNATURE,
            message=("v0:", "timestamp", ":", "body"),
            macs=(Mac(prefix="v0="),),
            # Nobody says whether a retry is signed anew; a body is known by its digest, so an old copy is a duplicate.
            timestamp=Timestamp(header=_TIMESTAMP, past=2 * 3600.0, refreshed_on_retry=False),
        ),
    ),
    shapes=(
        Shape(
            id="body:sha256",
            type="json:event",
            time="json:event_ts",
            time_unit="ms",
            key="json:payload.object.uuid | json:payload.object.id | json:payload.account_id",
        ),
    ),
    key_hint="the app's Secret Token, under Features > Access; not the old verification token",
    challenges=(Challenge(when="json:event", equals="endpoint.url_validation", reply=_validated),),
    timeout=3.0,
    retry_horizon=5_400.0,
    max_body=MiB,
    keep_headers=("x-zm-trackingid", "x-zm-request-timestamp"),
    sends={"x-zm-trackingid": "{id}", "user-agent": "Zoom Marketplace/1.0a"},
    examples={
        "meeting.started": _event(', "type": 2, "start_time": "$time"'),
        "meeting.participant_joined": _event(', "participant": {"user_name": "Test", "join_time": "$time"}'),
    },
    setup=(
        "Configure the app's Secret Token first: Zoom validates the URL when it is saved.",
        "Under Features > Access add an event subscription with the source's URL, and press Validate.",
    ),
    traps=(
        "The URL is validated again every 72 hours; after 6 failures running the subscription is disabled.",
        "Only 5xx and network errors are retried, after 5, 20 and 60 minutes; a refusal loses the event.",
        "There is no event id: a body is known by its digest, so an event of two subscriptions is stored once.",
        "The tracking id is unsigned and new with each request: it is kept, and identifies nothing.",
    ),
    unsettled=("Whether a retry is signed with a new timestamp; the tolerance spans the retries.",),
    docs="https://developers.zoom.us/docs/api/webhooks/",
)
