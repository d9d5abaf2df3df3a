"""Webflow: `timestamp:body` signed by HMAC-SHA256, both in headers of their own, the time in milliseconds."""

from gateway.core.provider import Example, Mac, MiB, Provider, Scheme, Shape, Timestamp

_RETRIES = 3600.0
_OF = "json:triggerType + ':' + json:payload.{} + ':' + json:payload.{}"
# A change in several languages is one event for each, of one item at one time.
_LOCAL = "json:triggerType + ':' + json:payload.id + ':' + json:payload.cmsLocaleId + ':' + json:payload.lastUpdated"

WEBFLOW = Provider(
    name="webflow",
    title="Webflow",
    category="productivity",
    schemes=(
        Scheme(
            header="x-webflow-signature",
            message=("timestamp", ":", "body"),
            timestamp=Timestamp(header="x-webflow-timestamp", unit="ms", past=_RETRIES, refreshed_on_retry=False),
            macs=(Mac(),),
        ),
    ),
    shapes=(
        Shape(
            when="json:triggerType",
            equals="ecomm_new_order",
            id=_OF.format("orderId", "acceptedOn") + " | delivery:id",
            type="json:triggerType",
            time="json:payload.acceptedOn",
            key="json:payload.orderId",
        ),
        Shape(
            # Few events have an id or a time. A stock that goes down and up again says the same twice.
            id=" | ".join(
                (
                    _OF.format("id", "submittedAt"),
                    _LOCAL,
                    _OF.format("id", "lastUpdated"),
                    _OF.format("siteId", "publishedOn"),
                    _OF.format("pageId", "createdOn"),
                    _OF.format("pageId", "lastUpdated"),
                    _OF.format("pageId", "deletedOn"),
                    "delivery:id",
                )
            ),
            type="json:triggerType",
            time="json:payload.submittedAt | json:payload.lastUpdated | json:payload.publishedOn | "
            "json:payload.createdOn | json:payload.deletedOn",
            key="json:payload.id | json:payload.pageId | json:payload.orderId | json:payload.siteId",
        ),
    ),
    key_hint="the webhook's secretKey, or the client secret of the app that made it",
    # Two more attempts.
    retry_horizon=_RETRIES,
    max_body=4 * MiB,
    examples={
        "form_submission": Example(
            '{"triggerType": "$type", "payload": {"name": "Contact", "siteId": "65427cf400e02b306eaa", "id": "$id", '
            '"data": {"Email": "test@example.com"}, "submittedAt": "$time", "formId": "65429eadebe8a9f3a30f62d0"}}'
        ),
        "collection_item_changed": Example(
            '{"triggerType": "$type", "payload": {"id": "$id", "siteId": "65427cf400e02b306eaa049c", "lastUpdated": '
            '"$time", "isDraft": false, "fieldData": {"name": "Post", "slug": "post"}}}'
        ),
    },
    setup=(
        "Make a webhook by Webflow's API with the source's URL, and keep its secretKey.",
        "For webhooks that an OAuth app makes, configure the app's client secret instead.",
    ),
    traps=(
        "Webhooks made in the dashboard before 2024 are not signed, and their deliveries are refused here.",
        "The timestamp is in milliseconds, and a colon stands between it and the body.",
        "Events without an id and a time count each as one, so that a retry of theirs is another event.",
    ),
    unsettled=(
        "How far apart the three attempts are, whether each is signed anew, and how long Webflow waits.",
        "Webflow advises five minutes; a signature is taken for an hour, so that a retry is.",
    ),
    docs="https://developers.webflow.com/data/docs/working-with-webhooks",
)
