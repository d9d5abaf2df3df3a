"""Figma: nothing is signed; the webhook's passcode stands in the body."""

from collections.abc import Sequence

import msgspec

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import Claim, Example, Mac, MiB, Provider, Scheme, Shape, Terms
from gateway.core.source import SignedRequest, SignRequest


class _Body(msgspec.Struct):
    passcode: str


_bodies = msgspec.json.Decoder(_Body)
_objects = msgspec.json.Decoder(dict[str, object])


def _claims(request: Request) -> Sequence[Claim] | RefusedReason:
    try:
        return [Claim((), [_bodies.decode(request.body).passcode.encode("utf-8", "surrogatepass")])]
    except msgspec.ValidationError:
        return "signature_missing"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "signature_malformed"


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    sealed = msgspec.json.encode(_objects.decode(asked.body) | {"passcode": terms.secrets[0].text})
    return SignedRequest(method="POST", query=asked.query, headers={}, body=sealed)


FIGMA = Provider(
    name="figma",
    title="Figma",
    category="productivity",
    schemes=(Scheme(claims=lambda _: _claims, covers=(), seal=_seal, macs=(Mac(algorithm="none", encoding="raw"),)),),
    shapes=(
        # No event has an id. The body tells the time, the file, and the comment or version where there is one.
        Shape(
            id="body:sha256",
            type="json:event_type",
            time="json:timestamp",
            key="json:file_key | json:webhook_id",
        ),
    ),
    key_hint="the webhook's passcode, as you made it up when you created the webhook",
    # Three retries: after 5 minutes, 30 minutes and 3 hours.
    retry_horizon=5 * 3600.0,
    max_body=4 * MiB,
    examples={
        "FILE_COMMENT": Example(
            '{"event_type": "$type", "passcode": "", "webhook_id": "22", "timestamp": "$time", "file_key": '
            '"zH12k54E7fdfwwfc", "file_name": "test", "comment_id": "$id", "comment": [{"text": "So it does"}]}'
        ),
        "FILE_VERSION_UPDATE": Example(
            '{"event_type": "$type", "passcode": "", "webhook_id": "22", "timestamp": "$time", "file_key": '
            '"zH12k54E7fdfwwfc", "file_name": "test", "version_id": "$id", "label": "v1"}'
        ),
    },
    setup=(
        "Make up a long passcode and configure it here.",
        "Create a webhook by POST /v2/webhooks with the source's URL as endpoint and the passcode.",
        "Figma sends a PING at once, which is an event like others.",
    ),
    traps=(
        "The passcode is no signature: whoever reads one delivery can send any other.",
        "The passcode stands in the body, so stored events hold it: make the webhook anew where those may have leaked.",
        "An answer of 400 stops the webhook at once; a wrong passcode is answered 401 here, so that none is stopped.",
        "A library's publication comes as several events.",
    ),
    unsettled=(
        "Whether a retry is byte for byte the first delivery; if not, it counts as another event.",
        "How long Figma waits for an answer; its three retries are from memory.",
    ),
    docs="https://developers.figma.com/docs/rest-api/webhooks-security/",
)
