"""Chargebee: Basic authentication, an event with an id."""

import base64

from gateway.core.admission import Events
from gateway.providers.chargebee import CHARGEBEE
from tests.admitting import request
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"id":"ev_16BHbhF4s42tO2lK","occurred_at":1704067200,"source":"admin_console","object":"event","api_version":"v2",'
    b'"event_type":"subscription_created","content":{"subscription":{"id":"16BHbhF4s42tO2lJ","customer_id":'
    b'"16BHbhF4s42tO2lI"},"customer":{"id":"16BHbhF4s42tO2lI"}}}'
)


class TestChargebee(ProviderShape):
    provider = CHARGEBEE
    secret = "hook:a password"
    other = "hook:another password"
    covers = frozenset()
    known = (Known(EVENT, "ev_16BHbhF4s42tO2lK", "subscription_created", 1_704_067_200_000_000, "16BHbhF4s42tO2lJ"),)

    def test_a_password_may_hold_a_colon(self) -> None:
        value = "Basic " + base64.b64encode(b"hook:p:w").decode()

        assert isinstance(self.source("hook:p:w").admit(request(EVENT, {"authorization": value}), self.at_us), Events)
