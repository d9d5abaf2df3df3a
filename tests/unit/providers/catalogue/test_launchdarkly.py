"""LaunchDarkly: an entry of the audit log, signed bare."""

from gateway.providers.launchdarkly import LAUNCHDARKLY
from tests.provider_shape import Known, ProviderShape


class TestLaunchDarkly(ProviderShape):
    provider = LAUNCHDARKLY
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"_links": {"canonical": {"href": "/api/v2/projects/alexis/environments/test"}}, '
            b'"_id": "57c0a8e29969090743529965", "date": 1472243938774, "kind": "environment", '
            b'"accesses": [{"action": "updateName", "resource": "proj/alexis:env/test"}]}',
            "57c0a8e29969090743529965",
            "environment.updateName",
            1_472_243_938_774_000,
            "/api/v2/projects/alexis/environments/test",
        ),
        Known(b'{"_id": "1", "kind": "member", "accesses": []}', "1", "member", key="member"),
    )
