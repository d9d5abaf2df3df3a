"""Published and recomputed requests: what each provider's documentation or SDK shows must be admitted, and no other."""

from typing import Any

import msgspec
import pytest

from gateway.core.admission import Rejected, Request
from gateway.core.source import Source
from tests.admitting import NOW, SECOND, custom, source, vector_request, vector_secret, vectors

BUILT_IN = vectors("providers")
CUSTOM = vectors("custom")


def _target(vector: dict[str, Any], **options: Any) -> Source:
    provider = custom(vector["scheme"]) if "scheme" in vector else vector["provider"]
    return source(provider, vector_secret(vector), public_url=vector["url"].partition("?")[0], **options)


def _now_us(vector: dict[str, Any]) -> int:
    return int(vector.get("now") or _signed_at(vector) or NOW) * SECOND


def _signed_at(vector: dict[str, Any]) -> int | None:
    named = (value for name, value in vector["headers"].items() if "timestamp" in name.lower())
    return next((int(value) for value in named if value.isdigit()), None)


def _altered(request: Request) -> Request:
    changed = bytearray(request.body)
    changed[len(changed) // 2] ^= 1
    return msgspec.structs.replace(request, body=bytes(changed))


def _valid(*, besides: tuple[str, ...]) -> list[dict[str, Any]]:
    return [vector for vector in BUILT_IN + CUSTOM if vector["valid"] and not vector["id"].startswith(besides)]


@pytest.mark.parametrize("vector", BUILT_IN + CUSTOM, ids=lambda vector: vector["id"])
def test_a_vector_is_admitted_exactly_if_it_is_valid(vector) -> None:
    target = _target(vector)

    admission = target.admit(vector_request(vector), _now_us(vector))

    assert isinstance(admission, Rejected) is not vector["valid"], admission


@pytest.mark.parametrize(
    "vector",
    _valid(besides=("gitlab-generated-token", "telegram", "chargebee")),  # tokens sign nothing
    ids=lambda vector: vector["id"],
)
def test_a_vector_with_one_bit_of_its_body_flipped_is_refused(vector) -> None:
    target = _target(vector)

    admission = target.admit(_altered(vector_request(vector)), _now_us(vector))

    assert isinstance(admission, Rejected)


@pytest.mark.parametrize(
    "vector",
    _valid(besides=("discord", "telnyx")),  # another text is seldom a point of the curve
    ids=lambda vector: vector["id"],
)
def test_a_vector_is_refused_under_another_secret(vector) -> None:
    text = vector_secret(vector)
    other = text[:-5] + ("00000" if text[-5:] != "00000" else "11111")
    provider = custom(vector["scheme"]) if "scheme" in vector else vector["provider"]
    target = source(provider, other, public_url=vector["url"].partition("?")[0])

    admission = target.admit(vector_request(vector), _now_us(vector))

    assert isinstance(admission, Rejected)
