"""Docker Hub: a token in the URL."""

from gateway.providers.docker_hub import DOCKER_HUB
from tests.provider_breaks import in_url
from tests.provider_shape import Known, ProviderShape

# From "Webhooks", shortened.
BODY = (
    b'{"callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b5bi5i5b02bec211i4eeih0242eg11000'
    b'a/", "push_data": {"pushed_at": 1417566161, "pusher": "trustedbuilder", "tag": "latest"}, "repository": '
    b'{"repo_name": "svendowideit/testhook", "status": "Active"}}'
)


class TestDockerHub(ProviderShape):
    provider = DOCKER_HUB
    covers = frozenset()
    known = (
        Known(BODY, "svendowideit/testhook:latest@1417566161", "push", 1_417_566_161_000_000, "svendowideit/testhook"),
    )
    breaks = in_url()
