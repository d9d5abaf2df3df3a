"""Persona: `t=TIME,v1=SIGNATURE` over time, dot and body; while a secret is rotated two such pairs, a blank between."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import stamped_list


def _example(kind: str, object_id: str) -> Example:
    return Example(
        '{"data": {"type": "event", "id": "$id", "attributes": {"name": "$type", "payload": {"data": {"type": "' + kind
        + '", "id": "' + object_id + '", "attributes": {"status": "completed", "reference-id": "test"}}}, '
        '"created-at": "$time"}}}'
    )  # fmt: skip


PERSONA = Provider(
    name="persona",
    title="Persona",
    category="identity",
    schemes=(stamped_list("persona-signature", split=", "),),
    shapes=(
        Shape(
            id="json:data.id",
            type="json:data.attributes.name",
            time="json:data.attributes.created-at",
            key="json:data.attributes.payload.data.id",
        ),
    ),
    key_hint="the webhook's secret (wbhsec_...), in the dashboard under Webhooks; used whole",
    body_varies=True,
    timeout=5.0,
    # After 3, 64, 729, 4096, 15625, 46656 and 117649 seconds.
    retry_horizon=184_822.0,
    keep_headers=("persona-webhook-attempts-made", "persona-webhook-first-attempted-at"),
    sends={"user-agent": "Persona/1.0"},
    examples={
        "inquiry.completed": _example("inquiry", "inq_test"),
        "verification.passed": _example("verification/government-id", "ver_test"),
    },
    setup=(
        "In the dashboard under Webhooks create a webhook with the source's URL and choose its events.",
        "Configure its secret as it stands there.",
        "To rotate it, configure both secrets until the old one has expired.",
    ),
    traps=(
        "While a secret is rotated the header holds two pairs of time and signature with a blank between them.",
        "Events do not come in order: compare data.attributes.created-at.",
    ),
    unsettled=("Whether a retry carries a new time (it is taken to).",),
    docs="https://docs.withpersona.com/webhooks",
)
