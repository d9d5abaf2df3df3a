"""Typeform: the body signed by HMAC-SHA256, in base64 behind `sha256=`."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body

TYPEFORM = Provider(
    name="typeform",
    title="Typeform",
    category="productivity",
    schemes=(signed_body("typeform-signature", prefix="sha256=", encoding="base64"),),
    shapes=(
        Shape(
            id="json:event_id",
            type="json:event_type",
            time="json:form_response.submitted_at",
            key="json:form_response.form_id",
        ),
    ),
    key_hint="the webhook's secret as typed in the form's Connect panel",
    timeout=30.0,
    # 429, 408, 503 and 423 every few minutes for 10 hours; others after 5 to 240 minutes, seven times.
    retry_horizon=11 * 3600.0,
    max_body=4 * MiB,
    sends={"user-agent": "Typeform Webhooks"},
    examples={
        "form_response": Example(
            '{"event_id": "$id", "event_type": "form_response", "form_response": {"form_id": "lT4Z3j", "token": "a3", '
            '"landed_at": "$time", "submitted_at": "$time", "answers": [{"type": "text", "text": "It does"}]}}'
        ),
    },
    setup=(
        "In the form's Connect > Webhooks add the source's URL, and a secret under its settings.",
        "Configure the same secret here.",
    ),
    traps=(
        "A webhook without a secret sends no signature, and its deliveries are refused here.",
        "The signature is base64 behind sha256=, where others write hex.",
        "A webhook that answers 404 or 410 is disabled at once.",
        "One that only fails is disabled: after 300 deliveries in a day, or 100 in five minutes.",
    ),
    unsettled=("That event_id stays the same on every retry.",),
    docs="https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
)
