"""Forgejo: as Gitea, under headers of its own."""

from dataclasses import replace

from gateway.core.provider import Mac, Scheme, Shape
from gateway.providers.gitea import GITEA, payload

FORGEJO = replace(
    GITEA,
    name="forgejo",
    title="Forgejo",
    schemes=(Scheme(header="x-forgejo-signature", macs=(Mac(),), rule=payload, covers=("body",)),),
    shapes=(
        Shape(
            id="header:x-forgejo-delivery",
            type="header:x-forgejo-event + '.' + json:action | header:x-forgejo-event",
            time=GITEA.shapes[0].time,
            key=GITEA.shapes[0].key,
        ),
    ),
    keep_headers=("x-forgejo-delivery", "x-forgejo-event", "x-forgejo-event-type"),
    sends={"x-forgejo-delivery": "{id}", "x-forgejo-event": "{event}", "user-agent": "Go-http-client/1.1"},
    setup=(
        "Make up a long secret and configure it here.",
        "Under Settings > Webhooks add one of the type Forgejo with the source's URL, POST, the secret and its events.",
        "Choose application/json.",
    ),
    docs="https://forgejo.org/docs/latest/user/webhooks/",
)
