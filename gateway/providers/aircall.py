"""Aircall: nothing is signed; the webhook's token stands in the body."""

from collections.abc import Sequence

import msgspec

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import Claim, Example, Mac, MiB, Provider, Scheme, Shape, Terms
from gateway.core.source import SignedRequest, SignRequest


class _Body(msgspec.Struct):
    token: str


_bodies = msgspec.json.Decoder(_Body)
_objects = msgspec.json.Decoder(dict[str, object])


def _claims(request: Request) -> Sequence[Claim] | RefusedReason:
    try:
        return [Claim((), [_bodies.decode(request.body).token.encode()])]
    except msgspec.ValidationError:
        return "signature_missing"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "signature_malformed"


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    sealed = msgspec.json.encode(_objects.decode(asked.body) | {"token": terms.secrets[0].text})
    return SignedRequest(method="POST", query=asked.query, headers={}, body=sealed)


def _event(data: str) -> Example:
    resource = '{"resource": "call", "event": "$type", "timestamp": $time_s, "token": "", "data": {'
    return Example(resource + data + "}}")


AIRCALL = Provider(
    name="aircall",
    title="Aircall",
    category="messaging",
    schemes=(Scheme(claims=lambda _: _claims, covers=(), seal=_seal, macs=(Mac(algorithm="none", encoding="raw"),)),),
    shapes=(
        Shape(
            id="body:sha256",
            type="json:event",
            time="json:timestamp",
            key="json:resource + ':' + json:data.id | json:resource",
        ),
    ),
    key_hint="the webhook's token: in the answer that created it, or from GET /v1/webhooks/ID; not an API token",
    timeout=5.0,
    retry_horizon=12 * 3600.0,
    max_body=MiB,
    sends={"aircall-origin": "webhooks"},
    examples={
        "call.created": _event('"id": "$id", "direction": "outbound", "status": "initial", "started_at": $time_s'),
        "call.ended": _event('"id": "$id", "direction": "inbound", "status": "done", "duration": 42'),
    },
    setup=(
        "Create a webhook with the source's URL in the dashboard, or by POST /v1/webhooks.",
        "Read its token (GET /v1/webhooks/ID) and configure it.",
    ),
    traps=(
        "The token is no signature: whoever reads one delivery can send any other.",
        "The token stands in the body, so stored events hold it: create the webhook anew where those may have leaked.",
        "There is no event id: a body is known by its digest, and calls are best kept by data.id.",
        "Events come in no order; sustained failures disable the webhook, and 12 hours later for good.",
        "There is no X-Aircall-Signature, whatever guides say.",
    ),
    unsettled=("Whether a retry is byte for byte the first delivery.",),
    docs="https://developer.aircall.io/docs/webhooks-overview",
)
