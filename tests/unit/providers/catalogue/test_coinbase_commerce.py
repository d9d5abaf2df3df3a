"""Coinbase Commerce: the event inside a delivery that counts its attempts."""

from gateway.core.admission import Events
from gateway.providers.coinbase_commerce import COINBASE_COMMERCE
from tests.admitting import delivered
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"attempt_number":1,"event":{"api_version":"2018-03-22","created_at":"2023-08-30T19:29:20Z","data":{"id":'
    b'"2aee9dd1-67b8-43ef-8dfe-977959850f27","code":"XA6G6ZFR"},"id":"f0ba6e9f-9a2b-4a3b-8d83-9f4d1b1c2e01",'
    b'"resource":"event","type":"charge:confirmed"},"id":"8d0a1b3c","scheduled_for":"2023-08-30T19:29:20Z"}'
)


class TestCoinbaseCommerce(ProviderShape):
    provider = COINBASE_COMMERCE
    known = (
        Known(EVENT, "f0ba6e9f-9a2b-4a3b-8d83-9f4d1b1c2e01", "charge:confirmed", 1_693_423_760_000_000, "XA6G6ZFR"),
    )

    def test_a_retry_counts_on_and_is_the_same_event(self) -> None:
        bodies = (EVENT, EVENT.replace(b'"attempt_number":1', b'"attempt_number":2'))
        found = [self.admit(self.source(), delivered(self.sign(self.asking(body)))) for body in bodies]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 1
