"""Contentful: a canonical request (method, path, listed headers, body) signed by HMAC-SHA256."""

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import (
    DAY,
    Example,
    Mac,
    Message,
    MessageRule,
    MiB,
    Provider,
    Scheme,
    Shape,
    Terms,
    Timestamp,
)

_SIGNED = b"x-contentful-signed-headers"
_STAMP = b"x-contentful-timestamp"
_MOST_HEADERS = 64
# What `encodeURI` and `querystring.escape` of its library leave as they are, beside letters and digits.
_PATH = ";,/?:@&=+$-_.!~*'()#"
_QUERY = "-_.!~*'()"


def _rule(terms: Terms) -> MessageRule:
    path = urlsplit(terms.url or "").path.encode() or b"/"

    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        names = {name.strip().lower() for name in request.headers.get(_SIGNED, b"").split(b",")}
        # Without these two in it the list of names itself and the time could be anyone's.
        if len(names) > _MOST_HEADERS or not {_SIGNED, _STAMP} <= names:
            return "signature_malformed"
        headers = b";".join(name + b":" + request.headers.get(name, b"").strip() for name in sorted(names))
        method = request.method.encode("latin-1", "replace")
        targets = dict.fromkeys((_encoded(path, request.query), path + b"?" + request.query if request.query else path))
        return [(method, b"\n", target, b"\n", headers, b"\n", request.body) for target in targets]

    return messages


def _encoded(path: bytes, query: bytes) -> bytes:
    """Return path and query as Contentful's library signs them: the query is escaped, and the whole once more."""
    whole = path + b"?" + quote(query, safe=_QUERY).encode() if query else path
    return quote(whole, safe=_PATH).encode()


CONTENTFUL = Provider(
    name="contentful",
    title="Contentful",
    category="developer",
    schemes=(
        Scheme(
            header="x-contentful-signature",
            rule=_rule,
            covers=("body", "query", "header:x-contentful-timestamp", "header:x-contentful-signed-headers"),
            timestamp=Timestamp(header="x-contentful-timestamp", unit="ms", past=300.0, future=300.0),
            macs=(Mac(),),
        ),
    ),
    shapes=(
        Shape(
            id="header:x-contentful-idempotency-key | header:x-contentful-webhook-request-id | delivery:id",
            type="header:x-contentful-topic",
            time="json:sys.updatedAt | json:sys.deletedAt",
            key="json:sys.id",
        ),
    ),
    key_hint="the space's signing secret, 64 characters, from Settings > Webhooks > Settings",
    needs_public_url=True,
    timeout=30.0,
    retry_horizon=DAY,
    max_body=4 * MiB,
    keep_headers=("x-contentful-topic", "x-contentful-idempotency-key", "x-contentful-webhook-name"),
    sends={
        "x-contentful-topic": "ContentManagement.Entry.publish",
        "x-contentful-idempotency-key": "{id}",
        "x-contentful-signed-headers": "x-contentful-signed-headers,x-contentful-timestamp",
    },
    examples={
        "ContentManagement.Entry.publish": Example(
            '{"sys": {"type": "Entry", "id": "5KsDBWseXY6QegucYAoacS", "version": 3, "updatedAt": "$time"}, '
            '"fields": {"title": {"en-US": "$id"}}}',
            "application/vnd.contentful.management.v1+json",
        ),
    },
    setup=(
        "Set the source's public_url to the URL of the webhook: its path is signed.",
        "Switch request verification on for the space, and configure its signing secret here.",
    ),
    traps=(
        "Topic and key are headers that the signature covers only if x-contentful-signed-headers lists them.",
        "A proxy that rewrites the path breaks every signature.",
        "The body is what the webhook's transformation makes of it, so that it may lack ids and times.",
    ),
    unsettled=(
        "Whether Contentful signs a query string as its library does, which escapes it twice: both forms are taken.",
        "Its library takes a request for 30 s; whether a retry is signed anew is not documented: 5 minutes here.",
        "Timeout and length of retries.",
    ),
    docs="https://www.contentful.com/developers/docs/webhooks/request-verification/",
)
