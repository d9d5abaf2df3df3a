"""Dropbox Sign (HelloSign): a hash of the event's time and type in the JSON of a form field; a prescribed answer."""

import hmac
from collections.abc import Sequence

import msgspec

from gateway.core.admission import RefusedReason, Request
from gateway.core.decoders import multipart_fields
from gateway.core.forms import form_fields, is_form
from gateway.core.provider import DAY, Claim, Example, Mac, MiB, Provider, Scheme, Shape, Terms
from gateway.core.source import Ack, SignedRequest, SignRequest


class _Event(msgspec.Struct):
    event_time: str
    event_type: str
    event_hash: str = ""


class _Callback(msgspec.Struct):
    event: _Event


_callbacks = msgspec.json.Decoder(_Callback)
_objects = msgspec.json.Decoder(dict[str, dict[str, object]])


def _json(body: bytes, content_type: str) -> bytes | None:
    """Return the JSON of the field `json`, or the body that is JSON itself."""
    if is_form(content_type.encode("latin-1", "replace")):
        return next((value for name, value in form_fields(body) or () if name == b"json"), None)
    fields = multipart_fields(body, content_type)
    return body if fields is None else fields.get("json", "").encode("utf-8", "surrogatepass")


def _claims(request: Request) -> Sequence[Claim] | RefusedReason:
    content = _json(request.body, request.headers.get(b"content-type", b"").decode("latin-1"))
    try:
        event = _callbacks.decode(content or b"").event
    except msgspec.ValidationError:
        return "signature_missing"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "signature_malformed"
    return [Claim((_signed(event),), [event.event_hash.encode("utf-8", "surrogatepass")])]


def _signed(event: _Event) -> bytes:
    return f"{event.event_time}{event.event_type}".encode("utf-8", "surrogatepass")


def _seal(terms: Terms, asked: SignRequest) -> SignedRequest:
    callback = _objects.decode(asked.body)
    signed = _signed(_callbacks.decode(asked.body).event)
    callback["event"]["event_hash"] = hmac.new(terms.secrets[0].text.encode(), signed, "sha256").hexdigest()
    return SignedRequest(method="POST", query=asked.query, headers={}, body=msgspec.json.encode(callback))


_REQUEST = "json:event.event_type + ':' + json:event.event_time + ':' + json:signature_request.signature_request_id"
_TEMPLATE = "json:event.event_type + ':' + json:event.event_time + ':' + json:template.template_id"


def _event(about: str) -> Example:
    return Example(
        '{"event": {"event_time": "$time_s", "event_type": "$type", "event_hash": "", "event_metadata": '
        '{"related_signature_id": null, "reported_for_account_id": "test", "reported_for_app_id": null}}, '
        + about
        + "}"
    )


DROPBOX_SIGN = Provider(
    name="dropbox_sign",
    title="Dropbox Sign",
    category="productivity",
    schemes=(
        Scheme(
            claims=lambda _: _claims,
            covers=("json:event.event_time", "json:event.event_type"),
            seal=_seal,
            macs=(Mac(),),
        ),
    ),
    shapes=(
        Shape(
            # The hash is no id: events of one type in one second have the same.
            id=f"{_REQUEST} + ':' + json:event.event_metadata.related_signature_id | {_REQUEST} | {_TEMPLATE} | "
            "body:sha256",
            type="json:event.event_type",
            time="json:event.event_time",
            key="json:signature_request.signature_request_id | json:template.template_id",
        ),
    ),
    key_hint="the account's API key, from Integrations > API; for an app's callbacks its owner's",
    decode=_json,
    accepted=Ack(body=b"Hello API Event Received", content_type="text/plain"),
    timeout=30.0,
    # Six retries, of which the last comes 20 hours after the fifth.
    retry_horizon=2 * DAY,
    max_body=4 * MiB,
    sends={"user-agent": "HelloSign API"},
    examples={
        "signature_request_signed": _event('"signature_request": {"signature_request_id": "$id", "title": "NDA"}'),
        "callback_test": _event('"account": {"account_id": "$id"}'),
    },
    setup=(
        "Configure the API key first: Dropbox Sign tries the URL when it is saved.",
        "Enter the source's URL as the account's callback under Integrations > API, or as an app's event callback.",
        "Set on_conflict: skip at the source, since a retry may put the same event into other bytes.",
    ),
    traps=(
        "The hash covers the event's time and type alone: whoever reads one callback can send others of that kind.",
        "Callbacks come as multipart/form-data with the JSON in the field json.",
        "The answer must say Hello API Event Received, or the callback counts as failed.",
        "Account and app may both call back for one event.",
    ),
    unsettled=(
        "Whether a retry is byte for byte the first: the boundary of its form may be another.",
        "How long Dropbox Sign waits, and its six retries (5, 15 and 45 minutes to 20 hours), are from memory.",
    ),
    docs="https://developers.hellosign.com/docs/events/overview/",
)
