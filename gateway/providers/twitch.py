"""Twitch EventSub: the message's id, its timestamp and the body signed."""

from gateway.core.provider import Challenge, Example, Mac, MiB, Provider, Scheme, Shape, Timestamp

_ID, _TIMESTAMP = "twitch-eventsub-message-id", "twitch-eventsub-message-timestamp"
_KEY = (
    "json:subscription.condition.broadcaster_user_id | json:subscription.condition.to_broadcaster_user_id | "
    "json:subscription.condition.user_id | json:subscription.id"
)
_SUBSCRIPTION = (
    '"subscription": {"id": "f1c2a387-161a-49f9-a165-0f21d7a4e1c4", "type": "%s", "version": "1", "status": "%s", '
    '"cost": 0, "condition": {"broadcaster_user_id": "12826"}, "transport": {"method": "webhook", "callback": '
    '"https://hooks.example.com/webhooks/twitch"}, "created_at": "2019-11-16T10:11:12.634234626Z"}'
)

TWITCH = Provider(
    name="twitch",
    title="Twitch EventSub",
    category="other",
    schemes=(
        Scheme(
            header="twitch-eventsub-message-signature",
            message=(f"header:{_ID}", "timestamp", "body"),
            macs=(Mac(prefix="sha256="),),
            timestamp=Timestamp(header=_TIMESTAMP, unit="iso", past=600.0, future=600.0),
        ),
    ),
    # The message's type is an unsigned header, so the signed status tells events from revocations.
    shapes=(
        Shape(
            when="json:subscription.status",
            equals="enabled",
            id=f"header:{_ID}",
            type="json:subscription.type",
            time=f"header:{_TIMESTAMP}",
            key=_KEY,
        ),
        Shape(
            when="json:subscription.status",
            id=f"header:{_ID}",
            type="'revocation.' + json:subscription.type",
            time=f"header:{_TIMESTAMP}",
            key=_KEY,
        ),
        Shape(id=f"header:{_ID}", time=f"header:{_TIMESTAMP}"),
    ),
    key_hint="the secret that you chose when subscribing (transport.secret, 10 to 100 ASCII characters)",
    challenges=(Challenge(when="json:challenge", answer="json:challenge"),),
    max_body=MiB,
    keep_headers=(
        _ID,
        "twitch-eventsub-message-retry",
        "twitch-eventsub-message-type",
        "twitch-eventsub-subscription-type",
        "twitch-eventsub-subscription-version",
    ),
    sends={_ID: "{id}", "twitch-eventsub-message-type": "notification", "twitch-eventsub-message-retry": "0"},
    examples={
        "channel.follow": Example(
            "{" + _SUBSCRIPTION % ("$type", "enabled") + ', "event": {"user_id": "1337", "user_login": "awesome_user", '
            '"broadcaster_user_id": "12826", "broadcaster_user_login": "twitch", "followed_at": "$time"}}'
        ),
        "revocation.channel.follow": Example("{" + _SUBSCRIPTION % ("channel.follow", "authorization_revoked") + "}"),
    },
    setup=(
        "Choose a secret and configure it, then create the subscription with the source's URL and the same secret.",
        "Twitch calls at port 443 alone, and verifies the URL at once while the gateway runs.",
    ),
    traps=(
        "An event that nobody may hear of any more is told once, as revocation.TYPE: subscribe again then.",
        "After too many failed or slow answers the subscription is revoked (notification_failures_exceeded).",
        "The timestamp has nanoseconds and is signed as it is written.",
        "The headers that tell the message's type are unsigned: the body's status decides what an event is.",
    ),
    unsettled=(
        "After how many seconds and retries Twitch gives up (its pages say 'a few seconds').",
        "Whether a retry carries a new timestamp; Twitch asks receivers to refuse what is older than 10 minutes.",
    ),
    docs="https://dev.twitch.tv/docs/eventsub/handling-webhook-events",
)
