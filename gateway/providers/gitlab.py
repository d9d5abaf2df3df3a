"""GitLab: a signing token (Standard Webhooks, from 19.0) or the older shared token."""

from gateway.core.provider import Example, Key, Mac, MiB, Provider, Scheme, Shape
from gateway.providers import standard_webhooks

_SIGNING = Mac(
    key=Key(encoding="base64", prefix="whsec_", prefix_needed=True),
    encoding="base64",
    prefix="v1,",
)
_PROJECT = '"project": {"id": 15, "path_with_namespace": "example/hello-world"}'

GITLAB = Provider(
    name="gitlab",
    title="GitLab",
    category="developer",
    # Both tokens may be set on one hook. Where there is a signature it must hold; there is no falling back.
    schemes=(
        standard_webhooks.scheme("webhook", macs=(_SIGNING,), when="webhook-signature"),
        Scheme(
            header="x-gitlab-token",
            macs=(Mac(algorithm="none", key=Key(refuses=("whsec_",)), encoding="raw"),),
            message=(),
            aliases={"id": "idempotency-key"},
        ),
    ),
    shapes=(
        Shape(
            # Not X-Gitlab-Webhook-UUID (new with each request) nor X-Gitlab-Event-UUID (common to recursive hooks).
            id="header:@id",
            type="json:object_kind + '.' + json:object_attributes.action | json:object_kind | json:event_name | "
            "header:x-gitlab-event",
            time="json:object_attributes.updated_at",
            key="json:project.id + ':' + json:object_attributes.iid | json:project.id + ':' + json:ref | "
            "json:project.id | json:project_id",
        ),
    ),
    key_hint="the hook's signing token (whsec_ and base64), or its secret token as typed",
    timeout=10.0,
    max_body=26 * MiB,
    keep_headers=(
        "x-gitlab-event",
        "x-gitlab-instance",
        "x-gitlab-event-uuid",
        "x-gitlab-webhook-uuid",
        "idempotency-key",
        "webhook-id",
    ),
    sends={
        "@id": "{id}",
        "idempotency-key": "{id}",
        "x-gitlab-instance": "https://gitlab.example.com",
        "user-agent": "GitLab/19.0.0",
    },
    examples={
        "push": Example(
            '{"object_kind": "push", "event_name": "push", "ref": "refs/heads/main", "before": '
            '"6113728f27ae82c7b1a177c8d03f9e96e0adf246", "after": "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5", '
            '"project_id": 15, ' + _PROJECT + ', "commits": []}'
        ),
        "merge_request.open": Example(
            '{"object_kind": "merge_request", "event_type": "merge_request", ' + _PROJECT + ', "object_attributes": '
            '{"id": 99, "iid": 1, "action": "open", "state": "opened", "title": "Mend it", "updated_at": "$time"}}'
        ),
    },
    setup=(
        "Add a webhook with the source's URL under Settings > Webhooks.",
        "From GitLab 19.0 generate a signing token and configure it whole, whsec_ included.",
        "On older versions type a secret token there and configure the same text here.",
    ),
    traps=(
        "A hook with both tokens signs: configure the signing token here, or its deliveries are refused.",
        "A secret token is no signature: whoever reads one request can send any other.",
        "After 4 failures running GitLab pauses the hook, after 40 for good, refusals included.",
        "A custom template may leave out all fields that events are known by; the type is then the event header.",
    ),
    docs="https://docs.gitlab.com/user/project/integrations/webhooks/",
)
