"""Netlify: a JWT (HS256) that claims the digest of the body."""

import hashlib
import hmac

from gateway.core.admission import Rejected, Request, Verified
from gateway.core.jwt import Token, read_token, signed_by, time_refusal, written
from gateway.core.provider import Example, Prover, Provider, Scheme, Shape, Terms
from gateway.core.source import SignedRequest, SignRequest

_HEADER = "x-webhook-signature"
_RAW = _HEADER.encode()


def _prover(terms: Terms) -> Prover:
    keys = [(secret.label, secret.text.encode()) for secret in terms.secrets]

    def prove(request: Request, now_us: int) -> Verified | Rejected:
        text = request.headers.get(_RAW)
        if not text or _RAW in request.repeated:
            return Rejected("signature_repeated" if text else "signature_missing")
        token = read_token(text)
        if token is None:
            return Rejected("signature_malformed")
        label = next((label for label, key in keys if signed_by(token, "HS256", key)), None)
        if label is None or token.text("iss") != "netlify":
            return Rejected("signature_mismatch")
        if not _tells(token, request.body):
            return Rejected("body_digest_mismatch")
        refusal = time_refusal(token, now_us)
        return Verified(label, None) if refusal is None else Rejected(refusal)

    return prove


def _tells(token: Token, body: bytes) -> bool:
    claimed = token.text("sha256").encode("utf-8", "replace")
    return hmac.compare_digest(claimed, hashlib.sha256(body).hexdigest().encode())


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    claims = {"iss": "netlify", "sha256": hashlib.sha256(asked.body).hexdigest()}
    token = written({}, claims, terms.secrets[0].text.encode(), "HS256").decode()
    return SignedRequest(method=asked.method, query=asked.query, headers={_HEADER: token}, body=asked.body)


def _deploy(state: str) -> Example:
    return Example(
        '{"id": "$id", "site_id": "fa4dd95a-994e-4f89-8a7a-2d9e9fc36a32", "build_id": "test", "state": "' + state
        + '", "name": "test", "url": "https://test.netlify.app", "branch": "main", "context": "production", '
        '"created_at": "$time", "updated_at": "$time"}'
    )  # fmt: skip


NETLIFY = Provider(
    name="netlify",
    title="Netlify",
    category="developer",
    schemes=(Scheme(header=_HEADER, prover=_prover, covers=("body",), seal=_seal),),
    shapes=(
        Shape(
            # A deploy tells of itself several times.
            id="json:id + ':' + json:state + ':' + json:updated_at | json:id",
            type="header:x-netlify-event | 'deploy_' + json:state",
            time="json:updated_at | json:created_at",
            key="json:site_id",
        ),
    ),
    key_hint="the notification's JWS secret token, as you typed it",
    keep_headers=("x-netlify-event",),
    sends={"x-netlify-event": "{type}"},
    examples={"deploy_created": _deploy("ready"), "deploy_failed": _deploy("error")},
    setup=(
        "Make up a long secret and configure it here.",
        "Under Project configuration > Notifications add an HTTP POST request for each event.",
        "Give each the source's URL, and the secret as JWS secret token.",
    ),
    traps=(
        "Each notification has a token of its own: use one secret for all of a source.",
        "The signature tells no time: a captured delivery stays valid.",
        "The kind of event stands in a header alone, which nothing signs; the deploy's state is signed.",
        "A deploy is told of several times: the id holds its state and time too.",
    ),
    unsettled=(
        "Whether failed deliveries are tried again.",
        "After how long Netlify gives up on an answer.",
        "The header x-netlify-event, which the documentation does not mention.",
    ),
    docs="https://docs.netlify.com/deploy/deploy-notifications/",
)
