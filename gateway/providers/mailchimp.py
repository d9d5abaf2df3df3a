"""Mailchimp audiences: `t.body` signed for webhooks made since signing exists, else a token in the URL; forms."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.core.provider import Challenge, Example, MiB, Provider, Shape
from gateway.providers.families import stamped_list, token_in_url

_HEADER = "x-mailchimp-signature"
_FORM = "application/x-www-form-urlencoded"


def _unsigned(headers: Mapping[bytes, bytes]) -> bool:
    return _HEADER.encode() not in headers


def _event(fields: str) -> Example:
    return Example(
        "type=$type&fired_at=$time&data%5Bid%5D=$id&data%5Blist_id%5D=a6b5da1054&data%5Bemail%5D=test%40example.com"
        + fields,
        _FORM,
    )


MAILCHIMP = Provider(
    name="mailchimp",
    title="Mailchimp",
    category="email",
    # Where there is a signature it must hold; there is no falling back to the token.
    schemes=(replace(token_in_url("secret"), when=_unsigned), stamped_list(_HEADER)),
    shapes=(
        Shape(
            # Type, contact and second are what Mailchimp offers for an id, and a contact can change twice in one.
            id="body:sha256",
            type="form:type",
            time="form:fired_at",
            key="form:data[list_id] + ':' + form:data[email] | form:data[list_id] + ':' + form:data[new_email] | "
            "form:data[list_id]",
        ),
    ),
    key_hint="the signing secret from the answer that created the webhook, or the text behind ?secret= in its URL",
    challenges=(Challenge(methods=("GET", "HEAD"), signed=False),),
    methods=("POST", "GET", "HEAD"),
    timeout=10.0,
    retry_horizon=75 * 60.0,
    max_body=MiB,
    sends={"user-agent": "MailChimp"},
    examples={
        "subscribe": _event("&data%5Bemail_type%5D=html&data%5Bmerges%5D%5BFNAME%5D=Test&data%5Bip_opt%5D=192.0.2.1"),
        "unsubscribe": _event("&data%5Baction%5D=unsub&data%5Breason%5D=manual"),
    },
    setup=(
        "Create the webhook by POST /3.0/lists/LIST/webhooks with the source's URL; the answer has signing_secret.",
        "Configure that secret. For a webhook that is not signed, put ?secret=TEXT behind the URL and configure TEXT.",
    ),
    traps=(
        "Webhooks made before signing existed stay unsigned (signing_enabled is false): delete and create them anew.",
        "A secret in the URL is no signature, and URLs end up in logs: prefer a signed webhook.",
        "The raw form is signed: what is decoded and written again has another signature.",
        "There is no id: a body is known by its digest. Set sources.api to false where handlers write back.",
        "The URL is tried with GET when it is saved, without the secret.",
    ),
    unsettled=(
        "Whether a retry carries a new timestamp; Mailchimp asks receivers to refuse what is older than 5 minutes.",
    ),
    docs="https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/",
)
