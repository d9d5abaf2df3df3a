"""Docker Hub: nothing signed; a token in the webhook's URL."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import token_in_url

DOCKER_HUB = Provider(
    name="docker_hub",
    title="Docker Hub",
    category="developer",
    schemes=(token_in_url(),),
    shapes=(
        Shape(
            id="json:repository.repo_name + ':' + json:push_data.tag + '@' + json:push_data.pushed_at",
            type="'push'",
            time="json:push_data.pushed_at",
            key="json:repository.repo_name",
        ),
    ),
    key_hint="a secret of your own, behind ?token= in the webhook's URL",
    secrets="optional",
    examples={
        "push": Example(
            '{"push_data": {"pushed_at": $time_s, "pusher": "test", "tag": "$id", "images": []}, "callback_url": '
            '"https://registry.hub.docker.com/u/test/testhook/hook/test/", "repository": {"repo_name": '
            '"test/testhook", "name": "testhook", "namespace": "test", "repo_url": '
            '"https://hub.docker.com/r/test/testhook", "status": "Active", "is_private": false}}'
        ),
    },
    setup=(
        "Make up a long token and configure it here.",
        "Under the repository's Webhooks add the source's URL with ?token=TOKEN behind it.",
    ),
    traps=(
        "Nothing is signed: the token in the URL is all, so keep the URL secret.",
        "Ask the registry what a tag is before deploying it: the push alone proves nothing.",
        "callback_url is a sender's text: do not call it before its host was checked.",
    ),
    unsettled=(
        "Whether failed deliveries are tried again.",
        "After how long Docker Hub gives up on an answer.",
    ),
    docs="https://docs.docker.com/docker-hub/repos/manage/webhooks/",
)
