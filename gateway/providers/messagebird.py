"""MessageBird (Bird): a JWT with the digests of the URL and the body."""

import hashlib
import hmac

from gateway.core.admission import RefusedReason, Rejected, Request, Verified
from gateway.core.jwt import Token, read_token, signer, time_refusal, written
from gateway.core.provider import Example, MiB, Prover, Provider, Scheme, Shape, Terms
from gateway.core.source import SignedRequest, SignRequest

_HEADER = "messagebird-signature-jwt"
_ISSUER = "MessageBird"
_LEEWAY = 1.0
_LIFETIME = 60


def _prover(terms: Terms) -> Prover:
    url = _base(terms)
    header = _HEADER.encode()

    def prove(request: Request, now_us: int) -> Verified | Rejected:
        if header in request.repeated:
            return Rejected("signature_repeated")
        text = request.headers.get(header)
        token = read_token(text) if text else None
        if token is None:
            return Rejected("signature_malformed" if text else "signature_missing")
        label = signer(token, ("HS256", "HS384", "HS512"), terms.secrets)
        refusal = _refusal(token, url, request, now_us) if label else None
        if label is None or refusal is not None:
            return Rejected(refusal or "signature_mismatch")
        return Verified(label, now_us / 1e6 - (token.seconds("nbf") or 0.0))

    return prove


def _base(terms: Terms) -> bytes:
    if not terms.url:
        raise ValueError("public_url: is needed, for it is signed; write the URL as it is registered with the provider")
    return terms.url.partition("?")[0].encode()


def _refusal(token: Token, url: bytes, request: Request, now_us: int) -> RefusedReason | None:
    if token.text("iss") != _ISSUER:
        return "signature_mismatch"
    if token.seconds("nbf") is None or token.seconds("exp") is None:
        return "timestamp_missing"
    whole = url + b"?" + request.query if request.query else url
    named = token.text("payload_hash")
    # There is a digest of the body exactly if there is a body.
    same_body = _is_digest(named, request.body) if request.body else not named
    if not _is_digest(token.text("url_hash"), whole) or not same_body:
        return "body_digest_mismatch"
    return time_refusal(token, now_us, leeway=_LEEWAY)


def _is_digest(named: str, data: bytes) -> bool:
    return hmac.compare_digest(named.encode(), hashlib.sha256(data).hexdigest().encode())


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    url = _base(terms) + (b"?" + asked.query if asked.query else b"")
    body = asked.body if asked.method == "POST" else b""
    now = asked.now_us // 1_000_000
    claims = {"iss": _ISSUER, "nbf": now, "exp": now + _LIFETIME, "jti": asked.event_id}
    claims["url_hash"] = hashlib.sha256(url).hexdigest()
    if body:
        claims["payload_hash"] = hashlib.sha256(body).hexdigest()
    token = written({}, claims, terms.secrets[0].text.encode(), "HS256").decode()
    return SignedRequest(method=asked.method, query=asked.query, headers={_HEADER: token}, body=body)


def _message(kind: str, status: str) -> Example:
    return Example(
        '{"type": "' + kind + '", "contact": {"id": "9354647c5b144a2b4c99f2n42497249"}, "conversation": {"id": '
        '"2e15efafec384e1c82e9842075e87beb", "status": "active"}, "message": {"id": "$id", "status": "'
        + status
        + '", "createdDatetime": "$time", "updatedDatetime": "$time", "content": {"text": "Hello"}}}'
    )


MESSAGEBIRD = Provider(
    name="messagebird",
    title="MessageBird (Bird)",
    category="messaging",
    schemes=(Scheme(header=_HEADER, prover=_prover, seal=_seal, covers=("body", "query")),),
    shapes=(
        Shape(
            when="json:type",
            id="json:type + ':' + json:message.id + ':' + json:message.status + ':' + json:message.updatedDatetime | "
            "json:type + ':' + json:message.id + ':' + body:sha256 | body:sha256",
            type="json:type",
            time="json:message.updatedDatetime | json:message.createdDatetime",
            key="json:conversation.id | json:contact.id",
        ),
        # Status reports of SMS come as the query string of a GET.
        Shape(
            when="query:status",
            id="query:id + ':' + query:recipient + ':' + query:status + ':' + query:statusDatetime | body:sha256",
            type="'status.' + query:status",
            time="query:statusDatetime",
            key="query:id",
        ),
        Shape(id="body:sha256", type="'message.received'", time="query:createdDatetime", key="query:originator"),
    ),
    key_hint="the signing key, under Developers > API settings; not an API key",
    needs_public_url=True,
    methods=("POST", "GET"),
    max_body=MiB,
    sends={"user-agent": "MessageBird"},
    examples={
        "message.created": _message("message.created", "received"),
        "message.updated": _message("message.updated", "delivered"),
    },
    setup=(
        "Set public_url: the signature covers the source's whole URL.",
        "Configure the signing key, and enter the source's URL at the product (Conversations, SMS, Voice).",
    ),
    traps=(
        "The token lives for seconds: keep the clock right, for 1 s is all that is allowed beside its own times.",
        "Behind a proxy the URL that arrives is another than the one signed, so only the configured one counts.",
        "SMS status reports are GETs whose query string is the event.",
        "The older header MessageBird-Signature is not looked at.",
    ),
    unsettled=("How long MessageBird retries, and after how long it gives up on an answer.",),
    docs="https://developers.messagebird.com/api/#verifying-http-requests",
)
