"""Cal.com: the body signed by HMAC-SHA256."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body


def _booking(status: str) -> Example:
    return Example(
        '{"triggerEvent": "$type", "createdAt": "$time", "payload": {"uid": "$id", "bookingId": 91, "title": "Intro", '
        '"startTime": "$time", "endTime": "$time", "status": "' + status + '", "attendees": []}}'
    )


CAL_COM = Provider(
    name="cal_com",
    title="Cal.com",
    category="productivity",
    schemes=(signed_body("x-cal-signature-256"),),
    shapes=(
        # No event has an id; the usual body tells to the millisecond when it was made.
        Shape(
            when="json:createdAt",
            id="body:sha256",
            type="json:triggerEvent",
            time="json:createdAt",
            key="json:payload.uid | json:payload.bookingUid",
        ),
        # What a template of the operator's makes may lack it.
        Shape(id="delivery:id", type="json:triggerEvent | form:triggerEvent", key="json:payload.uid"),
    ),
    key_hint="the webhook's secret as typed in its settings",
    max_body=4 * MiB,
    keep_headers=("x-cal-webhook-version",),
    examples={"BOOKING_CREATED": _booking("ACCEPTED"), "BOOKING_CANCELLED": _booking("CANCELLED")},
    setup=(
        "Under Settings > Developer > Webhooks add the source's URL, its events and a secret.",
        "Configure the same secret here.",
    ),
    traps=(
        "A webhook without a secret says no-secret-provided in place of a signature, and is refused here.",
        "There is no event id: an event is known by its whole body.",
        "A payload template may leave createdAt out; then each delivery counts as an event.",
    ),
    unsettled=("Whether and for how long Cal.com retries, and how long it waits for an answer.",),
    docs="https://cal.com/docs/developing/guides/automation/webhooks",
)
