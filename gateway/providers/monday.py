"""monday.com: a token in the URL, or the JWT (HS256) of an app, which covers no body; and a JSON challenge."""

import hmac
from urllib.parse import quote

from gateway.core.admission import Rejected, Request, Verified
from gateway.core.forms import form_fields
from gateway.core.jwt import read_token, signer, time_refusal
from gateway.core.provider import Challenge, Example, Prover, Provider, Scheme, Shape, Terms
from gateway.core.source import SignedRequest, SignRequest

_HEADER = "authorization"
_RAW = _HEADER.encode()


def _prover(terms: Terms) -> Prover:
    def prove(request: Request, now_us: int) -> Verified | Rejected:
        tokens = [value for name, value in form_fields(request.query) or () if name == b"token"]
        for secret in terms.secrets:
            if len(tokens) == 1 and hmac.compare_digest(tokens[0], secret.text.encode()):
                return Verified(secret.label, None)
        return _of_app(terms, request, now_us) if _RAW in request.headers else _missing(tokens)

    return prove


def _missing(tokens: list[bytes]) -> Rejected:
    if not tokens:
        return Rejected("signature_missing")
    return Rejected("signature_mismatch" if len(tokens) == 1 else "signature_repeated")


def _of_app(terms: Terms, request: Request, now_us: int) -> Verified | Rejected:
    if _RAW in request.repeated:
        return Rejected("signature_repeated")
    token = read_token(request.headers[_RAW].removeprefix(b"Bearer "))
    if token is None:
        return Rejected("signature_malformed")
    label = signer(token, ("HS256",), terms.secrets)
    # Without an end the token of one delivery could send any other for ever.
    refusal = time_refusal(token, now_us) if token.seconds("exp") is not None else "timestamp_missing"
    if label is None:
        return Rejected("signature_mismatch")
    return Verified(label, None) if refusal is None else Rejected(refusal)


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    token = b"token=" + quote(terms.secrets[0].text).encode()
    query = asked.query + b"&" + token if asked.query else token
    return SignedRequest(method=asked.method, query=query, headers={}, body=asked.body)


MONDAY = Provider(
    name="monday",
    title="monday.com",
    category="productivity",
    schemes=(Scheme(header=_HEADER, prover=_prover, covers=(), seal=_seal),),
    shapes=(
        Shape(
            # Several webhooks may tell of one trigger, each as an event of its own.
            id="json:event.triggerUuid + ':' + json:event.subscriptionId | json:event.triggerUuid | delivery:id",
            type="json:event.type | json:type",
            time="json:event.triggerTime",
            key="json:event.boardId + ':' + json:event.pulseId | json:event.boardId",
        ),
    ),
    key_hint="a token of your own at the end of the webhook's URL, ?token=..., or the signing secret of the app",
    secrets="optional",
    challenges=(
        Challenge(
            when="json:challenge",
            answer="json:challenge",
            template='{"challenge": {}}',
            content_type="application/json",
            signed=False,
        ),
    ),
    # Every minute for half an hour.
    retry_horizon=1800.0,
    examples={
        "create_pulse": Example(
            '{"event": {"userId": 9603417, "boardId": 1771812698, "pulseId": 1772099344, "pulseName": "New item", '
            '"type": "$type", "triggerTime": "$time", "subscriptionId": 73759690, "triggerUuid": "$id"}}'
        ),
    },
    setup=(
        "In the board's integrations choose Webhooks, and give the source's URL with ?token= and the secret.",
        "For webhooks that an app makes by the API, configure the app's signing secret instead.",
        "monday.com asks for the URL by a challenge at once.",
    ),
    traps=(
        "Webhooks of a board are not signed: the token in the URL is all that keeps others out.",
        "An app's JWT covers no body: whoever reads one delivery can send others until it expires.",
        "Events of an app's life cycle are signed with its client secret, and not with its signing secret.",
        "A challenge is answered whoever asks: it tells nothing but that a gateway listens here.",
    ),
    unsettled=(
        "How long monday.com waits for an answer.",
        "Whether a retry brings a new JWT, and the same triggerUuid.",
    ),
    docs="https://developer.monday.com/api-reference/reference/webhooks",
)
