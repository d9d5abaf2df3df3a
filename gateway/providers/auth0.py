"""Auth0: log streams (a token in the Authorization header; JSON lines, array or object) and event streams."""

from gateway.core.provider import DAY, Example, MiB, Provider, Shape
from gateway.providers.families import bare_or_bearer

_ID = "json:log_id | json:id"
_TYPE = "json:data.type | json:type"
_TIME = "json:data.date | json:time"
_KEY = "json:data.user_id | json:data.object.user_id | json:data.client_id"

AUTH0 = Provider(
    name="auth0",
    title="Auth0",
    category="identity",
    schemes=(bare_or_bearer(),),
    shapes=(
        Shape(when="json:logs[0].log_id", id=_ID, type=_TYPE, time=_TIME, key=_KEY, split="logs[*]"),
        Shape(id=_ID, type=_TYPE, time=_TIME, key=_KEY, split="lines"),
    ),
    key_hint="the stream's authorization token, without the word Bearer",
    retry_horizon=7 * DAY,
    max_body=4 * MiB,
    examples={
        "s": Example(
            '{"log_id": "$id", "data": {"date": "$time", "type": "$type", "client_id": "test", "user_id": '
            '"auth0|test", "log_id": "$id", "description": "Success Login"}}\n',
            "application/json",
        ),
        "user.created": Example(
            '{"id": "$id", "source": "urn:auth0:test.auth0.com", "specversion": "1.0", "type": "$type", "time": '
            '"$time", "data": {"object": {"user_id": "auth0|test", "email": "test@example.com"}}}'
        ),
    },
    setup=(
        "Make up a long token and configure it here.",
        "Create a log stream (Custom Webhook) with the source's URL and the token as authorization token; any format.",
        "Or create an event stream (Webhook) with the same URL and the token as its bearer token.",
    ),
    traps=(
        "The token covers no body: only HTTPS keeps what is sent.",
        "Types of log events are short codes, such as s for a login; an event stream names them in words.",
        "In the log stream's object format one delivery still holds several events.",
        "Each log event is tried until it is taken; a stream that fails for 7 days running is paused.",
    ),
    unsettled=(
        "The exact form of the object format: an array under logs is read, and a single event.",
        "After how long Auth0 gives up on an answer.",
        "For how long an event stream tries again (the log stream's 7 days are assumed).",
    ),
    docs="https://auth0.com/docs/customize/log-streams/custom-log-streams",
)
