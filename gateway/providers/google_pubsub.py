"""Google Cloud Pub/Sub push: an OIDC token of Google's for the configured service account. It covers no body."""

from gateway.core.admission import NeedsKey, Rejected, Request, Verified
from gateway.core.compile import FETCHED
from gateway.core.decoders import pubsub_json
from gateway.core.jwt import Token
from gateway.core.keysets import bearer_token, checked
from gateway.core.outgoing import Ask
from gateway.core.provider import DAY, Example, MiB, Prover, Provider, Scheme, Setting, Shape, Terms

# https://accounts.google.com/.well-known/openid-configuration
KEYS = "https://www.googleapis.com/oauth2/v3/certs"
_ISSUERS = frozenset({"https://accounts.google.com", "accounts.google.com"})


def _prover(terms: Terms) -> Prover:
    audiences = frozenset(terms.values.get("audience", ()) or filter(None, [terms.url]))
    emails = frozenset(terms.values.get("email", ()))
    if not audiences:
        raise ValueError("settings.audience: is needed, or public_url, which is Pub/Sub's audience by default")

    def allows(token: Token) -> bool:
        return (
            token.text("iss") in _ISSUERS
            and not audiences.isdisjoint(token.audiences())
            and token.text("email") in emails
            and token.claims.get("email_verified") is True
        )

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:
        text = bearer_token(request)
        token = text if isinstance(text, Rejected) else checked(text, request, KEYS, now_us, allows)
        return Verified(FETCHED, None) if isinstance(token, Token) else token

    return prove


def _keys_request(ref: str, _terms: Terms) -> Ask:
    return Ask(url=ref)


def _example(data: str, attributes: str = "") -> Example:
    return Example(
        '{"message": {"attributes": {' + attributes + '}, "data": "' + data + '", "messageId": "$id", '
        '"message_id": "$id", "publishTime": "$time", "publish_time": "$time"}, '
        '"subscription": "projects/test/subscriptions/test"}'
    )


GOOGLE_PUBSUB = Provider(
    name="google_pubsub",
    title="Google Cloud Pub/Sub",
    category="cloud",
    schemes=(Scheme(header="authorization", prover=_prover, covers=()),),
    shapes=(
        Shape(
            when="json:envelope.message.messageId",
            id="json:envelope.subscription + '/' + json:envelope.message.messageId",
            # What publishers call it: Cloud Storage in an attribute, CloudEvents in another, others in the data.
            type="json:envelope.message.attributes.eventType | json:envelope.message.attributes.ce-type | "
            "json:payload.eventType | json:payload.type | 'message'",
            time="json:envelope.message.publishTime",
            key="json:envelope.message.orderingKey",
        ),
        Shape(
            when="header:x-goog-pubsub-message-id",
            id="header:x-goog-pubsub-subscription-name + '/' + header:x-goog-pubsub-message-id",
            type="header:eventtype | header:ce-type | json:payload.eventType | json:payload.type | 'message'",
            time="header:x-goog-pubsub-publish-time",
            key="header:x-goog-pubsub-ordering-key",
        ),
        # Without metadata two messages of one text cannot be told from one sent twice.
        Shape(id="delivery:id", type="json:payload.eventType | json:payload.type | 'message'"),
    ),
    key_hint="none: Google signs with keys that are fetched",
    secrets="none",
    settings={
        "email": Setting(
            hint="the address of the service account that the push subscription authenticates as",
            many=True,
            pattern=r"[^@\s]{1,128}@[a-z0-9.-]{1,128}",
        ),
        "audience": Setting(
            hint="the subscription's audience; left out, it is the push endpoint's URL", needed=False, many=True
        ),
    },
    key_request=_keys_request,
    decode=pubsub_json,
    timeout=10.0,
    retry_horizon=7 * DAY,
    # 10 MB of data in base64, and attributes.
    max_body=16 * MiB,
    keep_headers=(
        "x-goog-pubsub-subscription-name",
        "x-goog-pubsub-message-id",
        "x-goog-pubsub-publish-time",
        "x-goog-pubsub-ordering-key",
    ),
    sends={"user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)"},
    examples={
        "message": _example("aGVsbG8="),
        "OBJECT_FINALIZE": _example(
            "eyJraW5kIjogInN0b3JhZ2Ujb2JqZWN0In0=", '"eventType": "OBJECT_FINALIZE", "bucketId": "test"'
        ),
    },
    setup=(
        "Create a push subscription with the source's URL, authentication on, and a service account of its own.",
        "Configure that account's address under settings.email.",
        "Set server.public_url, or settings.audience if you gave the subscription an audience of its own.",
        "Grant Pub/Sub's service agent the role Service Account Token Creator on it.",
        "With payload unwrapping switch on writing metadata, or each retry counts as a message of its own.",
        "If the subscription has a dead-letter topic set on_conflict: skip: deliveryAttempt counts in the body then.",
    ),
    traps=(
        "Any Google customer can have a token signed: audience and email are what tells yours.",
        "The token covers no body: whoever sees one can send others until it expires, within an hour.",
        "The message is base64 in an envelope: read it by event.unwrap().",
        "A subscription may be set to keep messages for up to 31 days: set dedupe_window to as much as yours.",
        "After a seek to the past, messages within the dedupe window are duplicates and not stored again.",
        "Without an ordering key the messages come in any order, and are handled side by side.",
    ),
    docs="https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
)
