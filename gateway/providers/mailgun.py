"""Mailgun: HMAC of a timestamp and a token that stand in the body, beside an event that nothing covers."""

import hmac
from collections.abc import Mapping, Sequence

import msgspec

from gateway.core.admission import RefusedReason, Request
from gateway.core.decoders import multipart_fields
from gateway.core.forms import form_fields, is_form
from gateway.core.provider import Claim, Example, Mac, MiB, Provider, Scheme, Shape, Terms, Timestamp
from gateway.core.source import SignedRequest, SignRequest


class _Signature(msgspec.Struct):
    timestamp: str | int
    token: str
    signature: str
    parent: str | None = msgspec.field(default=None, name="parent-signature")


class _Body(msgspec.Struct):
    signature: _Signature


_bodies = msgspec.json.Decoder(_Body)
_objects = msgspec.json.Decoder(dict[str, object])
_PROOF = ("timestamp", "token", "signature")


def _content(body: bytes, content_type: str) -> bytes | None:
    """Return the JSON of an event as it is, and the fields of an inbound message in the same place for the proof."""
    fields: Mapping[str, str] | None
    if is_form(content_type.encode("latin-1", "replace")):
        fields = _form(body)
    elif content_type.startswith("multipart/"):
        fields = multipart_fields(body, content_type)
    else:
        return body
    if fields is None:
        return None
    proof = {name: fields.get(name, "") for name in _PROOF}
    return msgspec.json.encode({"signature": proof, "fields": fields})


def _form(body: bytes) -> Mapping[str, str] | None:
    try:
        pairs = form_fields(body)
        return None if pairs is None else {name.decode(): value.decode() for name, value in reversed(pairs)}
    except UnicodeDecodeError:
        return None


def _claims(request: Request) -> Sequence[Claim] | RefusedReason:
    content = _content(request.body, request.headers.get(b"content-type", b"").decode("latin-1"))
    try:
        proof = _bodies.decode(content or b"").signature
    except msgspec.ValidationError:
        return "signature_missing"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "signature_malformed"
    candidates = [text.encode() for text in (proof.signature, proof.parent) if text]
    return [Claim((str(proof.timestamp).encode(), proof.token.encode()), candidates)]


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    body = _objects.decode(asked.body)
    there = body.get("signature")
    token = str(there.get("token", asked.event_id)) if isinstance(there, dict) else asked.event_id
    stamp = str(asked.now_us // 1_000_000)
    digest = hmac.digest(terms.secrets[0].text.encode(), (stamp + token).encode(), "sha256")
    body["signature"] = {"timestamp": stamp, "token": token, "signature": digest.hex()}
    return SignedRequest(method="POST", query=asked.query, headers={}, body=msgspec.json.encode(body))


def _event(fields: str) -> Example:
    return Example(
        '{"signature": {"token": "$id"}, "event-data": {"id": "CPgfbmQMTCKtHW6uIWtuVe", "event": "$type", '
        '"timestamp": $time_s, "recipient": "test@example.com", "message": {"headers": {"message-id": '
        '"20130503182626.18666.16540@example.com"}}' + fields + "}}"
    )


MAILGUN = Provider(
    name="mailgun",
    title="Mailgun",
    category="email",
    schemes=(
        Scheme(
            claims=lambda _: _claims,
            covers=(),
            seal=_seal,
            macs=(Mac(),),
            # The first proof comes again with every retry, for 8 hours.
            timestamp=Timestamp(json="signature.timestamp", past=9 * 3600.0, refreshed_on_retry=False),
        ),
    ),
    shapes=(
        Shape(
            when="json:event-data.event",
            # The token is new with each event and all that is signed: another body under it is a conflict.
            id="json:signature.token",
            type="json:event-data.event",
            time="json:event-data.timestamp",
            key="json:event-data.message.headers.message-id | json:event-data.recipient",
        ),
        Shape(
            when="json:fields.recipient",
            id="json:signature.token",
            type="'inbound'",
            time="json:signature.timestamp",
            key="json:fields.recipient",
        ),
        Shape(id="json:signature.token"),
    ),
    key_hint="the HTTP webhook signing key (Settings > API security), not an API key; a subaccount's or its parent's",
    decode=_content,
    retry_horizon=8 * 3600.0,
    max_body=32 * MiB,
    sends={"user-agent": "Go-http-client/1.1"},
    examples={
        "delivered": _event(', "delivery-status": {"code": 250, "message": "OK"}'),
        "failed": _event(', "severity": "permanent", "reason": "bounce"'),
    },
    setup=(
        "Under Send > Webhooks add the source's URL for each event type; for inbound mail a route to it.",
        "Configure the HTTP webhook signing key, not the API key; while it is changed, both.",
    ),
    traps=(
        "The signature covers a timestamp and a token, and no event: who has read one delivery can send any other.",
        "Events are known by that token, so that a second body under it goes to the dead letters as a conflict.",
        "Timestamp, token and signature are the same on each retry for 8 h: a tolerance of minutes drops them all.",
        "A 200 alone counts as accepted, and 406 alone ends the retries.",
        "Inbound routes are forms or multipart with the same three fields; attachments stay in the stored body.",
    ),
    unsettled=("That a retry repeats the first timestamp and token is told by others, not by Mailgun's pages.",),
    docs="https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
)
