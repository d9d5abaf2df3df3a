"""Supabase database webhooks: nothing signed; a token of the operator's in a header or the URL."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import any_authorization

SUPABASE = Provider(
    name="supabase",
    title="Supabase",
    category="developer",
    schemes=any_authorization(),
    shapes=(
        Shape(
            # A row that changes to and fro reads the same each time, and nothing is sent twice.
            id="delivery:id",
            type="json:table + '.' + json:type | json:type",
            key="json:schema + '.' + json:table + ':' + json:record.id | "
            "json:schema + '.' + json:table + ':' + json:old_record.id | json:table",
        ),
    ),
    key_hint="a secret of your own: Authorization: Bearer SECRET among the webhook's HTTP headers, or ?token=SECRET "
    "among its parameters",
    secrets="optional",
    examples={
        "orders.INSERT": Example(
            '{"type": "INSERT", "table": "orders", "record": {"id": 1, "note": "$id", "created_at": "$time"}, '
            '"schema": "public", "old_record": null}'
        ),
        "orders.DELETE": Example(
            '{"type": "DELETE", "table": "orders", "record": null, "schema": "public", "old_record": {"id": 1, '
            '"note": "$id"}}'
        ),
    },
    setup=(
        "Make up a long secret and configure it here.",
        "Under Database > Webhooks create one: table, events, HTTP Request, POST, the source's URL.",
        "Add the HTTP header Authorization with Bearer SECRET.",
        "Raise its timeout to 5000 ms.",
    ),
    traps=(
        "Nothing is signed: only HTTPS and the secret keep what is sent.",
        "Deliveries are never sent again: what the gateway misses is lost.",
        "The secret stands in the trigger's definition, for whoever may read the schema.",
        "Auth hooks and edge functions are other products; auth hooks sign by Standard Webhooks.",
    ),
    unsettled=("Which timeout the dashboard fills in: pg_net's own is 1 or 2 s, by version.",),
    docs="https://supabase.com/docs/guides/database/webhooks",
)
