"""Slack: `v0:timestamp:body` for the Events API, interactivity and slash commands alike."""

from gateway.core.provider import Challenge, Example, Mac, Provider, Scheme, Shape, Timestamp
from gateway.core.source import Ack

_FORM = "application/x-www-form-urlencoded"


def _event(fields: str) -> Example:
    return Example(
        '{"token": "test", "team_id": "T0TEST", "api_app_id": "A0TEST", "event": {' + fields + ', "user": "U0TEST", '
        '"channel": "C0TEST", "ts": "$time_s.000100", "event_ts": "$time_s.000100"}, "type": "event_callback", '
        '"event_id": "$id", "event_time": $time_s}'
    )


SLACK = Provider(
    name="slack",
    title="Slack",
    category="messaging",
    schemes=(
        Scheme(
            header="x-slack-signature",
            message=("v0:", "timestamp", ":", "body"),
            timestamp=Timestamp(header="x-slack-request-timestamp"),
            macs=(Mac(prefix="v0="),),
        ),
    ),
    shapes=(
        Shape(
            when="json:event_id",
            id="json:event_id",
            type="json:event.type + '.' + json:event.subtype | json:event.type | json:type",
            time="json:event_time",
            key="json:event.channel | json:event.channel.id | json:event.item.channel | json:event.user | "
            "json:event.user.id | json:team_id",
        ),
        Shape(
            when="json:minute_rate_limited",
            id="'app_rate_limited:' + json:team_id + ':' + json:minute_rate_limited",
            type="json:type",
            time="json:minute_rate_limited",
            key="json:team_id",
        ),
        Shape(
            when="form:payload",
            id="json:trigger_id | json:action_ts | json:view.id + ':' + json:view.hash | body:sha256",
            type="json:type",
            time="json:action_ts",
            key="json:user.id + ':' + json:channel.id | json:user.id",
        ),
        Shape(
            when="form:command",
            id="form:trigger_id | body:sha256",
            type="form:command",
            key="form:user_id + ':' + form:channel_id | form:user_id",
        ),
        Shape(type="json:type"),
    ),
    key_hint="the app's signing secret, under Basic Information > App Credentials",
    challenges=(
        Challenge(when="json:type", equals="url_verification", answer="json:challenge"),
        Challenge(when="form:ssl_check", equals="1", signed=False),
        Challenge(when="query:ssl_check", equals="1", signed=False),
    ),
    # Whatever stands in an answer to a command is shown to the person who typed it.
    accepted=Ack(body=b"", content_type="text/plain"),
    methods=("POST", "GET"),
    timeout=3.0,
    retry_horizon=3600.0,
    keep_headers=("x-slack-retry-num", "x-slack-retry-reason", "x-slack-request-timestamp"),
    sends={"user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)"},
    examples={
        "message": _event('"type": "message", "text": "Hello"'),
        "app_mention": _event('"type": "app_mention", "text": "<@U0APP> hello"'),
        "/deploy": Example(
            "token=test&team_id=T0TEST&team_domain=example&channel_id=C0TEST&channel_name=general&user_id=U0TEST"
            "&command=$type&text=production&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F1&trigger_id=$id",
            _FORM,
        ),
        "block_actions": Example(
            "payload=%7B%22type%22%3A%22block_actions%22%2C%22trigger_id%22%3A%22$id%22%2C%22user%22%3A%7B%22id%22%3A"
            "%22U0TEST%22%7D%2C%22channel%22%3A%7B%22id%22%3A%22C0TEST%22%7D%2C%22actions%22%3A%5B%7B%22action_id%22"
            "%3A%22approve%22%7D%5D%7D",
            _FORM,
        ),
    },
    setup=(
        "Under Event Subscriptions enter the source's URL; Slack verifies it at once while the gateway runs.",
        "The same URL serves Interactivity & Shortcuts and Slash Commands.",
        "Configure the app's signing secret, not its bot token.",
    ),
    traps=(
        "Answers are due within 3 s and are always empty here: reply to commands through their response_url.",
        "Regenerating the signing secret invalidates the old one at once; configure both beforehand.",
        "Interactive deliveries and commands are never sent again.",
    ),
    docs="https://docs.slack.dev/authentication/verifying-requests-from-slack/",
)
