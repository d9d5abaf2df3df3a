"""Mux: `t=TIME,v1=SIGNATURE` over time, dot and body."""

from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.providers.families import stamped_list


def _example(kind: str, data: str) -> Example:
    return Example(
        '{"type": "$type", "id": "$id", "created_at": "$time", "object": {"type": "' + kind + '", "id": "test"}, '
        '"environment": {"name": "Production", "id": "envtest"}, "data": ' + data + ', "accessor": null, '
        '"attempts": [], "request_id": null}'
    )


MUX = Provider(
    name="mux",
    title="Mux",
    category="developer",
    schemes=(stamped_list("mux-signature"),),
    shapes=(Shape(id="json:id", type="json:type", time="json:created_at", key="json:object.id | json:data.id"),),
    key_hint="the webhook's signing secret, under Settings > Webhooks",
    # `attempts` tells of the earlier ones.
    body_varies=True,
    timeout=5.0,
    retry_horizon=DAY,
    sends={"user-agent": "Mux/1.0 (+https://mux.com)"},
    examples={
        "video.asset.ready": _example("asset", '{"id": "test", "status": "ready", "duration": 23.8}'),
        "video.live_stream.active": _example("live", '{"id": "test", "status": "active"}'),
    },
    setup=(
        "Under Settings > Webhooks add the source's URL to each environment.",
        "Configure the webhook's signing secret as it stands there.",
    ),
    traps=(
        "Each webhook and each environment has a secret of its own.",
        "A retry tells of the earlier attempts, so its body differs: the id makes it a duplicate.",
        "Events may come out of order; compare data.status.",
    ),
    docs="https://www.mux.com/docs/core/verify-webhook-signatures",
)
