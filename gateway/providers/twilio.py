"""Twilio: the public URL and the sorted form fields signed; for other bodies the URL, which holds the body's digest."""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from gateway.core.admission import RefusedReason, Request
from gateway.core.forms import form_fields, is_form
from gateway.core.provider import Example, Mac, Message, MessageRule, MiB, Provider, Scheme, Shape, Terms
from gateway.core.source import Ack, SignRequest

_SETTINGS = b"x-twilio-webhooks-signature-settings"
_DIGEST = b"bodySHA256"
_FORM = "application/x-www-form-urlencoded"
_PORTS = {"https": 443, "http": 80}
_PORT = re.compile(r":[0-9]*$")


def _algorithm(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the algorithm that the settings header names (`key=K,algorithm=A`), in upper case; empty if none."""
    for part in headers.get(_SETTINGS, b"").split(b","):
        name, _, value = part.partition(b"=")
        if name.strip() == b"algorithm" and value.strip():
            return value.strip().upper()
    return b""


def _says_sha256(headers: Mapping[bytes, bytes]) -> bool:
    return _algorithm(headers) == b"HMAC_SHA256"


def _says_unknown(headers: Mapping[bytes, bytes]) -> bool:
    return _algorithm(headers) not in {b"", b"HMAC_SHA1", b"HMAC_SHA256"}


def _bases(url: str) -> tuple[bytes, bytes]:
    """Return the URL up to its path without and with the port: either may be signed."""
    parts = urlsplit(url)
    host = _PORT.sub("", parts.netloc)
    port = parts.port or _PORTS[parts.scheme]
    path = parts.path
    return f"{parts.scheme}://{host}{path}".encode(), f"{parts.scheme}://{host}:{port}{path}".encode()


def _rule(terms: Terms) -> MessageRule:
    bases = _bases(terms.url or "")

    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        signed = _signed_fields(request)
        if isinstance(signed, str):
            return signed
        query = b"?" + request.query if request.query else b""
        return [(base, query, signed) for base in bases]

    return messages


def _signed_fields(request: Request) -> bytes | RefusedReason:
    """Return what is signed behind the URL. Where that tells the body's digest, no form and no GET may stand in."""
    named = [value for name, value in form_fields(request.query) or () if name == _DIGEST]
    if named and not _is_digest(named[0], request.body):
        return "body_digest_mismatch"
    if request.method in {"GET", "HEAD"}:
        return b""
    if is_form(request.headers.get(b"content-type")):
        fields = form_fields(request.body)
        return (
            "signature_malformed" if fields is None else b"".join(name + value for name, value in sorted(set(fields)))
        )
    return b"" if named or not request.body else "body_digest_mismatch"


def _is_digest(named: bytes, body: bytes) -> bool:
    return hmac.compare_digest(named.lower(), hashlib.sha256(body).hexdigest().encode())


def _query(asked: SignRequest) -> bytes:
    if asked.method == "GET" or not asked.body or is_form(asked.content_type.encode("latin-1", "replace")):
        return asked.query
    digest = _DIGEST + b"=" + hashlib.sha256(asked.body).hexdigest().encode()
    return asked.query + b"&" + digest if asked.query else digest


def _scheme(*macs: Mac, when: Callable[[Mapping[bytes, bytes]], bool] | str = "") -> Scheme:
    return Scheme(header="x-twilio-signature", macs=macs, rule=_rule, when=when, signing_query=_query)


_RETRY_ID = "header:i-twilio-idempotency-token"

TWILIO = Provider(
    name="twilio",
    title="Twilio",
    category="messaging",
    schemes=(
        _scheme(Mac(algorithm="hmac-sha256", encoding="base64"), when=_says_sha256),
        # An algorithm that we do not know is refused: nothing signs for it.
        _scheme(when=_says_unknown),
        _scheme(Mac(algorithm="hmac-sha1", encoding="base64")),
    ),
    shapes=(
        Shape(
            when="form:MessageSid",
            id=f"{_RETRY_ID} | form:MessageSid + ':' + form:MessageStatus | form:MessageSid",
            type="'message.' + form:MessageStatus | 'message.' + form:SmsStatus | 'message'",
            key="form:MessageSid",
        ),
        Shape(
            when="form:RecordingSid",
            id=f"{_RETRY_ID} | form:RecordingSid + ':' + form:RecordingStatus | body:sha256",
            type="'recording.' + form:RecordingStatus | 'recording'",
            key="form:CallSid | form:RecordingSid",
        ),
        Shape(
            when="form:CallSid",
            # A call asks many times while it is in progress, each time with other fields.
            id=f"{_RETRY_ID} | form:CallSid + ':' + form:CallStatus + ':' + form:SequenceNumber | "
            "form:CallSid + ':' + form:CallStatus + ':' + body:sha256 | body:sha256",
            type="'call.' + form:CallStatus | 'call'",
            key="form:CallSid",
        ),
        Shape(when="form:AccountSid", id=f"{_RETRY_ID} | body:sha256", key="form:AccountSid"),
        # Event Streams: CloudEvents in an array.
        Shape(
            split="[*]",
            id="json:id | body:sha256",
            type="json:type",
            time="json:time",
            key="json:subject | json:data.messageSid | json:data.callSid | json:data.call_sid | json:source",
        ),
    ),
    key_hint="the account's auth token (a subaccount's own), or the shared key's secret",
    needs_public_url=True,
    # TwiML that does nothing: voice and messaging ask for it, status callbacks take any 2xx.
    accepted=Ack(body=b"<Response/>", content_type="text/xml"),
    methods=("POST", "GET"),
    timeout=15.0,
    retry_horizon=4 * 3600.0,
    max_body=MiB,
    keep_headers=("i-twilio-idempotency-token", "x-home-region"),
    sends={"i-twilio-idempotency-token": "{id}", "user-agent": "TwilioProxy/1.1"},
    examples={
        "message.received": Example(
            "ToCountry=US&MessageSid=$id&AccountSid=ACtest&From=%2B14155550100&To=%2B14155550101&Body=Hello"
            "&NumMedia=0&SmsStatus=received&ApiVersion=2010-04-01",
            _FORM,
        ),
        "message.delivered": Example(
            "MessageSid=$id&MessageStatus=delivered&AccountSid=ACtest&From=%2B14155550100&To=%2B14155550101"
            "&ApiVersion=2010-04-01",
            _FORM,
        ),
        "call.completed": Example(
            "CallSid=$id&CallStatus=completed&CallDuration=12&AccountSid=ACtest&From=%2B14155550100"
            "&To=%2B14155550101&SequenceNumber=3&ApiVersion=2010-04-01",
            _FORM,
        ),
        "com.twilio.messaging.message.delivered": Example(
            '[{"specversion": "1.0", "type": "$type", "source": "/test", "id": "$id", "time": "$time", '
            '"data": {"messageSid": "SMtest", "accountSid": "ACtest"}}]'
        ),
    },
    setup=(
        "Set public_url to the URL that Twilio calls, to the letter: the signature covers all of it.",
        "Enter the source's URL as the webhook of the number, service or sink, for POST or GET.",
        "Configure the account's auth token; while it is changed, the primary and the secondary one.",
    ),
    traps=(
        "Behind a proxy the URL that arrives is another than the one signed, so only the configured one counts.",
        "JSON bodies are covered by bodySHA256 in the signed query string; without it they are refused.",
        "Fields are signed without separators: text can be moved between a name and its value without notice.",
        "Voice and messaging expect TwiML: the answer is an empty <Response/>, so replies go through the API.",
        "Event Streams posts an array of CloudEvents, from 35.90.102.128/25; it waits 5 s and retries for 4 h.",
        "By default one retry follows, and only a failed connection; ask for more with #rc=5&rp=all at the URL's end.",
    ),
    docs="https://www.twilio.com/docs/usage/webhooks/webhooks-security",
)
