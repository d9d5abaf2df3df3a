"""Supabase: rows that change to and fro."""

import msgspec

from gateway.providers.supabase import SUPABASE
from tests.admitting import only
from tests.provider_breaks import with_authorization
from tests.provider_shape import Known, ProviderShape

# As "Database Webhooks" tells the payload.
UPDATE = (
    b'{"type": "UPDATE", "table": "orders", "schema": "public", "record": {"id": 7, "state": "open"}, "old_record": '
    b'{"id": 7, "state": "closed"}}'
)
DELETE = b'{"type": "DELETE", "table": "orders", "schema": "public", "record": null, "old_record": {"id": 7}}'


class TestSupabase(ProviderShape):
    provider = SUPABASE
    covers = frozenset()
    known = (
        Known(UPDATE, "delivery", "orders.UPDATE", None, "public.orders:7"),
        Known(DELETE, "delivery", "orders.DELETE", None, "public.orders:7"),
    )
    breaks = with_authorization()

    def test_a_row_that_changes_to_and_fro_is_an_event_each_time(self) -> None:
        first = self.signed_body(UPDATE, "application/json", b"", {})
        again = msgspec.structs.replace(first, delivery_id="another")

        assert len({only(self.admit(self.source(), each)).dedupe_key for each in (first, again)}) == 2
