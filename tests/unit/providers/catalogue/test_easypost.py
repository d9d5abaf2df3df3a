"""EasyPost: a secret in NFKD, a body that changes between attempts."""

from gateway.core.admission import Events
from gateway.providers.easypost import EASYPOST
from tests.admitting import delivered
from tests.provider_shape import Known, ProviderShape

EVENT = (
    b'{"result":{"id":"batch_123","object":"Batch","state":"created"},"description":"batch.created","mode":"test",'
    b'"previous_attributes":null,"completed_urls":null,"user_id":"user_123","status":"pending","object":"Event",'
    b'"id":"evt_123","created_at":"2021-07-27T19:51:20Z"}'
)


class TestEasyPost(ProviderShape):
    provider = EASYPOST
    known = (Known(EVENT, "evt_123", "batch.created", 1_627_415_480_000_000, "batch_123"),)

    def test_a_secret_counts_the_same_however_its_letters_are_composed(self) -> None:
        composed, apart = "s\u00e9cret", "se\u0301cret"

        admission = self.source(apart).admit(delivered(self.sign(self.asking(EVENT), composed)), self.at_us)

        assert isinstance(admission, Events)

    def test_a_retry_that_tells_of_its_attempts_is_the_same_event(self) -> None:
        bodies = (EVENT, EVENT.replace(b'"completed_urls":null', b'"completed_urls":["https://a.example"]'))
        found = [self.admit(self.source(), delivered(self.sign(self.asking(body)))) for body in bodies]

        assert len({one.events[0].dedupe_key for one in found if isinstance(one, Events)}) == 1
