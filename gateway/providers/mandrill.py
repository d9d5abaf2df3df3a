"""Mandrill (Mailchimp Transactional): the URL as registered and the sorted form fields signed; events in a field."""

from collections.abc import Sequence

from gateway.core.admission import RefusedReason, Request
from gateway.core.forms import form_fields
from gateway.core.provider import Challenge, Example, Mac, Message, MessageRule, MiB, Provider, Scheme, Shape, Terms

_FIELD = b"mandrill_events"
_FORM = "application/x-www-form-urlencoded"


def _rule(terms: Terms) -> MessageRule:
    url = (terms.url or "").encode()

    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        fields = form_fields(request.body)
        if fields is None:
            return "signature_malformed"
        return ((url, *(part for field in sorted(fields) for part in field)),)

    return messages


def _events(body: bytes, _: str) -> bytes | None:
    return next((value for name, value in form_fields(body) or () if name == _FIELD), None)


_MESSAGE = (
    "%7B%22ts%22%3A$time_s%2C%22_id%22%3A%22$id%22%2C%22email%22%3A%22test%40example.com%22%2C"
    "%22subject%22%3A%22Hello%22%2C%22state%22%3A%22sent%22%7D"
)

MANDRILL = Provider(
    name="mandrill",
    title="Mandrill (Mailchimp Transactional)",
    category="email",
    schemes=(
        Scheme(
            header="x-mandrill-signature",
            macs=(Mac(algorithm="hmac-sha1", encoding="base64"),),
            rule=_rule,
            covers=("body",),
        ),
    ),
    shapes=(
        Shape(
            split="[*]",
            # `_id` is the message's: it is sent, opened and clicked under the same, and clicked twice in a second.
            id="json:_id + ':' + json:event + ':' + body:sha256 | body:sha256",
            type="json:event | 'sync.' + json:type",
            time="json:ts",
            key="json:_id | json:msg.email",
        ),
    ),
    key_hint="the webhook's key, in the Key column under Settings > Webhooks; not an API key",
    needs_public_url=True,
    decode=_events,
    challenges=(Challenge(methods=("HEAD",), signed=False),),
    methods=("POST", "HEAD"),
    max_body=32 * MiB,
    max_elements=2_000,
    sends={"user-agent": "Mandrill-Webhook/1.0"},
    examples={
        "send": Example(
            "mandrill_events=%5B%7B%22event%22%3A%22send%22%2C%22ts%22%3A$time_s%2C%22_id%22%3A%22$id%22%2C"
            "%22msg%22%3A" + _MESSAGE + "%7D%5D",
            _FORM,
        ),
        "click": Example(
            "mandrill_events=%5B%7B%22event%22%3A%22click%22%2C%22ts%22%3A$time_s%2C%22_id%22%3A%22$id%22%2C"
            "%22url%22%3A%22https%3A%2F%2Fexample.com%2F%22%2C%22msg%22%3A" + _MESSAGE + "%7D%5D",
            _FORM,
        ),
    },
    setup=(
        "Set public_url: the signature covers the source's whole URL, exactly as it is entered at Mandrill.",
        "Under Settings > Webhooks add the source's URL, then configure the key that appears there.",
    ),
    traps=(
        "A trailing slash more or less in the URL breaks every signature.",
        "The URL is tried with HEAD when it is added, and a test without events may be signed with a key of its own.",
        "The body is a form with JSON in mandrill_events: an event's body is its element, decoded.",
        "`_id` names the message and no event: many events share it, so each is known by its content as well.",
        "Fields are signed without separators: text can be moved between a name and its value without notice.",
    ),
    unsettled=("How long Mandrill retries, and after how long it gives up on an answer.",),
    docs="https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/",
)
