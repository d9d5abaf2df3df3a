"""Key sets and the tokens that their keys sign: what is refused, and when a newer set is asked for."""

import json
from typing import Any

import jwt
import pytest

from gateway.core.admission import NeedsKey, Rejected, Request
from gateway.core.jwt import Token
from gateway.core.keysets import bearer_token, checked, key_of
from tests.admitting import NOW, NOW_US, request
from tests.provider_keys import KID, keyset, rsa_key, token

REF = "https://issuer.example/keys"
CLAIMS = {"aud": "us", "exp": NOW + 60}


def _unsigned() -> str:
    nobody: Any = None
    return jwt.encode(CLAIMS, nobody, algorithm="none", headers={"kid": KID})


def _checked(text: str, keys: bytes | None = None, at_us: int = NOW_US) -> object:
    sent = request()
    held = {REF: keyset() if keys is None else keys}
    whole = Request(**{name: getattr(sent, name) for name in sent.__struct_fields__ if name != "keys"}, keys=held)
    return checked(text.encode(), whole, REF, at_us, lambda token: "us" in token.audiences())


def test_a_token_of_a_key_of_the_set_is_returned() -> None:
    found = _checked(token(CLAIMS))

    assert isinstance(found, Token)
    assert found.claims == CLAIMS


@pytest.mark.parametrize(
    "text, found",
    [
        ("a.b", Rejected("signature_malformed")),
        ("", Rejected("signature_malformed")),
        (token({**CLAIMS, "aud": "others"}), Rejected("signature_mismatch")),
        (token(CLAIMS, name="other"), Rejected("signature_mismatch")),
        (token(CLAIMS, kid="key-2"), NeedsKey(REF)),
        (token({"aud": "us"}), Rejected("timestamp_missing")),
        (token({"aud": "us", "exp": NOW - 61}), Rejected("timestamp_stale")),
        (token({**CLAIMS, "nbf": NOW + 61}), Rejected("timestamp_future")),
        (_unsigned(), Rejected("signature_mismatch")),
        (jwt.encode(CLAIMS, b"k" * 32, algorithm="HS256", headers={"kid": KID}), Rejected("signature_mismatch")),
        (
            jwt.encode(CLAIMS, b"k" * 32, algorithm="HS256", headers={"kid": "key-2"}),
            Rejected("signature_mismatch"),
        ),
        (jwt.encode(CLAIMS, rsa_key("provider"), algorithm="RS512", headers={"kid": KID}),
         Rejected("signature_mismatch")),
        (jwt.encode(CLAIMS, rsa_key("provider"), algorithm="RS256"), NeedsKey(REF)),
    ],
)  # fmt: skip
def test_any_other_token_is_refused_or_asks_for_a_newer_set(text: str, found: object) -> None:
    assert _checked(text) == found


def test_a_set_that_is_not_here_is_asked_for() -> None:
    sent = request()

    assert checked(token(CLAIMS).encode(), sent, REF, NOW_US, lambda _: True) == NeedsKey(REF)


@pytest.mark.parametrize(
    "document",
    [b"", b"x", b"[]", b'{"keys": {}}', b'{"keys": [[], {}, {"kid": 1}, {"kid": "key-1", "kty": "RSA", "n": "!"}]}'],
)
def test_a_document_that_is_no_key_set_holds_no_key(document: bytes) -> None:
    assert key_of(document, KID) is None


def test_a_set_holds_as_many_keys_as_an_issuer_has_and_no_more() -> None:
    (jwk,) = json.loads(keyset())["keys"]
    many = json.dumps({"keys": [{"kid": str(number)} for number in range(127)] + [jwk, {**jwk, "kid": "late"}]})

    assert key_of(many.encode(), KID) is not None
    assert key_of(many.encode(), "late") is None


@pytest.mark.parametrize(
    "named, issuer, found",
    [
        ("https://login.example/9188040d/v2.0", "https://login.example/9188040d/v2.0", True),
        ("https://login.example/9188040d/v2.0", "https://login.example/84bd8158/v2.0", False),
        ("https://login.example/9188040d/v2.0", "", False),
        ("https://login.example/{tenantid}/v2.0", "https://login.example/84bd8158/v2.0", True),
        ("", "https://login.example/84bd8158/v2.0", True),
        (None, "https://login.example/84bd8158/v2.0", True),
        (7, "https://login.example/84bd8158/v2.0", False),
    ],
)
def test_a_key_for_one_issuer_signs_for_no_other(named: object, issuer: str, found: object) -> None:
    (jwk,) = json.loads(keyset())["keys"]
    document = json.dumps({"keys": [{**jwk, "issuer": named}]}).encode()

    assert (key_of(document, KID, issuer) is not None) is found
    answer = _checked(token({**CLAIMS, "iss": issuer}), document)
    assert isinstance(answer, Token) if found else answer == NeedsKey(REF)


@pytest.mark.parametrize("kid", [None, 1, ["key-1"], "other"])
def test_a_key_is_known_by_the_text_of_its_id(kid: object) -> None:
    assert key_of(keyset(), kid) is None


@pytest.mark.parametrize(
    "headers, found",
    [
        ({"authorization": "Bearer a.b.c"}, b"a.b.c"),
        ({"authorization": "bearer  a.b.c "}, b"a.b.c"),
        ({"authorization": "Basic a"}, Rejected("signature_malformed")),
        ({"authorization": "Bearer "}, Rejected("signature_missing")),
        ({}, Rejected("signature_missing")),
    ],
)
def test_a_bearer_token_is_read(headers: dict[str, str], found: object) -> None:
    assert bearer_token(request(headers=headers)) == found


def test_a_repeated_header_is_refused() -> None:
    sent = request(headers={"authorization": "Bearer a"}, repeated=("authorization",))

    assert bearer_token(sent) == Rejected("signature_repeated")
