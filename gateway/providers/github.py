"""GitHub: the raw body signed with SHA-256; delivery id and event name stand in unsigned headers."""

from gateway.core.feeds import AddressFeed, json_list
from gateway.core.provider import DAY, Example, Mac, MiB, Provider, Scheme, Shape
from gateway.providers import object_apis

_REPOSITORY = (
    '"repository": {"id": 1296269, "name": "hello-world", "full_name": "octocat/hello-world", "private": false, '
    '"owner": {"id": 583231, "login": "octocat"}, "updated_at": "$time"}, '
    '"sender": {"id": 583231, "login": "octocat", "type": "User"}'
)


def _event(fields: str) -> Example:
    return Example("{" + fields + ", " + _REPOSITORY + "}")


GITHUB = Provider(
    name="github",
    title="GitHub",
    category="developer",
    # X-Hub-Signature (SHA-1) comes alongside and is ignored: no downgrade.
    schemes=(Scheme(header="x-hub-signature-256", macs=(Mac(prefix="sha256="),)),),
    shapes=(
        Shape(
            # Two hooks on one endpoint carry the same GUID for one event.
            id="header:x-github-hook-id + ':' + header:x-github-delivery | header:x-github-delivery",
            # `action` is signed and the header is not, so the type as a whole is flagged `type_unsigned`.
            type="header:x-github-event + '.' + json:action | header:x-github-event",
            key="json:repository.id | json:organization.id | json:installation.id",
        ),
    ),
    key_hint="the webhook's secret as typed in its settings",
    timeout=10.0,
    redelivery_horizon=3 * DAY,
    # GitHub sends up to 25 MB of JSON; the rest is room for the form encoding.
    max_body=32 * MiB,
    keep_headers=(
        "x-github-event",
        "x-github-delivery",
        "x-github-hook-id",
        "x-github-hook-installation-target-type",
        "x-github-hook-installation-target-id",
        "x-github-enterprise-version",
        "x-github-enterprise-host",
    ),
    sends={"x-github-delivery": "{id}", "x-github-event": "{event}", "user-agent": "GitHub-Hookshot/test"},
    examples={
        "push": _event(
            '"ref": "refs/heads/main", "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", '
            '"after": "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5", "commits": [{"id": '
            '"59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5", "message": "Mend the parser", "timestamp": "$time", '
            '"author": {"name": "Mona", "email": "mona@example.com"}}], "pusher": {"name": "octocat"}'
        ),
        "pull_request.opened": _event(
            '"action": "opened", "number": 1, "pull_request": {"id": 1, "number": 1, "state": "open", '
            '"title": "Mend the parser", "updated_at": "$time", "user": {"id": 583231, "login": "octocat"}}'
        ),
        "issues.opened": _event(
            '"action": "opened", "issue": {"id": 1, "number": 1, "state": "open", "title": "It breaks", '
            '"updated_at": "$time", "user": {"id": 583231, "login": "octocat"}}'
        ),
        "release.published": _event(
            '"action": "published", "release": {"id": 1, "tag_name": "v1.0.0", "draft": false, "published_at": "$time"}'
        ),
        "ping": _event('"zen": "Keep it logically awesome.", "hook_id": 1'),
    },
    object_api=object_apis.GITHUB,
    setup=(
        "In the repository's, organisation's or app's settings add a webhook with the source's URL.",
        "Choose the content type application/json; a form works as well.",
        "Type a long random secret there and configure the same text here. GitHub answers a ping event at once.",
    ),
    traps=(
        "GitHub never retries: what is not answered within 10 s must be redelivered by hand within 3 days.",
        "Delivery id and event name are unsigned headers: an id is bound to its body, and events say `type_unsigned`.",
        "There is one secret a hook and no overlap, so configure the new and the old one while you change it.",
        "There is no uniform event time: the stale guard needs a version path of the handler's own.",
    ),
    docs="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    # https://docs.github.com/en/rest/meta/meta: `hooks` are the addresses deliveries come from.
    feed=AddressFeed("https://api.github.com/meta", json_list("hooks")),
)
