"""Recurly's JSON webhooks: time in milliseconds, a dot and the raw body signed; the header is a bare list."""

from gateway.core.provider import Example, Mac, Provider, Scheme, Shape, Timestamp

_EVENT = (
    '{"id": "$id", "object_type": "%s", "site_id": "qc326l1hl8k9", "event_type": "created", '
    '"event_time": "$time", "uuid": "63ab531e1d5b1d47eaf1ef44eeb853c3"}'
)


def _event(kind: str) -> Example:
    return Example(_EVENT % kind)


RECURLY = Provider(
    name="recurly",
    title="Recurly",
    category="payments",
    schemes=(
        Scheme(
            header="recurly-signature",
            split=",",
            message=("timestamp", ".", "body"),
            timestamp=Timestamp(header="recurly-signature", split=",", unit="ms"),
            macs=(Mac(),),
        ),
    ),
    shapes=(
        Shape(
            id="json:object_type + '.' + json:event_type + ':' + json:id + ':' + json:event_time",
            type="json:object_type + '.' + json:event_type",
            time="json:event_time",
            key="json:object_type + ':' + json:id",
        ),
    ),
    key_hint="the endpoint's secret key, from Integrations > Webhooks > the endpoint",
    timeout=5.0,
    # 10 retries, each 10 + x * 2^(x + 5) s after the one before: 3 days and some hours in all.
    retry_horizon=4 * 86_400.0,
    examples={"subscription.created": _event("subscription"), "account.created": _event("account")},
    setup=(
        "Under Integrations > Webhooks add an endpoint with the source's URL and the format JSON.",
        "Configure the endpoint's secret key. After it is made anew both sign for 24 hours.",
    ),
    traps=(
        "XML webhooks are not signed: choose JSON.",
        "Events name an object and hold none of its data: a handler fetches it by the API.",
        "There is no event id: object, event and its time make a duplicate.",
    ),
    unsettled=("That each retry is signed anew: Recurly's own libraries allow 5 minutes, so it should be.",),
    docs="https://docs.recurly.com/recurly-subscriptions/docs/signature-verification",
)
