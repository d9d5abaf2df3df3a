"""LaunchDarkly: the body signed by HMAC-SHA256; it is an entry of the audit log."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import signed_body


def _entry(kind: str, action: str) -> Example:
    return Example(
        '{"_links": {"canonical": {"href": "/api/v2/flags/test/new-menu", "type": "application/json"}}, "_id": "$id", '
        '"date": ${time_s}000, "kind": "' + kind + '", "name": "New menu", "accesses": [{"action": "' + action + '", '
        '"resource": "proj/test:env/production:flag/new-menu"}], "titleVerb": "turned on the flag"}'
    )


LAUNCHDARKLY = Provider(
    name="launchdarkly",
    title="LaunchDarkly",
    category="developer",
    schemes=(signed_body("x-ld-signature"),),
    shapes=(
        Shape(
            id="json:_id",
            type="json:kind + '.' + json:accesses[0].action | json:kind",
            time="json:date",
            time_unit="ms",
            key="json:_links.canonical.href | json:kind",
        ),
    ),
    key_hint="the webhook's secret, shown where it is signed",
    max_body=4 * MiB,
    examples={
        "flag.updateOn": _entry("flag", "updateOn"),
        "environment.updateName": _entry("environment", "updateName"),
    },
    setup=(
        "Under Organization settings > Integrations > Webhooks add the source's URL and check Sign this webhook.",
        "Configure the secret here.",
    ),
    traps=(
        "A webhook that is not signed sends no signature, and its deliveries are refused here.",
        "Webhooks come in no certain order: sort by the field date, in milliseconds.",
        "One entry of the audit log may be several actions; the event's type names the first.",
    ),
    unsettled=("Whether and for how long LaunchDarkly retries, and how long it waits for an answer.",),
    docs="https://launchdarkly.com/docs/home/infrastructure/webhooks",
)
