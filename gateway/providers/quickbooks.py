"""QuickBooks Online (Intuit): the raw body signed; CloudEvents in an array, formerly entities in notifications."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import signed_body

_FORMER = "eventNotifications[*].dataChangeEvent.entities[*]"

QUICKBOOKS = Provider(
    name="quickbooks",
    title="QuickBooks Online",
    category="other",
    schemes=(signed_body("intuit-signature", encoding="base64"),),
    shapes=(
        Shape(
            when="json:eventNotifications[0].realmId",
            split=_FORMER,
            id="outer:realmId + ':' + json:name + ':' + json:id + ':' + json:operation + ':' + json:lastUpdated",
            type="json:name + '.' + json:operation",
            time="json:lastUpdated",
            key="outer:realmId + ':' + json:name + ':' + json:id",
            context={"realm-id": "outer:realmId"},
        ),
        Shape(
            split="[*]",
            id="json:id",
            type="json:type",
            time="json:time",
            key="json:intuitaccountid + ':' + json:type + ':' + json:intuitentityid",
        ),
    ),
    key_hint="the verifier token, from the app's Webhooks page",
    timeout=3.0,
    retry_horizon=DAY,
    examples={
        "qbo.invoice.created.v1": Example(
            '[{"specversion": "1.0", "id": "$id", "source": "intuit.test", "type": "$type", "datacontenttype": '
            '"application/json", "time": "$time", "intuitentityid": "95", "intuitaccountid": "310687", "data": {}}]'
        ),
        "Customer.Update": Example(
            '{"eventNotifications": [{"realmId": "310687", "dataChangeEvent": {"entities": [{"id": "$id", '
            '"operation": "Update", "name": "Customer", "lastUpdated": "$time"}]}}]}'
        ),
    },
    setup=(
        "On the app's Webhooks page enter the source's URL and choose the entities.",
        "Show the verifier token and configure it; development and production have tokens of their own.",
    ),
    traps=(
        "Since May 2026 events are CloudEvents in an array; notifications of the former form are read as well.",
        "Changes are gathered, so one delivery holds several companies' events.",
        "Events only name what changed: a handler fetches the entity from the company's API.",
        "The verifier token is not the OAuth client secret.",
    ),
    unsettled=("The time to answer, 3 s, and the retries, three within two hours, are second-hand.",),
    docs="https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks",
)
