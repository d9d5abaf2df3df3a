"""Tally: the body signed by HMAC-SHA256, in base64."""

from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.providers.families import signed_body

TALLY = Provider(
    name="tally",
    title="Tally",
    category="productivity",
    schemes=(signed_body("tally-signature", encoding="base64"),),
    shapes=(Shape(id="json:eventId", type="json:eventType", time="json:createdAt", key="json:data.formId"),),
    key_hint="the webhook's signing secret, as entered in the form's Integrations tab",
    timeout=10.0,
    # After 5 and 30 minutes, 1 hour, 6 hours and a day.
    retry_horizon=2 * DAY,
    max_body=4 * MiB,
    examples={
        "FORM_RESPONSE": Example(
            '{"eventId": "$id", "eventType": "$type", "createdAt": "$time", "data": {"responseId": "2wgx4n", '
            '"submissionId": "2wgx4n", "respondentId": "dwQKYm", "formId": "VwbNEw", "formName": "Test", "createdAt": '
            '"$time", "fields": [{"key": "question_3EKz4n", "label": "Name", "type": "INPUT_TEXT", "value": "Ada"}]}}'
        ),
    },
    setup=(
        "In the form's Integrations tab connect a webhook with the source's URL and a signing secret.",
        "Configure the same secret here.",
    ),
    traps=(
        "A webhook without a signing secret sends no signature, and its deliveries are refused here.",
        "Other integrations may be offered the same submission: data.submissionId tells it.",
    ),
    unsettled=("That Tally waits ten seconds and retries five times within a day and a half, and keeps eventId.",),
    docs="https://tally.so/help/webhooks",
)
