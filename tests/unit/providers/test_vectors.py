"""Published and recomputed requests: what each provider's documentation or SDK shows must be admitted, and no other."""

from typing import Any

import msgspec
import pytest

from gateway.core.admission import Rejected, Request
from gateway.core.source import Source
from gateway.providers import PROVIDERS
from tests.admitting import NOW, SECOND, custom, source, vector_request, vector_secret, vectors

BUILT_IN = vectors("providers")
CUSTOM = vectors("custom")


def _target(vector: dict[str, Any], secret: str | None = None) -> Source:
    provider = custom(vector["scheme"]) if "scheme" in vector else vector["provider"]
    options: dict[str, Any] = {"public_url": vector["url"].partition("?")[0]}
    if "settings" in vector:
        options["values"] = {name: tuple(texts) for name, texts in vector["settings"].items()}
    if isinstance(provider, str) and PROVIDERS[provider].secrets == "none":
        return source(provider, **options)
    return source(provider, secret or vector_secret(vector), **options)


def _now_us(vector: dict[str, Any]) -> int:
    return int(vector.get("now") or _signed_at(vector) or NOW) * SECOND


def _signed_at(vector: dict[str, Any]) -> int | None:
    named = (value for name, value in vector["headers"].items() if "timestamp" in name.lower())
    return next((int(value) for value in named if value.isdigit()), None)


def _altered(request: Request) -> Request:
    changed = bytearray(request.body)
    changed[len(changed) // 2] ^= 1
    return msgspec.structs.replace(request, body=bytes(changed))


# Challenges that come before there is anything to sign with.
UNSIGNED = (
    "dropbox-generated-challenge",
    "asana-generated-handshake",
    "braintree-challenge",
    "cloudevents-generated-options",
    "meta-generated-challenge",
    "microsoft_graph-generated-validation",
    "okta-generated-challenge",
    "x-crc",
)


def _valid(*, besides: tuple[str, ...]) -> list[dict[str, Any]]:
    besides += UNSIGNED
    return [vector for vector in BUILT_IN + CUSTOM if vector["valid"] and not vector["id"].startswith(besides)]


@pytest.mark.parametrize("vector", BUILT_IN + CUSTOM, ids=lambda vector: vector["id"])
def test_a_vector_is_admitted_exactly_if_it_is_valid(vector) -> None:
    target = _target(vector)

    admission = target.admit(vector_request(vector), _now_us(vector))

    assert isinstance(admission, Rejected) is not vector["valid"], admission


@pytest.mark.parametrize(
    "vector",
    # Nothing signs these bodies.
    _valid(
        besides=(
            "gitlab-generated-token",
            "telegram",
            "chargebee",
            "mailgun",
            "google_pubsub",
            "azure_event_grid",
            "dropbox_sign",
        )
    ),
    ids=lambda vector: vector["id"],
)
def test_a_vector_with_one_bit_of_its_body_flipped_is_refused(vector) -> None:
    target = _target(vector)

    admission = target.admit(_altered(vector_request(vector)), _now_us(vector))

    assert isinstance(admission, Rejected)


@pytest.mark.parametrize(
    "vector",
    # Another text is seldom a point of the curve, and some have no secret at all.
    _valid(besides=("discord", "telnyx", "sendgrid", "paypal", "plaid", "aws_sns", "google_pubsub")),
    ids=lambda vector: vector["id"],
)
def test_a_vector_is_refused_under_another_secret(vector) -> None:
    text = vector_secret(vector)
    other = text[:-5] + ("00000" if text[-5:] != "00000" else "11111")
    target = _target(vector, other)

    admission = target.admit(vector_request(vector), _now_us(vector))

    assert isinstance(admission, Rejected)
