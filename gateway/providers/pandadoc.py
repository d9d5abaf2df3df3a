"""PandaDoc: the body signed by HMAC-SHA256, the signature in the query string; a list of events."""

import hmac
from collections.abc import Sequence

from gateway.core.admission import RefusedReason, Request
from gateway.core.forms import form_fields
from gateway.core.provider import Claim, Example, Mac, MiB, Provider, Scheme, Shape, Terms
from gateway.core.source import SignedRequest, SignRequest


def _claims(request: Request) -> Sequence[Claim] | RefusedReason:
    signatures = [value for name, value in form_fields(request.query) or () if name == b"signature"]
    if len(signatures) > 1:
        return "signature_repeated"
    return [Claim((request.body,), signatures)] if signatures else "signature_missing"


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    signature = hmac.new(terms.secrets[0].text.encode(), asked.body, "sha256").hexdigest().encode()
    query = b"&".join(part for part in (asked.query, b"signature=" + signature) if part)
    return SignedRequest(method="POST", query=query, headers={}, body=asked.body)


def _event(status: str) -> Example:
    return Example(
        '[{"event": "$type", "data": {"id": "$id", "name": "Offer", "date_created": "$time", "date_modified": "$time", '
        '"status": "' + status + '", "metadata": {}}}]'
    )


PANDADOC = Provider(
    name="pandadoc",
    title="PandaDoc",
    category="productivity",
    schemes=(Scheme(claims=lambda _: _claims, query="signature", covers=("body",), seal=_seal, macs=(Mac(),)),),
    shapes=(
        # No event has an id. Its element tells the document's state, and when that was changed.
        Shape(id="body:sha256", type="json:event", time="json:data.date_modified", key="json:data.id", split="[*]"),
    ),
    key_hint="the webhook subscription's shared key, from the Developer Dashboard",
    max_body=4 * MiB,
    examples={
        "document_state_changed": _event("document.completed"),
        "recipient_completed": _event("document.sent"),
    },
    setup=(
        "In the Developer Dashboard make a webhook subscription with the source's URL and choose its events.",
        "Copy the subscription's shared key and configure it here.",
    ),
    traps=(
        "The signature stands in the query string, which access logs keep: it is of no use for another body.",
        "There is no event id: an event is known by its element's whole bytes.",
        "No time is signed: a captured delivery stays valid, and is known by its bytes.",
    ),
    unsettled=(
        "How long PandaDoc waits for an answer, and for how long it retries.",
        "Whether every kind of event has a date that tells equal ones apart.",
    ),
    docs="https://developers.pandadoc.com/docs/webhook-verification",
)
