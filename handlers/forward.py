"""Sends each event on to a URL of yours, or gives it to a function of yours.

    FORWARD_TO       https://billing.example.com/hooks, or acme.billing:receive, an async function of an event
    FORWARD_SECRET   whsec_ and base64: the key that the receiver verifies with; not for a function
    FORWARD_PRIVATE  yes: the URL may be in this network, and `http`
    FORWARD_TYPES    which event types, such as invoice.*; all if left out
    FORWARD_SOURCE   of which source; of all if left out

A post is signed as Standard Webhooks has it (standardwebhooks.com), over the event's exact bytes. Its id is the same
over retries, copies and replays, so that the receiver can drop what it has; its timestamp is the attempt's. Source,
type and id of the event are in `ce-` headers, as CloudEvents has it; the signature does not cover them.

2xx is done. 408, 425, 429, 5xx, and no answer at all, are tried again by the retry policy, after `Retry-After` if the
answer has one. Everything else makes a dead letter at once, because the receiver refuses: mend it, then `gateway dead
retry`. The URL comes from the environment alone, and redirects are refused: no event can choose where it goes.
"""

import base64
import hashlib
import hmac
import importlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast
from urllib.parse import quote

from gateway import AnswerError, Context, Event, GiveUp, Router

Function = Callable[[Event], Awaitable[None]]
Send = Callable[[Event, Context], Awaitable[None]]

# What a `ce-` header may hold as it is (CloudEvents HTTP binding, section 3.1.3.2): printable ASCII but " and %.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def to_url(url: str, secret: str, *, private: bool = False) -> Send:
    """Return what posts an event to `url`, signed with `secret`.

    Raises:
        ValueError: the URL or the secret cannot be used.
    """
    if not url.startswith(("https://", "http://") if private else "https://"):
        raise ValueError("FORWARD_TO: write an https:// URL; http:// needs FORWARD_PRIVATE=yes")
    key = _key(secret)

    async def send(event: Event, ctx: Context) -> None:
        try:
            await ctx.post(url, event.body, headers=_headers(event, ctx.idempotency_key, key), private=private)
        except AnswerError as error:
            raise GiveUp(str(error)) from error

    return send


def to_function(path: str) -> Send:
    """Return what gives an event to the function at `package.module:name`; what that raises is a failed run.

    Raises:
        ValueError: there is no such function.
    """
    module, _, name = path.partition(":")
    function = getattr(importlib.import_module(module), name, None)
    if not callable(function):
        raise ValueError(f"FORWARD_TO: {module} has no function {name}")  # noqa: TRY004 - a setting is wrong

    async def send(event: Event, _ctx: Context) -> None:
        await cast("Function", function)(event)

    return send


def _headers(event: Event, message_id: str, key: bytes) -> Mapping[str, str]:
    timestamp = str(int(time.time()))
    signed = f"{message_id}.{timestamp}.".encode() + event.body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    kind = event.content_type or ""
    return {
        "content-type": kind if kind and kind.isascii() and kind.isprintable() else "application/octet-stream",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
        "ce-specversion": "1.0",
        "ce-id": quote(event.id, safe=_PLAIN),
        "ce-source": f"/webhooks/{event.source}",
        "ce-type": quote(event.type, safe=_PLAIN),
    }


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if not (secret.startswith("whsec_") and 24 <= len(key) <= 64):
        raise ValueError("FORWARD_SECRET: write whsec_ and 24 to 64 bytes in base64")
    return key


def forwarding(environ: Mapping[str, str]) -> Router:
    """Return the router that these settings ask for.

    Raises:
        ValueError: one of them is missing or wrong.
    """
    target = environ.get("FORWARD_TO", "")
    if not target:
        raise ValueError("FORWARD_TO is not set: where are events to go?")
    private = environ.get("FORWARD_PRIVATE", "") == "yes"
    secret = environ.get("FORWARD_SECRET", "")
    send = to_url(target, secret, private=private) if "://" in target else to_function(target)
    made = Router("forward")
    source = environ.get("FORWARD_SOURCE") or None
    made.add(send, environ.get("FORWARD_TYPES") or "*", name="send-on", source=source)
    return made


router = forwarding(os.environ)
