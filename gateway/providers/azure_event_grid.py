"""Azure Event Grid: a token in the webhook's URL; events in Event Grid's own schema or as CloudEvents."""

from gateway.core.provider import DAY, Challenge, Example, MiB, Provider, Shape
from gateway.providers.cloudevents import OPTIONS, origins
from gateway.providers.families import token_in_url


def _event(data: str) -> Example:
    return Example(
        '[{"id": "$id", "topic": "/subscriptions/test/resourceGroups/test/providers/Microsoft.Storage/storageAccounts/'
        'test", "subject": "/blobServices/default/containers/test/blobs/report.csv", "eventType": "$type", '
        '"eventTime": "$time", "data": ' + data + ', "dataVersion": "1", "metadataVersion": "1"}]'
    )


VALIDATION = Challenge(
    when="header:aeg-event-type",
    equals="SubscriptionValidation",
    answer="json:[0].data.validationCode",
    template='{"validationResponse": {}}',
    content_type="application/json",
)

AZURE_EVENT_GRID = Provider(
    name="azure_event_grid",
    title="Azure Event Grid",
    category="cloud",
    schemes=(token_in_url("token"),),
    shapes=(
        Shape(
            # Publishers of custom topics choose their ids, so they are unique within a topic alone.
            id="json:topic + '|' + json:id | json:source + '|' + json:id",
            type="json:eventType | json:type",
            time="json:eventTime | json:time",
            key="json:subject",
            split="[*]",
        ),
    ),
    key_hint="a token of your own, which stands behind ?token= in the webhook's URL",
    secrets="optional",
    settings=origins(),
    challenges=(VALIDATION, OPTIONS),
    methods=("POST", "OPTIONS"),
    timeout=30.0,
    retry_horizon=DAY,
    max_body=2 * MiB,
    max_elements=5_000,
    keep_headers=("aeg-event-type", "aeg-subscription-name", "aeg-delivery-count", "aeg-data-version"),
    sends={"aeg-event-type": "Notification", "aeg-subscription-name": "TEST", "aeg-delivery-count": "0"},
    examples={
        "Microsoft.Storage.BlobCreated": _event(
            '{"api": "PutBlob", "contentType": "text/csv", "contentLength": 4, '
            '"url": "https://test.blob.core.windows.net/test/report.csv"}'
        ),
        "com.example.thing": Example(
            '{"specversion": "1.0", "type": "$type", "source": "/test", "subject": "test", "id": "$id", '
            '"time": "$time", "data": {}}',
            "application/cloudevents+json; charset=utf-8",
        ),
    },
    setup=(
        "Make up a long token and configure it here.",
        "Start the gateway, then create the event subscription: Web Hook, the source's URL with ?token=TOKEN.",
        "Its validation is answered at once, in both schemas.",
    ),
    traps=(
        "Event Grid signs nothing: the token is all, so keep the URL secret; or take azure_event_grid_entra.",
        "Validation must be answered with 200 and the code; 202 is a failure.",
        "Several events may come in one delivery, and in no order.",
        "400, 401, 403 and 413 are not retried: the event goes to the subscription's dead letters or is lost.",
        "An id with its topic longer than 255 characters is replaced by the body's digest.",
    ),
    docs="https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema",
)
