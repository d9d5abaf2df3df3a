"""CloudEvents over HTTP: binary, structured and batched, with the webhook handshake. A token proves who sends."""

import re
from collections.abc import Mapping

from gateway.core.admission import Handshake, Request
from gateway.core.provider import Challenge, Example, Key, Mac, MiB, Provider, Scheme, Setting, Shape, Terms
from gateway.core.source import Ack
from gateway.providers.families import token_in_url

_ORIGIN = re.compile(rb"[A-Za-z0-9.:*_-]{1,253}")
_RATE = re.compile(rb"[0-9]{1,9}")


def allow_origin(request: Request, terms: Terms) -> Handshake:
    """Answer an OPTIONS request (HTTP 1.1 Web Hooks for Event Delivery, section 4): any origin, or the listed ones.

    An origin that may not send gets an answer without the headers that would let it.
    """
    headers = [("allow", "POST")]
    origin = request.headers.get(b"webhook-request-origin", b"")
    listed = terms.values.get("origins", ())
    if _ORIGIN.fullmatch(origin) and (not listed or origin.decode() in listed):
        rate = request.headers.get(b"webhook-request-rate", b"*")
        headers.append(("webhook-allowed-origin", origin.decode()))
        headers.append(("webhook-allowed-rate", rate.decode() if _RATE.fullmatch(rate) else "*"))
    return Handshake(Ack(content_type="text/plain", headers=tuple(headers)))


def origins() -> Mapping[str, Setting]:
    """Return the setting that `allow_origin` reads."""
    hint = "the hosts that may send, as their WebHook-Request-Origin names them; left out, any"
    return {"origins": Setting(hint=hint, needed=False, many=True)}


OPTIONS = Challenge(methods=("OPTIONS",), signed=False, reply=allow_origin)
_BEARER = Mac(algorithm="none", encoding="raw", prefix="Bearer ", key=Key(refuses=("Bearer ",)))

CLOUDEVENTS = Provider(
    name="cloudevents",
    title="CloudEvents",
    category="cloud",
    schemes=(
        Scheme(header="authorization", when="authorization", macs=(_BEARER,)),
        token_in_url("access_token"),
    ),
    shapes=(
        Shape(
            when="header:ce-id",
            # An id is unique within its source alone.
            id="header:ce-source + '|' + header:ce-id",
            type="header:ce-type",
            time="header:ce-time",
            key="header:ce-partitionkey | header:ce-subject",
        ),
        Shape(
            id="json:source + '|' + json:id",
            type="json:type",
            time="json:time",
            key="json:partitionkey | json:subject",
            split="[*]",
        ),
    ),
    key_hint="the token that the sender shows, as Authorization: Bearer TOKEN or as ?access_token=TOKEN in the URL",
    secrets="optional",
    settings=origins(),
    challenges=(OPTIONS,),
    methods=("POST", "OPTIONS"),
    retry_horizon=0.0,
    max_body=4 * MiB,
    keep_headers=(
        "ce-specversion",
        "ce-id",
        "ce-source",
        "ce-type",
        "ce-subject",
        "ce-time",
        "ce-dataschema",
        "ce-partitionkey",
        "ce-traceparent",
    ),
    examples={
        "com.example.someevent": Example(
            '{"specversion": "1.0", "type": "$type", "source": "/mycontext", "subject": "test", "id": "$id", '
            '"time": "$time", "datacontenttype": "application/json", "data": {"note": "Hello"}}',
            "application/cloudevents+json",
        ),
    },
    setup=(
        "Make up a long token and configure it here.",
        "Give the sender the source's URL and the token, as a bearer token or behind ?access_token=.",
        "A sender that asks first, by OPTIONS, is allowed; list its host under settings.origins to allow no other.",
    ),
    traps=(
        "A token covers no body: only HTTPS keeps what is sent.",
        "In binary mode the attributes stand in ce- headers and the body is the data alone.",
        "An id counts within its source: the gateway's id is both.",
        "Attributes in headers are percent-encoded where they are not ASCII, and kept so.",
    ),
    docs="https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
)
