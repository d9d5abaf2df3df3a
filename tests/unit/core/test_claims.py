"""What schemes can say beside one header over one message: claims with alternatives, selected fields, bare lists."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.core.admission import Events, RefusedReason, Rejected, Request
from gateway.core.compile import compile_source
from gateway.core.provider import Claim, ClaimsRule, Mac, Provider, Scheme, Shape, Terms, Timestamp
from gateway.core.source import Secret, SignRequest, Source
from tests.admitting import NOW, NOW_US, request

BODY = b'{"id": "e1", "signed": "a", "unsigned": "b"}'


def _mark(message: bytes, secret: str = "secret") -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _provider(scheme: Scheme, **over: Any) -> Provider:
    drafted = Provider(
        name="acme", title="Acme", category="other", schemes=(scheme,), shapes=(Shape(id="json:id"),), key_hint="it"
    )
    return replace(drafted, **over)


def _source(provider: Provider, *secrets: str) -> Source:
    placed = tuple(Secret(f"s{at}", text) for at, text in enumerate(secrets or ("secret",)))
    return compile_source(provider, name="test", secrets=placed)


def _claiming(*claims: Claim) -> Source:
    def rule(_terms: Terms) -> ClaimsRule:
        def found(_request: Request) -> Sequence[Claim] | RefusedReason:
            return claims

        return found

    return _source(_provider(Scheme(macs=(Mac(),), claims=rule)), "another", "secret")


def _claim(message: bytes, *either: bytes, signs: bytes | None = None) -> Claim:
    mark = _mark(message if signs is None else signs).encode()
    return Claim((message,), (mark,), either=tuple((text,) for text in either))


@pytest.mark.parametrize("signs", [b"one", b"two", b"three"])
def test_a_claim_may_be_signed_in_either_form(signs: bytes) -> None:
    admission = _claiming(_claim(b"one", b"two", b"three", signs=signs)).admit(request(BODY), NOW_US)

    assert isinstance(admission, Events)
    assert admission.secret == "s1"


def test_every_claim_must_hold_in_one_of_its_forms() -> None:
    admission = _claiming(_claim(b"one"), _claim(b"two", b"three", signs=b"four")).admit(request(BODY), NOW_US)

    assert admission == Rejected("signature_mismatch")


def test_an_id_of_selected_fields_is_signed_and_one_of_others_is_not() -> None:
    def rule(_terms: Terms) -> ClaimsRule:
        return lambda _: (_claim(b"one"),)

    scheme = Scheme(macs=(Mac(),), claims=rule, covers=("json:signed", "json:nested.field"))
    signed, mixed, other = (
        _source(_provider(scheme, shapes=(Shape(id=text),), body_varies=True))
        for text in ("json:signed", "json:signed + json:unsigned", "json:unsigned")
    )

    assert [found.id_is_signed for found in (signed, mixed, other)] == [True, False, False]
    keys = [
        admission.events[0].dedupe_key
        for body in (BODY, BODY.replace(b'"b"', b'"c"'))
        if isinstance(admission := signed.admit(request(body), NOW_US), Events)
    ]
    assert keys[0] == keys[1]


LIST = Scheme(
    header="x-sign", split=",", message=("timestamp", ".", "body"), macs=(Mac(),),
    timestamp=Timestamp(header="x-sign", split=","),
)  # fmt: skip


@pytest.mark.parametrize(
    "value, reason",
    [
        ("{t},{s}", None),
        ("{t}, {s}", None),
        ("{t},00,{s}", None),
        ("{s},{t}", "timestamp_malformed"),
        ("{t}", "signature_malformed"),
        ("", "signature_missing"),
        (",{t},{s}", "timestamp_malformed"),
    ],
)
def test_a_time_without_a_prefix_is_the_first_of_a_list(value: str, reason: str | None) -> None:
    header = value.format(t=NOW, s=_mark(f"{NOW}.".encode() + BODY))

    admission = _source(_provider(LIST)).admit(request(BODY, {"x-sign": header}), NOW_US)

    assert getattr(admission, "reason", None) == reason


def test_a_test_delivery_begins_with_the_time() -> None:
    target = _source(_provider(LIST))
    assert target.sign is not None
    sent = target.sign(SignRequest(body=BODY, now_us=NOW_US, event_id="e", event_type="t"))

    assert sent.headers["x-sign"].startswith(f"{NOW},")


@pytest.mark.parametrize("repeats", [True, False])
def test_a_header_that_comes_twice_is_taken_only_where_the_provider_sends_it_so(*, repeats: bool) -> None:
    scheme = Scheme(header="x-sign", split=",", repeats=repeats, macs=(Mac(prefix="v1="),))
    arrived = request(BODY, {"x-sign": f"v1=00, v1={_mark(BODY)}"}, repeated=("x-sign",))

    admission = _source(_provider(scheme)).admit(arrived, NOW_US)

    assert isinstance(admission, Events) is repeats
    assert getattr(admission, "reason", "signature_repeated") == "signature_repeated"


def test_a_time_in_a_header_of_its_own_may_never_come_twice() -> None:
    scheme = Scheme(
        header="x-sign", split=",", repeats=True, message=("timestamp", "body"), macs=(Mac(),),
        timestamp=Timestamp(header="x-time"),
    )  # fmt: skip
    headers = {"x-sign": _mark(str(NOW).encode() + BODY), "x-time": str(NOW)}

    admission = _source(_provider(scheme)).admit(request(BODY, headers, repeated=("x-time",)), NOW_US)

    assert admission == Rejected("signature_repeated")
