"""What senders with bad intentions put in requests, for tests of everything that reads unverified bytes."""

import base64
import json
from collections.abc import Callable, Mapping

from hypothesis import strategies as st

JSON_VALUES = (
    "null", "true", "-0", "1e308", "-1e308", "1e400", "9" * 400, "9" * 4300, "-" + "9" * 4300, "1.5", '""', '"x"',
    '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', "[]", "{}", "[[]]", "[null]", '"' + "é" * 300 + '"',
    "253402300800", "9007199254740993", "NaN", '"1700000000"',
)  # fmt: skip
"""JSON values that have tripped readers: numbers that overflow, halves of surrogates, the wrong kind."""

HEADER_VALUES = (
    b"", b"\x00", b"\xff\xfe", b" ", b",", b"=", b"t=", b"t=1,v1=a", b"t=1,t=2,v1=a", b"v1,", b"v1", b"v1=", b"v0=",
    b"v1a,AAAA", b"sha256=" + b"0" * 64, b"sha256=" + b"\xff" * 64, b"1700000000", b"-1", b"1e9", b"9" * 400,
    b"\xb2\xb3", "\u0663".encode(), b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59.999999999-23:59",
    b"2024-13-40T99:99:99Z", b"," * 50, b"=" * 50, b" " * 50, b";" * 9000, b"a" * 9000, b"v1=a," * 33, b"Bearer ",
    b"bearer a.b.c", b"Basic ", b"Basic ====", b"HMAC x", b"..", b"a.b.c", b"e30.e30.", b"key=k,algorithm=HMAC_SHA256",
    b"algorithm=", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"application/xml",
    b"multipart/form-data; boundary=" + b"x" * 71, b"content-type,content-type", b"1", b"0", b"HmacSHA256",
    b"SHA256withRSA", b"https://evil.example/x.pem", b"http://[", b"https://api.paypal.com/v1/notifications/certs/x",
)  # fmt: skip
"""Header values: what lists, stamps, tokens and media types look like when they are broken."""

BODIES = (
    b"", b"\x00", b"\xff", b"null", b"[]", b"{}", b"[[]]", b'"x"', b"1", b"[" * 3000, b'{"a":' * 3000, b"[null]",
    b'{"type": "url_verification"}', b'{"type": "url_verification", "challenge": 1}', b"ssl_check=1", b"payload=%7B",
    b"payload=%ff", b"payload", b"&" * 2000, b"%", b"a=%zz&%=b", b"\xef\xbb\xbf{}", b"{} {}", b"1" * 5000,
    b"<a>" * 100, b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>\xff</a>", b"--x", b"--x--",
    b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
    b'--x\r\ncontent-disposition: form-data; name="\xff"\r\n\r\n\xff\r\n--x--',
)  # fmt: skip

NAMES = (
    "id", "type", "event", "data", "object", "event_id", "created", "events", "payload", "at", "Type", "Message",
    "MessageId", "TopicArn", "Timestamp", "SignatureVersion", "Signature", "SigningCertURL", "SubscribeURL", "token",
    "timestamp", "signature", "value", "clientState", "validationTokens", "encryptedContent", "message", "attributes",
    "subscription", "notificationItems", "NotificationRequestItem", "additionalData", "hmacSignature", "amount",
    "entry", "changes", "messaging", "challenge", "verification_token", "plainToken", "webhookTimestamp", "alerts",
)  # fmt: skip
"""Names that providers' bodies are read by."""

TREES = st.recursive(
    st.sampled_from(JSON_VALUES) | st.integers().map(str) | st.text(max_size=9).map(json.dumps),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4).map(
            lambda fields: "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"
        )
    ),
    max_leaves=9,
).map(lambda text: text.encode("utf-8", "surrogatepass"))

_FORMS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=20)), max_size=6).map(
    lambda pairs: b"&".join(name.encode() + b"=" + value for name, value in pairs)
)
ANY_BODY = st.binary(max_size=200) | st.sampled_from(BODIES) | TREES | _FORMS


