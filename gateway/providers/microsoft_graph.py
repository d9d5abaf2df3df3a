"""Microsoft Graph: a client state in each notification, and tokens of Microsoft Entra where they carry data."""

import hmac
from collections.abc import Callable, Sequence

import msgspec

from gateway.core.admission import Handshake, NeedsKey, Rejected, Request, Verified
from gateway.core.forms import form_fields
from gateway.core.jwt import Token
from gateway.core.provider import Challenge, Example, MiB, Prover, Provider, Scheme, Setting, Shape, Terms
from gateway.core.source import Ack, SignedRequest, SignRequest
from gateway.providers.entra import GUID, checked, issuers, keys_request, party

_PUBLISHER = "0bf30f3b-4a52-48df-9a82-234910c4a086"
_MOST_TOKENS = 16
_LONGEST_ANSWER = 1_024
_NOSNIFF = (("x-content-type-options", "nosniff"),)


class _Notification(msgspec.Struct, rename="camel", gc=False):
    client_state: str = ""
    encrypted_content: msgspec.Raw = msgspec.Raw()

    @property
    def is_rich(self) -> bool:
        """Whether it carries data of the resource."""
        return bytes(self.encrypted_content) not in {b"", b"null"}


class _Collection(msgspec.Struct, rename="camel", gc=False):
    value: list[_Notification]
    validation_tokens: list[str] | None = None


_collections = msgspec.json.Decoder(_Collection)
_values = msgspec.json.Decoder(dict[str, object])


def _collection(body: bytes) -> _Collection | None:
    try:
        return _collections.decode(body)
    except (ValueError, RecursionError):
        return None


def _prover(terms: Terms) -> Prover:
    secrets = [(secret.label, secret.text.encode()) for secret in terms.secrets]
    allows = _allows(terms)

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:
        found = _collection(request.body)
        if found is None or not found.value:
            return Rejected("signature_missing")
        states = [each.client_state.encode("utf-8", "replace") for each in found.value]
        label = next((label for label, secret in secrets if _all_are(secret, states)), None)
        if label is None:
            return Rejected("signature_mismatch" if all(states) else "signature_missing")
        tokens = found.validation_tokens or ()
        if len(tokens) > _MOST_TOKENS:
            return Rejected("signature_malformed")
        if not tokens and any(each.is_rich for each in found.value):
            return Rejected("signature_missing")
        for text in tokens:
            token = checked(text.encode("utf-8", "replace"), request, now_us, allows)
            if not isinstance(token, Token):
                return token
        return Verified(label, None)

    return prove


def _all_are(secret: bytes, states: Sequence[bytes]) -> bool:
    return all(hmac.compare_digest(secret, state) for state in states)


def _allows(terms: Terms) -> Callable[[Token], bool]:
    """Return the check of a token's claims; without `settings.app` there is nobody that one could be for."""
    apps = frozenset(terms.values.get("app", ()))
    tenants = terms.values.get("tenant", ())

    def allows(token: Token) -> bool:
        trusted = issuers(tenants or (token.text("tid"),))
        return party(token) == _PUBLISHER and token.text("iss") in trusted and not apps.isdisjoint(token.audiences())

    return allows


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    """Write the client state into each notification."""
    sealed = _values.decode(asked.body)
    notifications = sealed.get("value")
    if not isinstance(notifications, list) or not all(isinstance(each, dict) for each in notifications):
        raise ValueError("such a request cannot be signed: its body needs notifications in an array, value")
    for notification in notifications:
        notification["clientState"] = terms.secrets[0].text
    return SignedRequest(method=asked.method, query=asked.query, headers={}, body=msgspec.json.encode(sealed))


def _validate(request: Request, _terms: Terms) -> Handshake | None:
    """Echo the token of the URL, decoded, as plain text; only for a request without a body."""
    tokens = [value for name, value in form_fields(request.query) or () if name == b"validationToken"]
    if request.body or len(tokens) != 1 or not 0 < len(tokens[0]) <= _LONGEST_ANSWER:
        return None
    return Handshake(Ack(body=tokens[0], content_type="text/plain", headers=_NOSNIFF))


def _guids(hint: str) -> Setting:
    return Setting(hint=hint, needed=False, many=True, pattern=GUID)


def _example(change: str, fields: str) -> Example:
    return Example(
        '{"value": [{"id": "$id", "subscriptionId": "76222963-cc7b-42d2-882d-8aaa69cb2ba3", '
        '"subscriptionExpirationDateTime": "2030-01-01T00:00:00Z", ' + change + ', "clientState": "", '
        '"tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95", ' + fields + "}]}"
    )  # fmt: skip


MICROSOFT_GRAPH = Provider(
    name="microsoft_graph",
    title="Microsoft Graph",
    category="productivity",
    # The client state is a shared secret, but it stands in the body: there is no header to name.
    schemes=(Scheme(prover=_prover, seal=_seal, covers=()),),
    shapes=(
        Shape(
            # Many resources give no id: then what changed and its version, or, where there is neither (drives, lists),
            # each delivery counts by itself, for the next change reads the same word for word.
            id="json:id | json:subscriptionId + ':' + json:changeType + ':' + json:resourceData.id + ':' + "
            "json:resourceData['@odata.etag'] | delivery:id + ':' + batch:index",
            type="json:lifecycleEvent | json:changeType",
            key="json:resource | json:subscriptionId",
            split="value[*]",
        ),
    ),
    key_hint="the clientState of your subscriptions, at most 128 characters",
    settings={
        "app": _guids("the application's id, for notifications with resource data"),
        "tenant": _guids("the ids of the tenants that these may be about; left out, any"),
    },
    key_request=keys_request,
    challenges=(Challenge(when="query:validationToken", signed=False, reply=_validate),),
    timeout=3.0,
    retry_horizon=4 * 3_600.0,
    max_body=MiB,
    examples={
        "updated": _example(
            '"changeType": "updated"',
            '"resource": "Users/test/Messages/AAMkTest", "resourceData": {"@odata.type": "#Microsoft.Graph.Message", '
            '"@odata.id": "Users/test/Messages/AAMkTest", "@odata.etag": "W/test", "id": "AAMkTest"}',
        ),
        "missed": _example('"lifecycleEvent": "missed"', '"resource": "Users/test/Messages"'),
    },
    setup=(
        "Make up a long clientState and configure it here.",
        "Start the gateway, then create the subscription with the source's URL for notifications and lifecycle.",
        "For notifications with resource data configure settings.app with the application's id.",
        "Renew subscriptions before they expire: that is the owner's business.",
    ),
    traps=(
        "One delivery may hold notifications of several subscriptions: each must bear the client state.",
        "The client state stands in the stored body, and covers nothing of it.",
        "Notifications with resource data are refused without settings.app: their tokens are for an application.",
        "The validation token must be answered decoded and as plain text.",
        "Drives and lists say only that something changed, each time in the same words: ask for the changes (delta).",
        "Deliveries answered after 3 s are counted against you, and with many of them the endpoint is dropped.",
        "An application with signing keys of its own (claims mapping) has its tokens refused.",
    ),
    docs="https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
)
