"""GitLab: the signing token's Standard Webhooks; the older shared token stands in `test_providers.py`."""

from gateway.core.provider import Scheme
from gateway.providers.gitlab import GITLAB
from tests.admitting import WHSEC
from tests.provider_shape import Known, ProviderShape

# From "Webhook events", shortened.
PUSH = (
    b'{"object_kind": "push", "event_name": "push", "before": "95790bf891e76fee5e1747ab589903a6a1f80f22", '
    b'"ref": "refs/heads/master", "project_id": 15, "project": {"id": 15, "name": "Diaspora"}}'
)
MERGE = (
    b'{"object_kind": "merge_request", "event_type": "merge_request", "project": {"id": 1, "name": "Gitlab Test"}, '
    b'"object_attributes": {"id": 99, "iid": 1, "action": "open", "updated_at": "2023-11-14 22:13:20 UTC"}}'
)
# The id under which the test signs.
SIGNED_ID = "sent"


class TestGitLab(ProviderShape):
    provider = GITLAB
    secret = WHSEC
    other = "whsec_b3RoZXIgc2VjcmV0IG90aGVyIHNlY3JldA=="
    covers = frozenset({"body", "webhook-id", "webhook-timestamp"})
    known = (
        Known(PUSH, SIGNED_ID, "push", None, "15:refs/heads/master", headers={"x-gitlab-event": "Push Hook"}),
        Known(MERGE, SIGNED_ID, "merge_request.open", 1_700_000_000_000_000, "1:1"),
    )

    @property
    def scheme(self) -> Scheme:
        return self.provider.schemes[0]
