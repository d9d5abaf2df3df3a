"""Zendesk: timestamp and body in base64; events and the free payloads of triggers."""

import pytest

from gateway.providers.zendesk import ZENDESK
from tests.provider_shape import Known, ProviderShape

CREATED = (
    b'{"account_id": 12514403, "detail": {"created_at": "2021-03-25T05:09:27Z", "id": "6596848315901", "role": '
    b'"end-user"}, '
    b'"event": {}, "id": "2b24ac17-b0a4-4f5c-9fc5-7b5f5b4e7a64", "subject": "zen:user:6596848315901", "time": '
    b'"2021-03-25T05:09:27Z", "type": "zen:event-type:user.created", "zendesk_event_version": "2022-06-20"}'
)
TRIGGER = b'{"ticket_id": "35436", "title": "Help, my printer is on fire!"}'
INVOCATION = {"x-zendesk-webhook-invocation-id": "8350205582"}


class TestZendesk(ProviderShape):
    provider = ZENDESK
    covers = frozenset({"body", "x-zendesk-webhook-signature-timestamp"})
    known = (
        Known(CREATED, "2b24ac17-b0a4-4f5c-9fc5-7b5f5b4e7a64", "zen:event-type:user.created", 1_616_648_967_000_000,
              "zen:user:6596848315901", headers=INVOCATION),
        Known(TRIGGER, "8350205582", "trigger", None, "35436", headers=INVOCATION, name="a trigger"),
    )  # fmt: skip

    @pytest.mark.parametrize("padding", ["", "=="])
    def test_the_test_button_s_secret_that_anyone_can_look_up_is_refused(self, padding: str) -> None:
        with pytest.raises(ValueError, match="of another kind"):
            self.source("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ" + padding)
