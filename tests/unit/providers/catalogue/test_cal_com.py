"""Cal.com: the body alone, no id; templates may leave the time out."""

from gateway.core.admission import Rejected
from gateway.providers.cal_com import CAL_COM
from tests.admitting import request
from tests.provider_shape import Known, ProviderShape


class TestCalCom(ProviderShape):
    provider = CAL_COM
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"triggerEvent": "BOOKING_CREATED", "createdAt": "2023-05-24T09:30:00.538Z", '
            b'"payload": {"uid": "bFJeNb2u"}}',
            None,
            "BOOKING_CREATED",
            1_684_920_600_538_000,
            "bFJeNb2u",
        ),
        Known(b'{"triggerEvent": "BOOKING_CREATED"}', "delivery", "BOOKING_CREATED", name="a template's"),
    )

    def test_what_it_says_without_a_secret_is_no_signature(self) -> None:
        arrived = request(b"{}", {"x-cal-signature-256": "no-secret-provided"})

        assert isinstance(self.admit(self.source(), arrived), Rejected)
