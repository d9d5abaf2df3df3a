"""Notion: the body signed under a token that Notion sends when the subscription is made."""

from gateway.core.admission import Handshake, Request
from gateway.core.provider import DAY, Challenge, Example, Provider, Shape, Terms
from gateway.core.source import Ack
from gateway.providers import object_apis
from gateway.providers.families import signed_body
from gateway.providers.pairing import field_of

_LONGEST_TOKEN = 256


def _handshake(request: Request, _terms: Terms) -> Handshake | None:
    token = field_of(request.body, "verification_token")
    if token is None or not token.startswith("secret_") or len(token) > _LONGEST_TOKEN:
        return None
    return Handshake(Ack(body=b"", content_type="text/plain"), pairing=token)


NOTION = Provider(
    name="notion",
    title="Notion",
    category="productivity",
    schemes=(signed_body("x-notion-signature", prefix="sha256="),),
    shapes=(Shape(id="json:id", type="json:type", time="json:timestamp", key="json:entity.id"),),
    key_hint="the subscription's verification_token (secret_...), if you have kept it; else pair the source",
    secrets="paired",
    # `attempt_number` counts in the body.
    body_varies=True,
    challenges=(Challenge(methods=("POST",), signed=False, reply=_handshake),),
    retry_horizon=DAY,
    examples={
        "page.created": Example(
            '{"id": "$id", "timestamp": "$time", "workspace_id": "13950b26-c203-4f3b-b97d", "type": "$type", '
            '"authors": [{"id": "c7c11cca-1d73-471d-9b6e", "type": "person"}], "attempt_number": 1, '
            '"api_version": "2022-06-28", "entity": {"id": "153104cd-477e-809d-8dc4", "type": "page"}, "data": {}}'
        ),
    },
    object_api=object_apis.NOTION,
    setup=(
        "Open the source for its token: gateway pair SOURCE.",
        "In the integration's settings, under Webhooks, make a subscription with the source's URL.",
        "Show the token with gateway pair SOURCE --reveal, and enter it in Notion's Verify dialog.",
    ),
    traps=(
        "The token of the first request is the key of all signatures, so it is taken only while pairing is open.",
        "Several events of one page are joined by Notion, and none tells what the page now holds: fetch it.",
        "The integration must have access to a page, or nothing is sent for it.",
    ),
    unsettled=("How long Notion waits for an answer is not documented.",),
    docs="https://developers.notion.com/reference/webhooks",
)
