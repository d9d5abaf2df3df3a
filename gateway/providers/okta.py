"""Okta event hooks: the secret in the Authorization header, and a challenge by GET when a hook is verified."""

from gateway.core.provider import Challenge, Example, MiB, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.families import bare_or_bearer

OKTA = Provider(
    name="okta",
    title="Okta",
    category="identity",
    schemes=(bare_or_bearer(),),
    shapes=(
        Shape(
            id="json:uuid",
            type="json:eventType",
            time="json:published",
            key="json:target[0].id | json:actor.id",
            split="data.events[*]",
            context={"okta-event-hook-id": "root:source", "okta-event-type-version": "root:eventTypeVersion"},
        ),
    ),
    key_hint="the hook's authentication secret; its authentication field is Authorization",
    challenges=(
        Challenge(
            when="header:x-okta-verification-challenge",
            methods=("GET",),
            answer="header:x-okta-verification-challenge",
            template='{"verification": {}}',
            content_type="application/json",
            signed=False,
        ),
        Challenge(methods=("GET",)),
    ),
    accepted=Ack(status=204, content_type="text/plain"),
    methods=("POST", "GET"),
    timeout=3.0,
    retry_horizon=300.0,
    max_body=4 * MiB,
    keep_headers=("x-okta-request-id",),
    examples={
        "user.session.start": Example(
            '{"eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1", "source": '
            '"https://example.okta.com/api/v1/eventHooks/whotest", "eventId": "test", "data": {"events": [{"uuid": '
            '"$id", "published": "$time", "eventType": "$type", "version": "0", "severity": "INFO", "actor": {"id": '
            '"00utest", "type": "User", "alternateId": "test@example.com"}, "target": []}]}, "eventTime": "$time", '
            '"contentType": "application/json"}'
        ),
    },
    setup=(
        "Make up a long secret and configure it here.",
        "Start the gateway, then create the event hook: the source's URL, the field Authorization, the secret.",
        "Verify the hook: Okta asks once by GET, and is answered at once.",
    ),
    traps=(
        "A secret is no signature: it covers no body, so only HTTPS keeps what is sent.",
        "After a failure Okta tries once more at most, and after a 4xx never.",
        "One delivery may hold several events, and one event may come twice.",
        "Beyond the organisation's daily limit of deliveries Okta sends no more.",
    ),
    unsettled=("After how long the one retry comes.",),
    docs="https://developer.okta.com/docs/concepts/event-hooks/",
)
