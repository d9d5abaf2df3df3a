"""Zapier and Make: bodies of the operator's own making."""

from gateway.providers.make import MAKE
from gateway.providers.zapier import ZAPIER
from tests.provider_breaks import with_authorization
from tests.provider_shape import Known, ProviderShape

KNOWN = (
    Known(b'{"type": "lead.new", "idempotency_key": "run-1", "time": "2023-11-14T22:13:20Z", "id": 7}', "run-1",
          "lead.new", 1_700_000_000_000_000, "7"),
    Known(b'{"name": "Alice"}', "run-2", "webhook", headers={"idempotency-key": "run-2"}),
    Known(b'{"name": "Alice"}', "delivery", "webhook"),
)  # fmt: skip


class TestZapier(ProviderShape):
    provider = ZAPIER
    covers = frozenset()
    known = KNOWN
    breaks = with_authorization()


class TestMake(ProviderShape):
    provider = MAKE
    covers = frozenset()
    known = KNOWN
    breaks = with_authorization()
