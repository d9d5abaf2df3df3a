"""X: the raw body signed in base64; the same secret answers challenges, which must never sign a delivery."""

import hmac
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from gateway.core.admission import Handshake, RefusedReason, Request
from gateway.core.forms import form_fields
from gateway.core.provider import Challenge, Example, Message, MessageRule, MiB, Provider, Shape, Terms
from gateway.core.source import Ack
from gateway.providers.families import signed_body

_TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]{1,256}")


def _rule(_: Terms) -> MessageRule:
    return _event_body


def _event_body(request: Request) -> Sequence[Message] | RefusedReason:
    """Return the body, if no challenge can have signed it: anyone may have a token signed, and none is an object."""
    if request.method != "POST" or not request.body.startswith(b"{"):
        return "signature_malformed"
    return ((request.body,),)


def _crc(request: Request, terms: Terms) -> Handshake | None:
    token = next((value for name, value in form_fields(request.query) or () if name == b"crc_token"), b"")
    if _TOKEN.fullmatch(token) is None:
        return None
    digest = b64encode(hmac.digest(terms.secrets[0].text.encode(), token, "sha256")).decode()
    return Handshake(Ack(body=msgspec.json.encode({"response_token": f"sha256={digest}"})))


def _list(name: str, *, time: str = "created_timestamp") -> Shape:
    """A delivery of Account Activity, known by which list it holds."""
    first = f"json:{name}[0]"
    return Shape(
        when=f"{first}.id_str | {first}.id | {first}.{time} | {first}.type | {first}.event.type",
        id="body:sha256",
        type=f"'{name}'",
        time=f"{first}.timestamp_ms | {first}.{time}",
        time_unit="ms",
        key="json:for_user_id",
    )


_LISTS = (
    "tweet_create_events",
    "favorite_events",
    "follow_events",
    "unfollow_events",
    "block_events",
    "unblock_events",
    "mute_events",
    "unmute_events",
    "direct_message_events",
    "direct_message_indicate_typing_events",
    "direct_message_mark_read_events",
    "tweet_delete_events",
)

X = Provider(
    name="x",
    title="X",
    category="other",
    schemes=(
        replace(
            signed_body("x-twitter-webhooks-signature", prefix="sha256=", encoding="base64"),
            rule=_rule,
            covers=("body",),
        ),
    ),
    shapes=(
        *(_list(name) for name in _LISTS),
        Shape(
            id="json:data.event_uuid | body:sha256",
            type="json:data.event_type",
            time="json:data.created_at",
            key="json:data.filter.user_id | json:for_user_id | json:data.author_id",
        ),
    ),
    key_hint="the app's API key secret (consumer secret), not a bearer or access token",
    challenges=(Challenge(methods=("GET",), signed=False, reply=_crc),),
    methods=("POST", "GET"),
    # Its pages tell of 3 s and of 10 s.
    timeout=3.0,
    retry_horizon=300.0,
    max_body=4 * MiB,
    sends={"user-agent": "Twitterbot/1.0"},
    examples={
        "tweet_create_events": Example(
            '{"for_user_id": "2244994945", "tweet_create_events": [{"id_str": "$id", "text": "Hello", '
            '"timestamp_ms": "${time_s}000", "user": {"id_str": "30042379", "screen_name": "example"}}]}'
        ),
        "follow_events": Example(
            '{"for_user_id": "2244994945", "follow_events": [{"type": "follow", "created_timestamp": "${time_s}000", '
            '"target": {"id": "$id"}, "source": {"id": "30042379"}}]}'
        ),
    },
    setup=(
        "Configure the app's API key secret first: X asks the URL to prove it when it is registered.",
        "Register the source's URL with POST /2/webhooks, then subscribe accounts or a filtered stream to it.",
    ),
    traps=(
        "The URL is asked again every hour or so; a wrong answer stops all deliveries until one is right.",
        "The header says sha256= and goes on in base64, not in hex.",
        "Anyone may ask the challenge and so have a token signed: tokens with other signs than base64's are refused.",
        "The first secret configured answers challenges: when the key is regenerated, put the new one first.",
        "URLs with a port are not taken. Deliveries have no id, so a body is known by its digest.",
    ),
    unsettled=(
        "Whether what the pages on Account Activity tell still holds: three retries within 5 minutes.",
        "Which signs a crc_token may have: those seen are letters and digits.",
    ),
    docs="https://docs.x.com/x-api/webhooks/quickstart",
)
