"""Vercel: SHA-1 over the body."""

from gateway.providers.vercel import VERCEL
from tests.provider_shape import Known, ProviderShape

# As the "Webhooks API reference" tells the fields.
BODY = (
    b'{"type": "deployment.error", "id": "evt_1", "createdAt": 1700000000123, "region": "sfo1", "payload": {"team": '
    b'{"id": "team_1"}, "deployment": {"id": "dpl_1", "name": "site"}, "project": {"id": "prj_1"}}}'
)
PROJECT = (
    b'{"type": "project.created", "id": "evt_2", "createdAt": 1700000000123, "payload": {"project": {"id": "prj_1"}}}'
)


class TestVercel(ProviderShape):
    provider = VERCEL
    covers = frozenset({"body"})
    known = (
        Known(BODY, "evt_1", "deployment.error", 1_700_000_000_123_000, "dpl_1"),
        Known(PROJECT, "evt_2", "project.created", 1_700_000_000_123_000, "prj_1"),
    )
