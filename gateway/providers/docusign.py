"""DocuSign Connect: the body signed once for each of the account's keys, each in a header of its own."""

from gateway.core.provider import DAY, Example, Mac, MiB, Provider, Scheme, Shape

_MOST_KEYS = 100
# `retryCount` is left out. Several configurations may tell of one event, and one event of several recipients.
_OF = "json:event + ':' + json:data.envelopeId + ':' + {}json:configurationId + ':' + json:generatedDateTime"

DOCUSIGN = Provider(
    name="docusign",
    title="DocuSign Connect",
    category="productivity",
    schemes=(
        Scheme(
            header="x-docusign-signature-1",
            also=tuple(f"x-docusign-signature-{number}" for number in range(2, _MOST_KEYS + 1)),
            macs=(Mac(encoding="base64"),),
        ),
    ),
    shapes=(
        # No delivery has an id.
        Shape(
            when="json:event",
            id=_OF.format("json:data.recipientId + ':' + ") + " | " + _OF.format("") + " | body:sha256",
            type="json:event",
            time="json:generatedDateTime",
            key="json:data.envelopeId",
        ),
        Shape(
            id="body:sha256",
            type="'envelope-' + json:status | 'envelope'",
            time="json:statusChangedDateTime",
            key="json:envelopeId",
        ),
    ),
    key_hint="an HMAC key of the account, from Settings > Connect > Connect Keys",
    body_varies=True,
    timeout=100.0,
    # From 5 minutes on, doubled each time; who reads the failures may publish one again.
    retry_horizon=15 * DAY,
    redelivery_horizon=15 * DAY,
    max_body=25 * MiB,
    examples={
        "envelope-completed": Example(
            '{"event": "$type", "apiVersion": "v2.1", "uri": "/restapi/v2.1/accounts/0/envelopes/$id", '
            '"retryCount": 0, "configurationId": 10, "generatedDateTime": "$time", "data": {"accountId": '
            '"fd7d1a46-3b2c-4d4e", "envelopeId": "$id", "envelopeSummary": {"status": "completed"}}}'
        ),
    },
    setup=(
        "In Settings > Connect add a key under Connect Keys, and switch HMAC on in the Connect configuration.",
        "Choose JSON (REST v2.1) as the format, and the source's URL.",
        "Configure every key of the account here: to rotate, add one there and remove the old one later.",
    ),
    traps=(
        "There is one signature header for each key, and their order is not the order of your keys.",
        "Events with documents are large; leave the documents out and fetch them, or raise max_body.",
        "retryCount counts in the body: the id is event, envelope, recipient, configuration and time without it.",
        "XML payloads are stored as they are, with the body's digest as id.",
    ),
    unsettled=(
        "That generatedDateTime stays the same on a retry; if not, a retry counts as another event.",
        "Over how long DocuSign retries: its pages and others tell of 15 and of 7 days, and of 100 s for an answer.",
    ),
    docs="https://developers.docusign.com/platform/webhooks/connect/hmac/",
)
