"""Calendly: an id made of what the signed body tells."""

from gateway.providers.calendly import CALENDLY
from tests.provider_shape import Known, ProviderShape

URI = "https://api.calendly.com/scheduled_events/GBGBDCAADAEDCRZ2/invitees/AAAA"


class TestCalendly(ProviderShape):
    provider = CALENDLY
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"event": "invitee.created", "created_at": "2020-11-23T17:51:19.000000Z", "payload": {"uri": "%s"}}'
            % URI.encode(),
            f"invitee.created:{URI}:2020-11-23T17:51:19.000000Z",
            "invitee.created",
            1_606_153_879_000_000,
            URI,
        ),
        Known(b'{"event": "routing_form_submission.created"}', None, "routing_form_submission.created"),
    )
