"""Clicksign: the body alone, and no event id."""

from gateway.providers.clicksign import CLICKSIGN
from tests.provider_shape import Known, ProviderShape


class TestClicksign(ProviderShape):
    provider = CLICKSIGN
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"event": {"name": "upload", "occurred_at": "2023-11-14T22:13:20Z"}, "document": {"key": "b9d6"}}',
            None,
            "upload",
            1_700_000_000_000_000,
            "b9d6",
        ),
        Known(
            b'{"event": {"name": "acceptance_term_sent", "occurred_at": "2022-07-26T16:24:04.879-03:00"}, '
            b'"acceptance": {"key": "a8a19bb3"}}',
            None,
            "acceptance_term_sent",
            1_658_863_444_879_000,
            "a8a19bb3",
            headers={"event": "acceptance_term_sent"},
        ),
        Known(b'{"event": {"name": "upload"}}', "delivery", "upload", name="no time tells equal bodies apart"),
    )
