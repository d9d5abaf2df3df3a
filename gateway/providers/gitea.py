"""Gitea: the payload signed. Of a form that is the field `payload`, not the form."""

from collections.abc import Sequence

from gateway.core.admission import RefusedReason, Request
from gateway.core.forms import form_fields, is_form
from gateway.core.provider import Example, Mac, Message, MessageRule, MiB, Provider, Scheme, Shape, Terms


def payload(_terms: Terms) -> MessageRule:
    """Sign the JSON: the body, or a form's one field. Nothing would sign another field, so a form must have none."""

    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        if not is_form(request.headers.get(b"content-type")):
            return [(request.body,)]
        fields = form_fields(request.body) or []
        return [(fields[0][1],)] if [name for name, _ in fields] == [b"payload"] else "signature_malformed"

    return messages


def _scheme(family: str) -> Scheme:
    return Scheme(header=f"x-{family}-signature", macs=(Mac(),), rule=payload, covers=("body",))


_PUSH = (
    '{"ref": "refs/heads/main", "before": "28e1879d029cb852e4844d9c718537df08844e03", "after": '
    '"bffeb74224043ba2feb48d137756c8a9331c449a", "compare_url": "https://gitea.example.com/test", "commits": [], '
    '"repository": {"id": 140, "name": "webhooks", "full_name": "test/webhooks"}, "pusher": {"login": "test"}}'
)
_ISSUE = (
    '{"action": "opened", "number": 1, "issue": {"id": 1, "number": 1, "title": "$id", "state": "open", '
    '"updated_at": "$time"}, "repository": {"id": 140, "full_name": "test/webhooks"}, "sender": {"login": "test"}}'
)

GITEA = Provider(
    name="gitea",
    title="Gitea",
    category="developer",
    schemes=(_scheme("gitea"),),
    shapes=(
        Shape(
            id="header:x-gitea-delivery",
            type="header:x-gitea-event + '.' + json:action | header:x-gitea-event",
            time="json:head_commit.timestamp | json:issue.updated_at | json:pull_request.updated_at",
            key="json:repository.id | json:organization.id",
        ),
    ),
    key_hint="the webhook's secret, as you typed it",
    # DELIVER_TIMEOUT of [webhook].
    timeout=5.0,
    max_body=26 * MiB,
    keep_headers=("x-gitea-delivery", "x-gitea-event", "x-gitea-event-type"),
    sends={"x-gitea-delivery": "{id}", "x-gitea-event": "{event}", "user-agent": "Go-http-client/1.1"},
    examples={"push": Example(_PUSH), "issues.opened": Example(_ISSUE)},
    setup=(
        "Make up a long secret and configure it here.",
        "Under Settings > Webhooks add one of the type Gitea with the source's URL, POST, the secret and its events.",
        "Choose application/json.",
    ),
    traps=(
        "A webhook is sent once: what fails must be delivered again by hand, which makes it a new event with a new id.",
        "Event, id and type stand in headers that nothing signs.",
        "Of the content type form only the field payload is signed, so a form with anything else is refused.",
        "It signs as GitHub does, too (X-Hub-Signature-256): only its own header counts here.",
        "[webhook] ALLOWED_HOST_LIST of the server must allow the gateway's host.",
    ),
    docs="https://docs.gitea.com/usage/webhooks",
)
