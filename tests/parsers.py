"""Every reader of unverified bytes, as a function of bytes alone: what fuzzing and the tests of growth run.

A reader returns for any input, or raises one of `raises`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from gateway.cli.saved_request import SavedRequestError, parse
from gateway.core.admission import Request
from gateway.core.asymmetric import base64_bytes, certificate_key, der_of_raw
from gateway.core.decoders import multipart_fields, pubsub_json, sns_json, xml_json
from gateway.core.diagnosis import Suspect, diagnose
from gateway.core.expressions import Document, Expression, Scope, json_paths
from gateway.core.feeds import json_list
from gateway.core.forms import form_fields
from gateway.core.jwt import read_token, signed_by, time_refusal
from gateway.core.keysets import key_of
from gateway.core.paths import Skim, Split
from gateway.core.provider import Mac, Timestamp
from gateway.core.signing import checker
from gateway.core.source import Secret, SourceOptions
from gateway.core.times import to_micros
from gateway.core.tracing import traceparent
from gateway.core.verifying import Header, Stamps
from gateway.providers import PROVIDERS
from gateway.providers.pairing import field_of
from gateway.receive.clients import client_address, networks
from tests.admitting import NOW_US, URL
from tests.keys import ED25519, P256

MULTIPART = "multipart/form-data; boundary=x"


class Parser(NamedTuple):
    """A reader, and what it may raise. `hot`: it runs on every delivery, so it is fuzzed by coverage too."""

    call: Callable[[bytes], object]
    raises: tuple[type[Exception], ...] = ()
    hot: bool = False


def _entries(split: str, value: bytes) -> object:
    return Header("x-signature", split).entries({b"x-signature": value})


def _stamp(stamps: Stamps, value: bytes) -> object:
    found = stamps.read({b"x-time": value})
    return stamps.micros(found) if isinstance(found, bytes) else None


def _token(text: bytes) -> object:
    token = read_token(text)
    if token is None:
        return None
    assert token.audiences() is not None
    found = [token.seconds(name) for name in ("iat", "nbf", "exp")]
    return found, time_refusal(token, NOW_US), signed_by(token, "HS256", b"key")


def _keyset(document: bytes) -> object:
    # By a copy, for what was read of a document is remembered by its bytes.
    return key_of(bytes(bytearray(document)), "key-1")


def _matches(mac: Mac, key: str, candidate: bytes) -> bool:
    found = checker(mac, key)
    return found.matches((b"message",), [candidate]) or found.well_formed(candidate)


_TEXTS = ["json:id", "json:a[0].b | json:c['d.e']", "json:data.object.id + ':' + json:type", "form:id | query:id"]
_SKIM = Skim(json_paths(_TEXTS))
_EXPRESSIONS = [Expression(text, Scope(_SKIM, {}, frozenset(), signs_body=True, signs_query=True)) for text in _TEXTS]


def _document(form: bool, body: bytes) -> object:  # noqa: FBT001 - bound below
    document = Document(_SKIM, {}, body, form=form, query=body)
    return [expression.text(document) for expression in _EXPRESSIONS]


def _forwarded(value: bytes) -> object:
    return client_address("10.0.0.1", value, networks(["10.0.0.0/8"]))


_NAMES = {"github": b"x-hub-signature-256", "twilio": b"x-twilio-signature"}


def _diagnosed(provider: str, text: bytes) -> object:
    """Diagnose a delivery whose signature, host and body are that text."""
    options = SourceOptions(public_url=URL)
    secrets = (Secret("main", "a test secret"),)
    suspect = Suspect(provider=PROVIDERS[provider], name="test", secrets=secrets, options=options, others={})
    sent = Request(
        method="POST", query=text, headers={_NAMES[provider]: text, b"host": text, b"x-forwarded-host": text},
        repeated=frozenset(), body=text, received_us=NOW_US, delivery_id="test",
    )  # fmt: skip
    return diagnose(suspect, sent, NOW_US)


PARSERS: Mapping[str, Parser] = MappingProxyType(
    {
        "forms.form_fields": Parser(form_fields, hot=True),
        "verifying.Header of one entry": Parser(partial(_entries, ""), hot=True),
        "verifying.Header of a list": Parser(partial(_entries, ","), hot=True),
        "verifying.Header of several separators": Parser(partial(_entries, " ,;"), hot=True),
        **{
            f"verifying.Stamps in {unit}": Parser(partial(_stamp, Stamps(Timestamp(header="x-time", unit=unit), None)))
            for unit in ("s", "ms", "iso")
        },
        "verifying.Stamps in a list": Parser(
            partial(_stamp, Stamps(Timestamp(header="x-time", split=",", prefix="t="), None)), hot=True
        ),
        "times.to_micros": Parser(lambda text: to_micros(text.decode("latin-1"), "s")),
        "jwt.read_token": Parser(_token, hot=True),
        "keysets.key_of": Parser(_keyset),
        "asymmetric.certificate_key": Parser(lambda pem: certificate_key(pem, ".*", NOW_US)),
        "asymmetric.base64_bytes": Parser(base64_bytes),
        "asymmetric.der_of_raw": Parser(der_of_raw),
        "signing of Ed25519": Parser(partial(_matches, Mac(algorithm="ed25519", encoding="hex"), ED25519)),
        "signing of ECDSA": Parser(partial(_matches, Mac(algorithm="ecdsa-p256-sha256", encoding="base64"), P256)),
        "signing of HMAC": Parser(partial(_matches, Mac(encoding="base64url"), "key")),
        "decoders.xml_json": Parser(xml_json),
        "decoders.multipart_fields, the body": Parser(lambda body: multipart_fields(body, MULTIPART)),
        "decoders.multipart_fields, the type": Parser(
            lambda value: multipart_fields(b"--x--", "multipart/form-data" + value.decode("latin-1"))
        ),
        "decoders.sns_json": Parser(lambda body: sns_json(body, "")),
        "decoders.pubsub_json": Parser(lambda body: pubsub_json(body, "")),
        "paths.Skim": Parser(_SKIM.decode, raises=(ValueError,), hot=True),
        **{
            f"paths.Split of {place}": Parser(Split(place).elements, raises=(ValueError,), hot=True)
            for place in ("[*]", "events[*]", "entry[*].changes[*]", "lines")
        },
        "expressions of a body": Parser(partial(_document, False)),  # noqa: FBT003 - no form
        "expressions of a form": Parser(partial(_document, True)),  # noqa: FBT003 - a form
        "tracing.traceparent": Parser(traceparent),
        "clients.client_address": Parser(_forwarded),
        "pairing.field_of": Parser(lambda body: field_of(body, "id")),
        "feeds.json_list": Parser(json_list("hooks"), raises=(ValueError,)),
        "saved_request.parse": Parser(
            lambda text: parse(text, body=None, received_us=NOW_US), raises=(SavedRequestError,)
        ),
        "diagnosis of a body": Parser(partial(_diagnosed, "github")),
        "diagnosis of a URL": Parser(partial(_diagnosed, "twilio")),
        "msgspec of what we do not read": Parser(
            msgspec.json.Decoder(msgspec.Raw).decode, raises=(ValueError, RecursionError)
        ),
    }
)