def _url64(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _token(parts: tuple[Mapping[str, str], Mapping[str, str], bytes]) -> bytes:
    """Write a token of JWS whose header and claims are given as texts of JSON."""
    header, claims, signature = parts
    texts = ("{" + ",".join(f'"{name}":{value}' for name, value in part.items()) + "}" for part in (header, claims))
    return b".".join((*(_url64(text.encode("utf-8", "surrogatepass")) for text in texts), _url64(signature)))


_VALUES = st.sampled_from(JSON_VALUES)
_HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(['"HS256"', '"HS512"', '"RS256"', '"ES256"', '"none"', "1", "null"])},
    optional={"kid": _VALUES | st.just('"key-1"'), "crit": _VALUES},
)
_CLAIMS = st.dictionaries(
    st.sampled_from(("iat", "exp", "nbf", "aud", "iss", "azp", "tid", "email", "payload_hash", "sha256")), _VALUES
)
TOKENS = st.tuples(_HEADERS, _CLAIMS, st.binary(max_size=70) | st.just(b"\x00" * 64)).map(_token)
ANY_HEADER = (
    st.sampled_from(HEADER_VALUES) | st.binary(max_size=60) | TOKENS | TOKENS.map(lambda token: b"Bearer " + token)
)

_ALGORITHMS = ('"HS256"', '"RS256"', '"ES256"')
_TIMES_AND_DIGESTS = ("iat", "exp", "nbf", "aud", "iss", "payload_hash", "url_hash", "sha256", "request_body_sha256")
EVERY_TOKEN = tuple(
    _token(({"alg": algorithm, "kid": '"key-1"'}, {name: value}, b"\x00" * 64))
    for algorithm in _ALGORITHMS
    for name in _TIMES_AND_DIGESTS
    for value in JSON_VALUES
)
"""A token for each claim that is read and each value that it could not be."""

GROWING: Mapping[str, Callable[[int], bytes]] = {
    "nested arrays": lambda n: b"[" * n,
    "closed arrays": lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    "nested objects": lambda n: b'{"a":' * (n // 5),
    "many elements": lambda n: b"[" + b"{}," * (n // 3) + b"{}]",
    "many fields": lambda n: b"{" + b'"id":1,' * (n // 7) + b'"id":1}',
    "escapes": lambda n: b'{"id":"' + b"\\u00e9" * (n // 6) + b'"}',
    "backslashes": lambda n: b'{"id":"' + b"\\\\" * (n // 2),
    "digits": lambda n: b'{"id":' + b"9" * n + b"}",
    "many numbers": lambda n: b"[" + b"9" * 300 + (b"," + b"9" * 300) * (n // 301) + b"]",
    "blanks": lambda n: b" " * n,
    "ampersands": lambda n: b"&" * n,
    "few fields": lambda n: b"payload=" + b"%5B" * (n // 3),
    "pluses": lambda n: b"id=" + b"+" * n,
    "percents": lambda n: b"id=" + b"%" * n,
    "equals": lambda n: b"=" * n,
    "commas": lambda n: b"," * n,
    "dots": lambda n: b"." * n,
    "lines": lambda n: b"\n" * n,
    "json lines": lambda n: b"{}\n" * (n // 3),
    "tags": lambda n: b"<a>" * (n // 3),
    "siblings": lambda n: b"<a>" + b"<b/>" * (n // 4) + b"</a>",
    "text beside tags": lambda n: b"<a>" + b"x<b/>" * (n // 5) + b"</a>",
    "attributes": lambda n: b"<a " + b"".join(b"b%d='' " % i for i in range(n // 9)) + b"/>",
    "references": lambda n: b"<a>" + b"&#65;" * (n // 5) + b"</a>",
    "boundaries": lambda n: b"--x\r\n" * (n // 5) + b"--x--",
    "parts of a form": lambda n: b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n' * (n // 51) + b"--x--",
    "a long head": lambda n: b"--x\r\ncontent-disposition: form-data" + b"; name=" * (n // 7) + b"\r\n\r\n\r\n--x--",
    "one byte": lambda n: b"\xff" * n,
    "not ASCII": lambda n: "\u00e9".encode() * (n // 2),
    "letters": lambda n: b"a" * n,
}
"""Inputs of about n bytes that take the most work from a reader that goes back over what it has read."""
