"""Amazon SNS: RSA over fields of the envelope, under a certificate by URL."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
import pytest

from gateway.core.admission import Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.aws_sns import AWS_SNS
from tests.admitting import NOW_US, SECOND, delivered, events, only, reason
from tests.provider_keys import certificate, rsa_signature
from tests.provider_shape import Asked, Known, ProviderShape

TOPIC = "arn:aws:sns:us-east-1:123456789012:test"
CERTIFICATE_URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL = (
    "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"
    f"&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e241d09c805a5a57b30d712f7948a98bac386edfe3e10314e873973b3e0a3c"
)
TEXT = "text/plain; charset=UTF-8"

# As the developer guide shows them, with the topic above.
NOTIFICATION = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Subject": "My First Message",
    "Message": 'Hello "world"!\nSecond line \u2603',
    "Timestamp": "2023-11-14T22:13:20.000Z",
    "SignatureVersion": "1",
}
CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
    "Token": "2336412f37fb687f5d51e6e241d09c805a5a57b30d712f7948a98bac386edfe3e10314e873973b3e0a3c",
    "TopicArn": TOPIC,
    "Message": f"You have chosen to subscribe to the topic {TOPIC}.\nTo confirm, visit the SubscribeURL.",
    "SubscribeURL": SUBSCRIBE_URL,
    "Timestamp": "2023-11-14T22:13:20.000Z",
    "SignatureVersion": "2",
}
S3_MESSAGE = (
    '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k.csv"}}}]}'
)
SES_MESSAGE = '{"notificationType": "Bounce", "mail": {"messageId": "00000137860315fd"}}'


def canonical(envelope: Mapping[str, str]) -> bytes:
    """Return what is signed, by the words of the developer guide."""
    if envelope["Type"] == "Notification":
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    else:
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    return "".join(f"{name}\n{envelope[name]}\n" for name in names if name in envelope).encode()


def sealed(envelope: Mapping[str, str], **over: str) -> bytes:
    digest = "sha1" if envelope.get("SignatureVersion") == "1" else "sha256"
    proof = {"Signature": rsa_signature(canonical(envelope), digest), "SigningCertURL": CERTIFICATE_URL}
    return json.dumps({**envelope, **proof, **over}).encode()


def _altered(**over: str) -> Callable[[SignedRequest], SignedRequest]:
    return lambda signed: replace(signed, body=_body({**json.loads(signed.body), **over}))


def _without(name: str) -> Callable[[SignedRequest], SignedRequest]:
    def change(signed: SignedRequest) -> SignedRequest:
        kept = {key: value for key, value in json.loads(signed.body).items() if key != name}
        return replace(signed, body=_body(kept))

    return change


def _body(envelope: Mapping[str, str]) -> bytes:
    return json.dumps(envelope).encode()


class TestAwsSns(ProviderShape):
    provider = AWS_SNS
    secret = None
    settings = {"topics": (TOPIC, "arn:aws:sns:us-east-1:123456789012:other")}
    keys = {CERTIFICATE_URL: certificate("sns.amazonaws.com")}
    covers = frozenset({"body"})
    known = (
        Known(_body(NOTIFICATION), "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "Notification", NOW_US,
              "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", TEXT, name="text"),
        Known(_body({**NOTIFICATION, "Message": S3_MESSAGE}), "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
              "ObjectCreated:Put", NOW_US, "b/k.csv", TEXT, name="s3"),
        Known(_body({**NOTIFICATION, "Message": SES_MESSAGE}), "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
              "Bounce", NOW_US, "00000137860315fd", TEXT, name="ses"),
        Known(_body({**CONFIRMATION, "Type": "UnsubscribeConfirmation"}), "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
              "UnsubscribeConfirmation", NOW_US, None, TEXT, name="unsubscribed"),
    )  # fmt: skip
    asked = (Asked(body=_body(CONFIRMATION), content_type=TEXT, signed=True, visit=SUBSCRIBE_URL),)
    breaks = {
        "message": _altered(Message="Hello from another"),
        "subject added": _altered(Subject="new"),
        "topic": _altered(TopicArn="arn:aws:sns:us-east-1:123456789012:other"),
        "topic that is not listed": _altered(TopicArn="arn:aws:sns:us-east-1:123456789012:third"),
        "time": _altered(Timestamp="2023-11-14T22:13:19Z"),
        "type": _altered(Type="UnsubscribeConfirmation"),
        "version": _altered(SignatureVersion="1"),
        "unknown version": _altered(SignatureVersion="3"),
        "signature": _altered(Signature=rsa_signature(b"another")),
        "signature of another key": _altered(Signature=rsa_signature(b"another", name="other")),
        "no signature": _without("Signature"),
        "no certificate": _without("SigningCertURL"),
    }

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        assert secret is None
        headers = {"content-type": asked.content_type}
        return SignedRequest(method="POST", query=asked.query, headers=headers, body=sealed(json.loads(asked.body)))

    def unproved(self, arrived: Request) -> Request:
        return msgspec.structs.replace(arrived, body=_body(CONFIRMATION))

    def arrived(self, envelope: Mapping[str, str], **over: str) -> Request:
        return msgspec.structs.replace(delivered(self.genuine()), body=sealed(envelope, **over))

    @pytest.mark.parametrize(
        "url",
        [
            "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com.evil.example/x.pem",
            "https://evilsns.us-east-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com@evil.example/x.pem",
            "https://user@sns.us-east-1.amazonaws.com/x.pem",
            "https://sns.us-east-1.amazonaws.com:444/x.pem",
            "https://sns.us-east-1.amazonaws.com/x.pem?y",
            "https://sns.us-east-1.amazonaws.com/x.pem\n",
            "https://sns.us-east-1.amazonaws.com/x.crt",
            "https://s3.amazonaws.com/bucket/x.pem",
            "https://sns.evil.amazonaws.com.co/x.pem",
            "https://SNS.us-east-1.amazonaws.com/x.pem",
            "https://sns.a.b.amazonaws.com/x.pem",
        ],
    )
    def test_a_certificate_of_another_host_is_refused_and_never_asked_for(self, url: str) -> None:
        """Providers, section 9.11."""
        assert reason(self.admit(self.source(), self.arrived(NOTIFICATION, SigningCertURL=url))) == (
            "signature_malformed"
        )

    @pytest.mark.parametrize(
        "moved",
        [
            {"Message": "paid", "MessageId": "2\nMessageId\n1"},
            {"Message": "paid", "MessageId": "2", "Subject": "s\nMessageId\n1"},
        ],
    )
    def test_lines_of_a_message_cannot_be_read_as_other_fields(self, moved: Mapping[str, str]) -> None:
        """Who writes a part of a message, and sees it signed, could else make another message of it."""
        plain = {name: value for name, value in NOTIFICATION.items() if name != "Subject"} | {"MessageId": "1"}
        subject = "\nSubject\ns" if "Subject" in moved else ""
        genuine = plain | {"Message": f"paid\nMessageId\n2{subject}"}
        forged = {**plain, **moved}
        assert canonical(forged) == canonical(genuine)

        assert isinstance(self.admit(self.source(), self.arrived(genuine)), Events)
        assert reason(self.admit(self.source(), self.arrived(forged))) == "signature_malformed"

    @pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
    def test_an_unknown_certificate_of_an_amazon_host_is_asked_for(self, region: str) -> None:
        china = ".cn" if region.startswith("cn-") else ""
        url = f"https://sns.{region}.amazonaws.com{china}/SimpleNotificationService-1.pem"
        source = self.source()

        admission = self.admit(source, self.arrived(NOTIFICATION, SigningCertURL=url))

        assert admission == NeedsKey(url)
        assert source.key_request is not None
        assert source.key_request(url).url == url

    def test_a_topic_that_is_not_listed_is_refused_before_a_certificate_is_asked_for(self) -> None:
        envelope = {**NOTIFICATION, "TopicArn": "arn:aws:sns:us-east-1:999999999999:test"}
        arrived = msgspec.structs.replace(self.arrived(envelope), keys={})

        assert reason(self.source().admit(arrived, NOW_US)) == "signature_mismatch"

    @pytest.mark.parametrize(
        "pem",
        [
            certificate("sns.evil.example"),
            certificate("sns.amazonaws.com.evil.example"),
            certificate("sns.amazonaws.com", days=1, at=NOW_US // SECOND - 86_400 * 9),
            b"",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ],
        ids=["another name", "a longer name", "expired", "empty", "broken"],
    )
    def test_a_certificate_that_is_no_good_proves_nothing(self, pem: bytes) -> None:
        arrived = msgspec.structs.replace(self.arrived(NOTIFICATION), keys={CERTIFICATE_URL: pem})

        assert self.source().admit(arrived, NOW_US) == NeedsKey(CERTIFICATE_URL)

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/?Action=ConfirmSubscription&Token=1",
            "https://sns.us-east-1.amazonaws.com.evil.example/?Action=ConfirmSubscription&Token=1",
            "https://sns.us-east-1.amazonaws.com/?Action=DeleteTopic&TopicArn=x",
            "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=1",
        ],
    )
    def test_no_other_address_is_ever_visited(self, url: str) -> None:
        admission = self.admit(self.source(), self.arrived({**CONFIRMATION, "SubscribeURL": url}))

        assert isinstance(admission, Events)

    def test_a_confirmation_of_a_topic_that_is_not_listed_is_refused(self) -> None:
        envelope = {**CONFIRMATION, "TopicArn": "arn:aws:sns:us-east-1:999999999999:test"}

        assert isinstance(self.admit(self.source(), self.arrived(envelope)), Rejected)
        assert isinstance(self.admit(self.source(), self.arrived(CONFIRMATION)), Handshake)

    def test_the_older_spelling_of_the_certificate_url_counts_too(self) -> None:
        arrived = self.arrived(NOTIFICATION, SigningCertURL="", SigningCertUrl=CERTIFICATE_URL)

        assert only(self.admit(self.source(), arrived)).type == "Notification"

    def test_values_are_signed_as_they_read_and_not_as_json_writes_them(self) -> None:
        """Providers, section 9.23."""
        for version in ("1", "2"):
            body = sealed({**NOTIFICATION, "SignatureVersion": version})
            escaped = json.dumps(json.loads(body), ensure_ascii=True).encode()
            plain = json.dumps(json.loads(body), ensure_ascii=False).encode()
            assert escaped != plain
            for text in (escaped, plain):
                arrived = msgspec.structs.replace(self.arrived(NOTIFICATION), body=text)
                assert only(self.admit(self.source(), arrived)).body == text

    def test_raw_delivery_is_refused(self) -> None:
        arrived = msgspec.structs.replace(
            self.arrived(NOTIFICATION), body=b"Hello", headers={b"x-amz-sns-rawdelivery": b"true"}
        )

        assert reason(self.admit(self.source(), arrived)) == "signature_missing"

    def test_a_copy_whose_unsigned_urls_were_changed_is_the_same_event(self) -> None:
        first = self.arrived({**NOTIFICATION, "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?1"})
        again = self.arrived({**NOTIFICATION, "UnsubscribeURL": "https://evil.example/"})

        keys = {event.dedupe_key for each in (first, again) for event in events(self.admit(self.source(), each))}

        assert len(keys) == 1

    def test_the_payload_is_unwrapped(self) -> None:
        event = only(self.admit(self.source(), self.arrived({**NOTIFICATION, "Message": SES_MESSAGE})))

        assert event.unwrap() == json.loads(SES_MESSAGE)
        assert event.json()["TopicArn"] == TOPIC

    def test_topics_are_needed(self) -> None:
        with pytest.raises(ValueError, match="topics"):
            self.source(values={})
        with pytest.raises(ValueError, match="topics"):
            self.source(values={"topics": ("*",)})
