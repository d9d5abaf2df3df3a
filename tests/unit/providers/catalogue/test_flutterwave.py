"""Flutterwave: a signature in version 4, the secret hash itself in version 3."""

from gateway.core.admission import Events, Rejected
from gateway.providers.flutterwave import FLUTTERWAVE
from tests.admitting import PLAIN, delivered, request
from tests.provider_shape import Known, ProviderShape

CHARGE = (
    b'{"data":{"amount":2500,"created_datetime":1735116842.116,"currency":"KES","id":"chg_Hq4oBRTJ4r","reference":'
    b'"49c3c6f5-aedd-4443-9eb4-92c51758f04a","status":"succeeded"},"id":"wbk_W5p6ktwU0jQ8RO4By860",'
    b'"timestamp":1735116884019,"type":"charge.completed"}'
)
FORMER = (
    b'{"event":"charge.completed","data":{"id":285959875,"tx_ref":"Links-616626414629","amount":100,"currency":"NGN",'
    b'"status":"successful","created_at":"2020-07-06T19:17:04.000Z"}}'
)


class TestFlutterwave(ProviderShape):
    provider = FLUTTERWAVE
    known = (
        Known(CHARGE, "wbk_W5p6ktwU0jQ8RO4By860", "charge.completed", 1_735_116_884_019_000,
              "49c3c6f5-aedd-4443-9eb4-92c51758f04a", name="version 4"),
        Known(FORMER, "charge.completed:285959875:successful", "charge.completed", 1_594_063_024_000_000,
              "Links-616626414629", name="version 3"),
    )  # fmt: skip

    def test_version_3_sends_the_hash_itself(self) -> None:
        target = self.source()

        assert isinstance(target.admit(request(FORMER, {"verif-hash": PLAIN}), self.at_us), Events)
        assert isinstance(target.admit(request(FORMER, {"verif-hash": PLAIN + "x"}), self.at_us), Rejected)

    def test_a_signature_that_fails_does_not_fall_back_to_the_hash(self) -> None:
        signed = self.genuine()
        forged = delivered(signed, body=signed.body + b" ", verif_hash=PLAIN)

        assert self.source().admit(forged, self.at_us) == Rejected("signature_mismatch")
