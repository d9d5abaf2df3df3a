"""Amazon SNS: selected fields of the envelope, signed with RSA under a certificate that the envelope names by URL."""

import re

import msgspec

from gateway.core.admission import Handshake, NeedsKey, Rejected, Request, Verified
from gateway.core.asymmetric import base64_bytes, certificate_key, verifies
from gateway.core.compile import FETCHED
from gateway.core.decoders import sns_json
from gateway.core.outgoing import Ask
from gateway.core.provider import Challenge, Example, MiB, Prover, Provider, Scheme, Setting, Shape, Terms, Timestamp
from gateway.core.source import Ack

# The host rule of the AWS SDKs; the whole URL must match.
_HOST = r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(\.cn)?"
_CERTIFICATE = re.compile(_HOST + r"/[A-Za-z0-9_-]{1,128}\.pem")
_CONFIRMATION = re.compile(_HOST + r"/\?Action=ConfirmSubscription&[A-Za-z0-9%._~:&=+-]{1,1024}")
_SUBJECT = r"sns(\.[a-z0-9-]{3,32})?\.amazonaws\.com(\.cn)?"
_DIGESTS = {"1": "sha1", "2": "sha256"}


class _Envelope(msgspec.Struct, gc=False):
    """What is signed, and what proves it."""

    Type: str
    MessageId: str
    TopicArn: str
    Message: str
    Timestamp: str
    SignatureVersion: str
    Signature: str
    Subject: str | None = None
    Token: str = ""
    SubscribeURL: str = ""
    SigningCertURL: str = ""
    SigningCertUrl: str = ""


_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION_FIELDS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION_FIELDS,
    "UnsubscribeConfirmation": _CONFIRMATION_FIELDS,
}
_envelopes = msgspec.json.Decoder(_Envelope)


def _envelope(body: bytes) -> _Envelope | None:
    try:
        return _envelopes.decode(body)
    except (ValueError, RecursionError):
        return None


def _canonical(envelope: _Envelope) -> bytes:
    """Return the signed lines: each name and its decoded value, in the order of the names."""
    fields = ((name, getattr(envelope, name)) for name in _SIGNED[envelope.Type])
    lines = [f"{name}\n{value}\n" for name, value in fields if value is not None]
    return "".join(lines).encode("utf-8", "surrogatepass")


def _is_plain(envelope: _Envelope) -> bool:
    """Return whether no field but the message has several lines, so that the signed lines have one reading."""
    fields = (getattr(envelope, name) for name in _SIGNED[envelope.Type] if name != "Message")
    return not any("\n" in value for value in fields if value is not None)


def _prover(terms: Terms) -> Prover:
    topics = frozenset(terms.values.get("topics", ()))

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:
        envelope = _envelope(request.body)
        if envelope is None or envelope.Type not in _SIGNED:
            return Rejected("signature_missing")
        signature = base64_bytes(envelope.Signature.encode("utf-8", "replace"))
        digest = _DIGESTS.get(envelope.SignatureVersion)
        url = envelope.SigningCertURL or envelope.SigningCertUrl
        if signature is None or digest is None or _CERTIFICATE.fullmatch(url) is None or not _is_plain(envelope):
            return Rejected("signature_malformed")
        if envelope.TopicArn not in topics:
            return Rejected("signature_mismatch")
        certificate = request.keys.get(url)
        key = None if certificate is None else certificate_key(certificate, _SUBJECT, now_us)
        if key is None:
            return NeedsKey(url)
        genuine = verifies(key, _canonical(envelope), signature, digest=digest)
        return Verified(FETCHED, None) if genuine else Rejected("signature_mismatch")

    return prove


def _confirm(request: Request, _terms: Terms) -> Handshake | None:
    envelope = _envelope(request.body)
    if envelope is None or _CONFIRMATION.fullmatch(envelope.SubscribeURL) is None:
        return None
    return Handshake(Ack(), visit=envelope.SubscribeURL)


