"""PayPal: certificates from PayPal's hosts alone, CRC-32 as an unsigned decimal, SHA-256 alone."""

import base64
import zlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.core.admission import Events, NeedsKey, Rejected
from gateway.core.event import from_micros
from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.paypal import PAYPAL
from tests.admitting import NOW, delivered
from tests.provider_shape import Known, ProviderShape

URL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def certificate(name: str = "messageverificationcerts.paypal.com", *, days: int = 30) -> bytes:
    """Return a certificate of the key, valid for some days around the tests' time."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.fromtimestamp(NOW, UTC)
    draft = x509.CertificateBuilder(subject, subject, KEY.public_key(), x509.random_serial_number())
    dated = draft.not_valid_before(now - timedelta(days=60)).not_valid_after(now + timedelta(days=days))
    return dated.sign(KEY, SHA256()).public_bytes(Encoding.PEM)


CERTIFICATE = certificate()
EVENT = (
    b'{"id":"WH-2WR32451HC0233532-67976317FL4543714","event_version":"1.0","create_time":"2014-10-23T17:23:52Z",'
    b'"resource_type":"sale","event_type":"PAYMENT.SALE.COMPLETED","summary":"A successful sale payment was made",'
    b'"resource":{"id":"80021663DE681814L","state":"completed","parent_payment":"PAY-1PA12106FU478450MKRETS4A"}}'
)
CAPTURE = (
    b'{"id":"WH-58D329510W468432D-8HN650336L201105X","create_time":"2019-02-14T21:50:07.940Z","resource_type":"capture",'
    b'"event_type":"PAYMENT.CAPTURE.COMPLETED","resource":{"id":"42311647XV020574X","supplementary_data":'
    b'{"related_ids":{"order_id":"5O190127TN364715T"}}},"resource_version":"2.0"}'
)


class TestPayPal(ProviderShape):
    provider = PAYPAL
    secret = None
    settings = {"webhook_id": ("1JE4291016473214C", "WEBHOOK_ID")}
    keys = {URL: CERTIFICATE}
    covers = frozenset({"body", "paypal-transmission-id"})
    known = (
        Known(EVENT, "WH-2WR32451HC0233532-67976317FL4543714", "PAYMENT.SALE.COMPLETED", 1_414_085_032_000_000,
              "80021663DE681814L", name="sale"),
        Known(CAPTURE, "WH-58D329510W468432D-8HN650336L201105X", "PAYMENT.CAPTURE.COMPLETED",
              1_550_181_007_940_000, "5O190127TN364715T", name="capture of an order"),
    )  # fmt: skip

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        at = from_micros(asked.now_us).strftime("%Y-%m-%dT%H:%M:%SZ")
        message = f"69cd13f0-d67a-11e5-baa3-778b53f4ae55|{at}|1JE4291016473214C|{zlib.crc32(asked.body) & 0xFFFFFFFF}"
        headers = {
            "content-type": asked.content_type,
            "paypal-transmission-id": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
            "paypal-transmission-time": at,
            "paypal-transmission-sig": base64.b64encode(KEY.sign(message.encode(), PKCS1v15(), SHA256())).decode(),
            "paypal-cert-url": URL,
            "paypal-auth-algo": "SHA256withRSA",
        }
        return SignedRequest(method="POST", query=b"", headers=headers, body=asked.body)

    def changed(self, **headers: str) -> object:
        return self.admit(self.source(), delivered(self.genuine(), **headers))

    def test_a_certificate_that_is_not_here_is_asked_for_by_its_url(self) -> None:
        target = self.source()

        assert target.admit(delivered(self.genuine()), self.at_us) == NeedsKey(URL)
        assert target.key_request is not None
        assert target.key_request(URL).url == URL

    @pytest.mark.parametrize(
        "url",
        [
            "http://api.paypal.com/v1/notifications/certs/CERT-1",
            "https://evilpaypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
            "https://www.paypal.com/v1/notifications/certs/CERT-1",
            "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
            "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
            "https://api.paypal.com/v1/notifications/certs/../../x",
            "https://api.paypal.com/v1/notifications/certs/CERT-1?x=1",
            "https://api.paypal.com/v1/notifications/certs/CERT-1\n",
        ],
    )
    def test_no_other_url_is_ever_asked(self, url: str) -> None:
        assert self.changed(paypal_cert_url=url) == Rejected("signature_malformed")

    @pytest.mark.parametrize("algorithm", ["SHA1withRSA", "SHA512withRSA", "none", "sha256withrsa"])
    def test_no_other_algorithm_is_taken(self, algorithm: str) -> None:
        assert self.changed(paypal_auth_algo=algorithm) == Rejected("signature_malformed")

    def test_every_header_of_it_is_needed(self) -> None:
        for name in ("id", "time", "sig"):
            assert self.changed(**{f"paypal_transmission_{name}": ""}) == Rejected("signature_missing")
        assert self.changed(paypal_cert_url="") == Rejected("signature_missing")
        assert self.changed(paypal_auth_algo="") == Rejected("signature_missing")

    def test_another_webhook_s_delivery_is_refused(self) -> None:
        admission = self.admit(self.source(values={"webhook_id": ("OTHER",)}), delivered(self.genuine()))

        assert isinstance(admission, Rejected)
        assert admission.reason == "signature_mismatch"

    @pytest.mark.parametrize(
        "pem", [certificate("evilpaypal.com"), certificate("paypal.com.evil.example"), certificate(days=-1), b"x"]
    )
    def test_a_certificate_of_another_name_or_time_is_none(self, pem: bytes) -> None:
        arrived = msgspec.structs.replace(delivered(self.genuine()), keys={URL: pem})

        assert self.source().admit(arrived, self.at_us) == NeedsKey(URL)

    def test_a_checksum_above_two_to_the_31st_is_written_without_a_sign(self) -> None:
        body = next(body for body in (b'{"id": "%d"}' % n for n in range(99)) if zlib.crc32(body) >= 2**31)

        assert isinstance(self.admit(self.source(), delivered(self.sign(self.asking(body)))), Events)

    def test_a_retry_with_another_body_is_the_same_event(self) -> None:
        bodies = (EVENT, EVENT.replace(b'"1.0"', b'"1.1"'))
        found = [self.admit(self.source(), delivered(self.sign(self.asking(body)))) for body in bodies]

        keys = {admission.events[0].dedupe_key for admission in found if isinstance(admission, Events)}
        assert len(keys) == 1
