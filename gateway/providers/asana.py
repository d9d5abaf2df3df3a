"""Asana: the body signed under a secret that Asana sends when the webhook is made."""

from gateway.core.admission import Handshake, Request
from gateway.core.provider import DAY, Challenge, Example, Provider, Shape, Terms
from gateway.core.source import Ack
from gateway.providers import object_apis
from gateway.providers.families import signed_body

_LONGEST_SECRET = 256


def _handshake(request: Request, _terms: Terms) -> Handshake | None:
    """Echo the secret of a new webhook; whether it is taken is for the edge to say."""
    secret = request.headers.get(b"x-hook-secret", b"").decode("latin-1")
    if not 0 < len(secret) <= _LONGEST_SECRET or not secret.isascii() or not secret.isprintable() or " " in secret:
        return None
    return Handshake(Ack(body=b"", content_type="text/plain", headers=(("x-hook-secret", secret),)), pairing=secret)


ASANA = Provider(
    name="asana",
    title="Asana",
    category="productivity",
    schemes=(signed_body("x-hook-signature"),),
    shapes=(
        # No event has an id; each says when it was made, to the millisecond.
        Shape(
            id="body:sha256",
            type="json:resource.resource_type + '.' + json:action | json:action",
            time="json:created_at",
            key="json:resource.gid",
            split="events[*]",
        ),
    ),
    key_hint="the X-Hook-Secret of the webhook, if you have kept it; else pair the source",
    secrets="paired",
    challenges=(Challenge(methods=("POST",), signed=False, reply=_handshake),),
    timeout=10.0,
    retry_horizon=DAY,
    examples={
        "task.changed": Example(
            '{"events": [{"user": {"gid": "12345", "resource_type": "user"}, "created_at": "$time", "action": '
            '"changed", "resource": {"gid": "$id", "resource_type": "task"}, "parent": null, '
            '"change": {"field": "due_at", "action": "changed"}}]}'
        ),
    },
    object_api=object_apis.ASANA,
    setup=(
        "Open the source for its secret: gateway pair SOURCE.",
        "Make the webhook by Asana's API with the source's URL as target: the secret comes while that call waits.",
        "For a gateway on several machines put the secret into the configuration of each.",
    ),
    traps=(
        "Each webhook has a secret of its own: give each a source of its own.",
        "Asana promises at most one delivery, and deletes a webhook that fails for a day: compare at times.",
        "An answer of 410 deletes the webhook.",
        "Events name a resource and no state: fetch it, and expect it to have moved on.",
        "Every eight hours there comes an empty heartbeat, which is answered and not stored.",
    ),
    unsettled=("That a retry has each event in the same bytes: its digest stands for its id.",),
    docs="https://developers.asana.com/docs/webhooks-guide",
)
