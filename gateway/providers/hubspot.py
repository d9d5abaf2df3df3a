"""HubSpot: method, URL, body and time signed (v3); the plain digests of v1 and v2 only where a source asks for them."""

import re
from collections.abc import Callable, Mapping, Sequence

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import (
    DAY,
    Example,
    Mac,
    Message,
    MessageRule,
    Provider,
    Scheme,
    Setting,
    Shape,
    Terms,
    Timestamp,
)

_STAMP = b"x-hubspot-request-timestamp"
# What HubSpot decodes in the URL before it signs; all else stays as it is.
_DECODED = {
    b"%3a": b":", b"%2f": b"/", b"%3f": b"?", b"%40": b"@", b"%21": b"!", b"%24": b"$",
    b"%27": b"'", b"%28": b"(", b"%29": b")", b"%2a": b"*", b"%2c": b",", b"%3b": b";",
}  # fmt: skip
_ENCODED = re.compile(b"%(?:3a|2f|3f|40|21|24|27|28|29|2a|2c|3b)", re.IGNORECASE)


def _url(terms: Terms, request: Request) -> bytes:
    base = (terms.url or "").encode()
    return base + b"?" + request.query if request.query else base


def _v3(terms: Terms) -> MessageRule:
    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        stamp, url = request.headers.get(_STAMP, b""), _url(terms, request)
        decoded = _ENCODED.sub(lambda found: _DECODED[found[0].lower()], url)
        method = request.method.encode("latin-1", "replace")
        return [(method, each, request.body, stamp) for each in dict.fromkeys((decoded, url))]

    return messages


def _old(version: str) -> Callable[[Terms], MessageRule]:
    def rule(terms: Terms) -> MessageRule:
        allowed = terms.value("oldest_signature") in {"v1", version}

        def messages(request: Request) -> Sequence[Message] | RefusedReason:
            if not allowed:
                return "signature_missing"
            if version == "v1":
                return ((request.body,),)
            return ((request.method.encode("latin-1", "replace"), _url(terms, request), request.body),)

        return messages

    return rule


def _says(version: bytes) -> Callable[[Mapping[bytes, bytes]], bool]:
    return lambda headers: (
        b"x-hubspot-signature-v3" not in headers and headers.get(b"x-hubspot-signature-version") == version
    )


_IDENTITY = "json:portalId + ':' + json:subscriptionId + ':' + {} + ':' + json:eventId + ':' + json:occurredAt"
_OBJECT = _IDENTITY.format("json:objectId")
_PAIR = _IDENTITY.format("json:fromObjectId + ':' + json:toObjectId")

HUBSPOT = Provider(
    name="hubspot",
    title="HubSpot",
    category="crm",
    schemes=(
        Scheme(
            header="x-hubspot-signature",
            when=_says(b"v1"),
            rule=_old("v1"),
            covers=("body",),
            macs=(Mac(algorithm="sha256"),),
        ),
        Scheme(
            header="x-hubspot-signature",
            when=_says(b"v2"),
            rule=_old("v2"),
            covers=("body", "query"),
            macs=(Mac(algorithm="sha256"),),
        ),
        Scheme(
            header="x-hubspot-signature-v3",
            rule=_v3,
            covers=("body", "query", "header:x-hubspot-request-timestamp"),
            timestamp=Timestamp(header="x-hubspot-request-timestamp", unit="ms"),
            macs=(Mac(encoding="base64"),),
        ),
    ),
    shapes=(
        Shape(
            # `eventId` alone is not unique, and `attemptNumber` counts the retries.
            id=f"{_OBJECT} + ':' + json:propertyName | {_OBJECT} | {_PAIR} + ':' + json:associationType | {_PAIR} | "
            "body:sha256",
            type="json:subscriptionType",
            time="json:occurredAt",
            time_unit="ms",
            key="json:portalId + ':' + json:objectId | json:portalId + ':' + json:fromObjectId | json:portalId",
            split="[*]",
        ),
    ),
    key_hint="the app's client secret, from the app's Auth page",
    settings={
        "oldest_signature": Setting(
            hint="`v1` or `v2` to take those signatures where the request has no v3 one", needed=False, pattern="v[123]"
        ),
    },
    needs_public_url=True,
    body_varies=True,
    timeout=5.0,
    retry_horizon=DAY,
    examples={
        "contact.propertyChange": Example(
            '[{"eventId": 3181526845, "subscriptionId": 25, "portalId": 33, "appId": 1160452, "occurredAt": '
            '${time_s}000, "subscriptionType": "$type", "attemptNumber": 0, "objectId": "$id", '
            '"changeSource": "CRM", "propertyName": "lifecyclestage", "propertyValue": "lead"}, '
            '{"eventId": 3181526846, "subscriptionId": 26, "portalId": 33, "appId": 1160452, "occurredAt": '
            '${time_s}000, "subscriptionType": "contact.creation", "attemptNumber": 0, "objectId": "$id", '
            '"changeSource": "CRM", "changeFlag": "NEW"}]'
        ),
    },
    setup=(
        "Set the source's public_url to the exact target URL of the app's webhooks: it is signed.",
        "In the app's Webhooks page subscribe to objects, and configure the app's client secret here.",
    ),
    traps=(
        "The URL is signed with some of its characters decoded; both forms are tried.",
        "eventId is not unique, so the id is made of portal, subscription, object, event, time and property.",
        "attemptNumber changes with every retry, and a retry may come in another batch.",
        "A delivery holds up to 100 events, and five seconds are for all of them.",
        "v1 and v2 are plain digests without a time: a captured request could be sent again, or lengthened, for ever.",
    ),
    unsettled=("That each retry carries a new timestamp: HubSpot has five minutes checked, and retries for a day.",),
    docs="https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation",
)
