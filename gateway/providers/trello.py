"""Trello: body and callback URL signed by HMAC-SHA1 under the application's secret."""

from gateway.core.provider import Challenge, Example, Mac, MiB, Provider, Scheme, Shape

TRELLO = Provider(
    name="trello",
    title="Trello",
    category="productivity",
    schemes=(
        Scheme(
            header="x-trello-webhook",
            message=("body", "registered_url"),
            macs=(Mac(algorithm="hmac-sha1", encoding="base64"),),
        ),
    ),
    shapes=(
        Shape(
            # Two webhooks may tell of one action, in bodies that differ by the model and the webhook.
            id="json:action.id + ':' + json:webhook.id | json:action.id + ':' + json:model.id | json:action.id",
            type="json:action.type",
            time="json:action.date",
            key="json:action.data.card.id | json:action.data.board.id | json:model.id",
        ),
    ),
    key_hint="the secret of the application (Power-Up) whose API key made the webhook, from its API key page",
    needs_public_url=True,
    # `webhook.consecutiveFailures` counts in the body.
    body_varies=True,
    challenges=(Challenge(methods=("HEAD",), signed=False),),
    methods=("POST", "HEAD"),
    # Three retries, 30, 60 and 120 s apart.
    retry_horizon=600.0,
    max_body=MiB,
    examples={
        "updateCard": Example(
            '{"action": {"id": "$id", "type": "$type", "date": "$time", "data": {"card": {"id": "51a79e72dbb7e23c7", '
            '"name": "Mend the parser"}, "board": {"id": "4d5ea62fd76a"}}}, "model": {"id": "4d5ea62fd76a"}, '
            '"webhook": {"id": "5abbe4b7", "active": true, "consecutiveFailures": 0}}'
        ),
    },
    setup=(
        "Set the source's public_url to the exact callbackURL: it is signed.",
        "Make the webhook by Trello's API with that URL; Trello asks for it by HEAD at once.",
    ),
    traps=(
        "The exact callbackURL is signed, its query string and a slash at the end included.",
        "A webhook belongs to a token: when the token goes, so does the webhook.",
        "After 30 days and 1000 failures running the webhook is disabled.",
        "The HEAD probe must be answered 200, and a certificate that is invalid keeps the webhook from being made.",
    ),
    unsettled=("How long Trello waits for an answer is not documented.",),
    docs="https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
)