def _certificate_request(ref: str, _terms: Terms) -> Ask:
    return Ask(url=ref, max_bytes=64 * 1024)


def _example(fields: str) -> Example:
    return Example(
        '{"Type": "Notification", "MessageId": "$id", "TopicArn": "arn:aws:sns:us-east-1:123456789012:test", '
        + fields + ', "Timestamp": "$time", "SignatureVersion": "2"}',
        "text/plain; charset=UTF-8",
    )  # fmt: skip


AWS_SNS = Provider(
    name="aws_sns",
    title="Amazon SNS",
    category="cloud",
    schemes=(
        Scheme(
            prover=_prover,
            covers=("body",),
            # The time of publishing, the same on each retry: those come within an hour.
            timestamp=Timestamp(
                json="envelope.Timestamp", unit="iso", past=3_900.0, future=300.0, refreshed_on_retry=False
            ),
        ),
    ),
    shapes=(
        Shape(
            id="json:envelope.MessageId",
            # S3, SES and EventBridge name the event in the message; of all else the envelope's type is known.
            type="json:payload.Records[0].eventName | json:payload.notificationType | json:payload.eventType | "
            "json:payload.detail-type | json:payload.type | json:envelope.Type",
            time="json:envelope.Timestamp",
            key="json:payload.Records[0].s3.bucket.name + '/' + json:payload.Records[0].s3.object.key | "
            "json:payload.mail.messageId | json:payload.AlarmArn",
        ),
    ),
    key_hint="none: Amazon signs with certificates that are fetched",
    secrets="none",
    settings={
        "topics": Setting(
            hint="the ARNs of the topics that may send here, such as arn:aws:sns:eu-west-1:123456789012:orders",
            many=True,
            pattern=r"arn:aws[a-z-]{0,16}:sns:[a-z0-9-]{3,32}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}",
        ),
    },
    key_request=_certificate_request,
    decode=sns_json,
    # The envelope holds URLs that nothing signs: with another one it is still the same message.
    body_varies=True,
    challenges=(Challenge(when="json:envelope.Type", equals="SubscriptionConfirmation", reply=_confirm),),
    timeout=15.0,
    retry_horizon=3_600.0,
    max_body=MiB,
    keep_headers=("x-amz-sns-topic-arn", "x-amz-sns-subscription-arn", "x-amz-sns-message-type"),
    sends={"x-amz-sns-message-type": "Notification", "user-agent": "Amazon Simple Notification Service Agent"},
    examples={
        "Notification": _example('"Message": "Hello from a topic"'),
        "ObjectCreated:Put": _example(
            '"Subject": "Amazon S3 Notification", "Message": "{\\"Records\\": [{\\"eventName\\": '
            '\\"ObjectCreated:Put\\", \\"s3\\": {\\"bucket\\": {\\"name\\": \\"test\\"}, '
            '\\"object\\": {\\"key\\": \\"report.csv\\"}}}]}"'
        ),
    },
    setup=(
        "List the topic's ARN under settings.topics, then start the gateway.",
        "Subscribe the source's HTTPS URL to the topic, with raw message delivery off.",
        "The confirmation is visited by itself; request it again if the gateway was not running.",
        "Set the topic's SignatureVersion to 2, so that SHA-256 and not SHA-1 is signed.",
    ),
    traps=(
        "Raw message delivery sends the message without envelope and signature: it is refused.",
        "The message stands in the envelope as a text, often JSON in JSON: read it by event.unwrap().",
        "The time signed is that of publishing: over 65 minutes later it is refused; raise tolerance if need be.",
        "A refusal (4xx) is final for SNS: give the subscription a dead-letter queue.",
        "UnsubscribeConfirmation is stored as an event: nobody subscribes again by itself.",
        "Content-Type is text/plain although the body is JSON.",
    ),
    docs="https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
)
