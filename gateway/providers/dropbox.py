"""Dropbox: a signed ping that names accounts and no change."""

from gateway.core.provider import Challenge, Example, Provider, Shape
from gateway.providers.families import signed_body

DROPBOX = Provider(
    name="dropbox",
    title="Dropbox",
    category="productivity",
    schemes=(signed_body("x-dropbox-signature"),),
    # The same words for each change of an account: only the delivery tells them apart.
    shapes=(Shape(id="delivery:id", type="'list_folder'", key="json:list_folder.accounts[0]"),),
    key_hint="the app's secret, from the App Console",
    challenges=(Challenge(when="query:challenge", methods=("GET",), answer="query:challenge", signed=False),),
    methods=("POST", "GET"),
    timeout=10.0,
    # With growing pauses, over about ten minutes.
    retry_horizon=1200.0,
    sends={"user-agent": "DropboxWebhooks/1.0"},
    examples={
        "list_folder": Example(
            '{"list_folder": {"accounts": ["dbid:AAH4f99T0taONIb"]}, "delta": {"users": [12345678]}}'
        ),
    },
    setup=(
        "In the App Console add the source's URL as a webhook URI; Dropbox asks for it by GET at once.",
        "Configure the app's secret here.",
    ),
    traps=(
        "It tells whose files changed and not what: a handler calls /files/list_folder/continue with its own cursor.",
        "Every ping of an account has the same body, so each delivery is an event: handlers take repeats calmly.",
        "Several accounts may come in one ping; read them all.",
        "Any other answer than 200 is a failure, and after ten minutes of them a ping is given up.",
    ),
    unsettled=("Ten seconds are documented for the challenge; for pings they are assumed.",),
    docs="https://www.dropbox.com/developers/reference/webhooks",
)
