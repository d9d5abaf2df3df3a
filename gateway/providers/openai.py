"""OpenAI: Standard Webhooks; a secret without `whsec_` is its own text."""

from gateway.core.provider import Example, Key, Mac, Provider, Shape
from gateway.providers import standard_webhooks

_MACS = (
    Mac(key=Key(encoding="base64", prefix="whsec_", prefix_needed=True), encoding="base64", prefix="v1,"),
    Mac(key=Key(refuses=("whsec_", "whpk_", "sk-")), encoding="base64", prefix="v1,"),
)


def _example(object_id: str) -> Example:
    return Example(
        '{"object": "event", "id": "$id", "type": "$type", "created_at": $time_s, "data": {"id": "' + object_id + '"}}'
    )


OPENAI = Provider(
    name="openai",
    title="OpenAI",
    category="developer",
    schemes=(standard_webhooks.scheme("webhook", macs=_MACS),),
    shapes=(Shape(id="header:@id", type="json:type", time="json:created_at", key="json:data.id"),),
    key_hint="the endpoint's signing secret (whsec_ and base64), shown once when it is created; no API key",
    retry_horizon=72 * 3_600.0,
    keep_headers=("webhook-id", "webhook-timestamp"),
    sends={"@id": "{id}", "user-agent": "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"},
    examples={
        "response.completed": _example("resp_test"),
        "batch.completed": _example("batch_test"),
        "fine_tuning.job.succeeded": _example("ftjob_test"),
    },
    setup=(
        "Under Settings > Project > Webhooks create an endpoint with the source's URL and choose its events.",
        "Configure the signing secret whole, whsec_ included; it is shown once.",
    ),
    traps=(
        "Events name an object and hold none of it: fetch it.",
        "Another endpoint is sent the same event under another webhook-id.",
        "A redirect counts as a failure.",
        "The library compares entries of any version; here a v1 entry alone counts.",
    ),
    unsettled=("After how long OpenAI gives up on an answer (its pages say 'a few seconds').",),
    docs="https://platform.openai.com/docs/guides/webhooks",
)
