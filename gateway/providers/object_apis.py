"""The APIs that give the objects which events only name: for `Provider.object_api`.

Sources: Stripe's API reference and its SDK (`EventNotification.fetch_related_object`); Mollie's, GitHub's, Chargebee's,
Airtable's, Notion's, Asana's and Shopify's API references.
"""

from collections.abc import Mapping

from gateway.core.objects import ObjectApi, ObjectPath

# `data.object.object` of Stripe's snapshot events, and where such an object stands below /v1.
_STRIPE_OBJECTS: Mapping[str, str] = {
    "account": "accounts",
    "charge": "charges",
    "checkout.session": "checkout/sessions",
    "coupon": "coupons",
    "credit_note": "credit_notes",
    "customer": "customers",
    "dispute": "disputes",
    "invoice": "invoices",
    "invoiceitem": "invoiceitems",
    "payment_intent": "payment_intents",
    "payment_link": "payment_links",
    "payment_method": "payment_methods",
    "payout": "payouts",
    "plan": "plans",
    "price": "prices",
    "product": "products",
    "promotion_code": "promotion_codes",
    "quote": "quotes",
    "refund": "refunds",
    "setup_intent": "setup_intents",
    "subscription": "subscriptions",
    "subscription_schedule": "subscription_schedules",
    "topup": "topups",
    "transfer": "transfers",
}

STRIPE = ObjectApi(
    hosts=("api.stripe.com",),
    objects=(
        ObjectPath(url="{json:related_object.url}", when="json:related_object.url"),
        ObjectPath(url="/v2/core/events/{json:id}", when="json:object", fits="v2.core.event"),
        *(
            ObjectPath(url=f"/v1/{place}/{{json:data.object.id}}", when="json:data.object.object", fits=kind)
            for kind, place in _STRIPE_OBJECTS.items()
        ),
    ),
    headers={
        "stripe-version": "json:api_version | '2026-10-28.endive'",  # the v2 API needs one, and thin events name none
        "stripe-account": "json:account",
        "stripe-context": "json:context",
    },
    credential_hint="a restricted key that may read what the events are about, rk_...",
)

MOLLIE = ObjectApi(
    hosts=("api.mollie.com",),
    objects=(
        ObjectPath(url="/v2/payments/{form:id}", when="form:id", fits="tr_*"),
        ObjectPath(url="/v2/orders/{form:id}", when="form:id", fits="ord_*"),
        ObjectPath(url="/v2/payment-links/{form:id}", when="form:id", fits="pl_*"),
    ),
    credential_hint="the profile's API key, live_... or test_...",
)

# Of the signed webhooks: what the event is about, else the event itself.
MOLLIE_EVENTS = ObjectApi(
    hosts=MOLLIE.hosts,
    objects=(
        ObjectPath(url="/v2/payments/{json:entityId}", when="json:entityId", fits="tr_*"),
        ObjectPath(url="/v2/payment-links/{json:entityId}", when="json:entityId", fits="pl_*"),
        ObjectPath(url="/v2/sales-invoices/{json:entityId}", when="json:entityId", fits="invoice_*"),
        ObjectPath(url="/v2/events/{json:id}", when="json:id"),
    ),
    credential_hint="an organization access token that may read payments and events",
)

_GITHUB_OBJECTS = (
    "comment",
    "review",
    "pull_request",
    "issue",
    "release",
    "check_run",
    "check_suite",
    "workflow_job",
    "workflow_run",
    "deployment_status",
    "deployment",
    "repository",
)

GITHUB = ObjectApi(
    hosts=("api.github.com",),
    objects=tuple(
        ObjectPath(url=f"{{json:{name}.url}}", when=f"json:{name}.url", fits="https://*") for name in _GITHUB_OBJECTS
    ),
    headers={"accept": "'application/vnd.github+json'", "x-github-api-version": "'2022-11-28'"},
    credential_hint="a fine-grained token that may read the repository",
)

CHARGEBEE = ObjectApi(
    send="basic",
    objects=(ObjectPath(url="/api/v2/events/{json:id}", when="json:id"),),
    credential_hint="a read-only API key; `hosts` is the site's: [SITE.chargebee.com]",
)

# A list of payloads, not an object: a handler goes on with `?cursor=` from its own table.
AIRTABLE = ObjectApi(
    hosts=("api.airtable.com",),
    objects=(ObjectPath(url="/v0/bases/{json:base.id}/webhooks/{json:webhook.id}/payloads", when="json:webhook.id"),),
    credential_hint="a personal access token with the scope webhook:manage",
)

NOTION = ObjectApi(
    hosts=("api.notion.com",),
    objects=(
        ObjectPath(url="/v1/pages/{json:entity.id}", when="json:entity.type", fits="page"),
        ObjectPath(url="/v1/databases/{json:entity.id}", when="json:entity.type", fits="database"),
        ObjectPath(url="/v1/data_sources/{json:entity.id}", when="json:entity.type", fits="data_source"),
        ObjectPath(url="/v1/comments/{json:entity.id}", when="json:entity.type", fits="comment"),
    ),
    headers={"notion-version": "json:api_version | '2022-06-28'"},
    credential_hint="the integration's secret, ntn_...",
)

ASANA = ObjectApi(
    hosts=("app.asana.com",),
    objects=tuple(
        ObjectPath(url=f"/api/1.0/{place}/{{json:resource.gid}}", when="json:resource.resource_type", fits=kind)
        for kind, place in (
            ("task", "tasks"),
            ("project", "projects"),
            ("story", "stories"),
            ("section", "sections"),
            ("tag", "tags"),
            ("attachment", "attachments"),
        )
    ),
    credential_hint="a service account's token",
)

# What an event is about stands in it; this is for `ctx.fetch` of a path.
SHOPIFY = ObjectApi(
    send="header:x-shopify-access-token",
    credential_hint="the app's Admin API access token; `hosts` is the shop's: [SHOP.myshopify.com]",
)
