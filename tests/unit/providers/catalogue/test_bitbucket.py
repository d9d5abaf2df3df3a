"""Bitbucket Cloud: the published signature, ids and types in unsigned headers."""

from gateway.providers.bitbucket import BITBUCKET
from tests.provider_shape import Known, ProviderShape


class TestBitbucket(ProviderShape):
    provider = BITBUCKET
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"push": {"changes": []}, "repository": {"uuid": "{673a6070}"}}',
            "{hook}:5d4b9f5e",
            "repo:push",
            key="{673a6070}",
            headers={"x-event-key": "repo:push", "x-hook-uuid": "{hook}", "x-request-uuid": "5d4b9f5e"},
            flags=("type_unsigned",),
        ),
        Known(b"{}", "5d4b9f5e", "repo:fork", headers={"x-event-key": "repo:fork", "x-request-uuid": "5d4b9f5e"}),
    )
