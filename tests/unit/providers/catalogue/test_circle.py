"""Circle: ECDSA over the raw body, under the key that a header names."""

import base64
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.admission import NeedsKey, Rejected
from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.circle import CIRCLE
from tests.admitting import delivered
from tests.provider_shape import Asked, Known, ProviderShape

KEY_ID = "879dc113-5ca4-4ff7-a6b7-54652083fcf8"
REF = f"https://api.circle.com/v2/notifications/publicKey/{KEY_ID}"
KEY = ec.generate_private_key(ec.SECP256R1())


def answer(key: ec.EllipticCurvePrivateKey = KEY, **over: str) -> bytes:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    data = {"id": KEY_ID, "algorithm": "ECDSA_SHA_256", "publicKey": base64.b64encode(der).decode()}
    return json.dumps({"data": data | {"createDate": "2026-01-15T21:47:35.107250Z"} | over}).encode()


INBOUND = (
    b'{"subscriptionId":"d4c07d5f-f05f-4fe4-853d-4dd434806dfb","notificationId":"acab8c14-92ce-481e-8335-6eb5271da014",'
    b'"notificationType":"transactions.inbound","notification":{"id":"ad3f40ae-9c0e-52cf-816f-91838e9e8e33",'
    b'"walletId":"c4d1da72-111e-4d52-bdbf-2e74a2d803d5","state":"CONFIRMED"},'
    b'"timestamp":"2026-01-26T18:22:19.779834211Z","version":2}'
)


class TestCircle(ProviderShape):
    provider = CIRCLE
    secret = None
    settings = {"api_key": ("TEST_API_KEY:id:secret",)}
    keys = {REF: answer()}
    known = (
        Known(INBOUND, "acab8c14-92ce-481e-8335-6eb5271da014", "transactions.inbound", 1_769_451_739_779_834,
              "c4d1da72-111e-4d52-bdbf-2e74a2d803d5"),
    )  # fmt: skip
    asked = (Asked(method="HEAD"),)

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        signature = base64.b64encode(KEY.sign(asked.body, ec.ECDSA(SHA256()))).decode()
        headers = {"content-type": asked.content_type, "x-circle-signature": signature, "x-circle-key-id": KEY_ID}
        return SignedRequest(method="POST", query=b"", headers=headers, body=asked.body)

    def test_a_key_is_asked_for_by_its_id_with_the_api_key(self) -> None:
        target = self.source()

        assert target.admit(delivered(self.genuine()), self.at_us) == NeedsKey(REF)
        assert target.key_request is not None
        ask = target.key_request(REF)
        assert (ask.url, ask.method) == (REF, "GET")
        assert ask.headers["authorization"] == "Bearer TEST_API_KEY:id:secret"

    @pytest.mark.parametrize("key_id", ["", "../../wallets", KEY_ID + "/..", KEY_ID[:-1], "x" * 36, KEY_ID + "\n"])
    def test_only_a_uuid_is_ever_asked_for(self, key_id: str) -> None:
        refused = self.source().admit(delivered(self.genuine(), x_circle_key_id=key_id), self.at_us)

        assert isinstance(refused, Rejected)

    def test_another_product_has_another_endpoint_of_circle_s(self) -> None:
        endpoint = "https://api.circle.com/v2/cpn/notifications/publicKey"
        target = self.source(values={**self.settings, "key_endpoint": (endpoint,)})

        assert target.admit(delivered(self.genuine()), self.at_us) == NeedsKey(f"{endpoint}/{KEY_ID}")
        with pytest.raises(ValueError, match="key_endpoint"):
            self.source(values={**self.settings, "key_endpoint": ("https://evil.example/v2/notifications/publicKey",)})

    @pytest.mark.parametrize(
        "found",
        [
            b"", b"[]", b'{"data": {}}', answer(id="09379bc1-4871-45ad-8b8b-8027795df70d"), answer(algorithm="NONE"),
            answer(publicKey="AAAA"), answer(ec.generate_private_key(ec.SECP384R1())),
        ],
    )  # fmt: skip
    def test_an_answer_that_holds_no_such_key_is_asked_for_anew(self, found: bytes) -> None:
        arrived = msgspec.structs.replace(delivered(self.genuine()), keys={REF: found})

        assert self.source().admit(arrived, self.at_us) == NeedsKey(REF)
