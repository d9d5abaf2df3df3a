"""Readers of unverified bytes: whatever comes, they return; and twice the input is twice the work, not four times."""

import contextlib
from collections.abc import Callable
from time import process_time

import msgspec
import pytest
from hypothesis import given, settings

from tests.admitting import delivered
from tests.catalogue import shapes
from tests.hostile import ANY_BODY, ANY_HEADER, BODIES, EVERY_TOKEN, GROWING, HEADER_VALUES
from tests.parsers import PARSERS

# Eight times the input may cost this many times the time: linear work costs 8, quadratic 64.
TIMES, GROWTH = 8, 32
SMALL = 16 * 2**10


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=40, deadline=None)
@given(text=ANY_BODY | ANY_HEADER)
def test_a_reader_returns_whatever_it_is_given(name: str, text: bytes) -> None:
    parser = PARSERS[name]

    with contextlib.suppress(*parser.raises):
        parser.call(text)


@pytest.mark.parametrize("name", PARSERS)
def test_a_reader_survives_what_has_broken_others(name: str) -> None:
    parser = PARSERS[name]

    tokens = EVERY_TOKEN if name.startswith("jwt") else ()
    for text in (*BODIES, *HEADER_VALUES, *tokens, *(made(SMALL) for made in GROWING.values())):
        with contextlib.suppress(*parser.raises):
            parser.call(text)


@pytest.mark.parametrize("name", PARSERS)
def test_no_reader_takes_more_than_linear_time(name: str) -> None:
    parser = PARSERS[name]

    def read(text: bytes) -> None:
        with contextlib.suppress(*parser.raises):
            parser.call(text)

    for shape, made in GROWING.items():
        assert grows(read, made) < GROWTH, shape


@pytest.mark.parametrize("name", shapes())
def test_no_provider_takes_more_than_linear_time(name: str) -> None:
    """Of what is genuinely signed, as far as such a body can be, and of what is not."""
    shape = shapes()[name]
    target, genuine = shape.source(), delivered(shape.genuine())
    kind = shape.example().content_type

    for made in map(GROWING.__getitem__, TELLING):
        signed = {}
        for size in (SMALL, SMALL * TIMES):
            with contextlib.suppress(ValueError, AttributeError, LookupError, RecursionError):  # it cannot be signed
                signed[made(size)] = delivered(shape.sign(shape.asking(made(size), kind)))

        def admit(body: bytes, signed=signed) -> None:
            sent = signed.get(body) or msgspec.structs.replace(genuine, body=body)
            target.admit(msgspec.structs.replace(sent, keys=shape.keys), shape.at_us)

        assert grows(admit, made) < GROWTH


TELLING = (
    "nested arrays", "many elements", "many fields", "escapes", "many numbers", "ampersands", "few fields", "percents",
    "text beside tags", "parts of a form", "not ASCII", "json lines",
)  # fmt: skip


def grows(read: Callable[[bytes], object], made: Callable[[int], bytes]) -> float:
    """Return how many times longer eight times the input takes; the least of several tries, for noise only adds."""
    ratio = float("inf")
    for _ in range(5):
        ratio = min(ratio, best(read, made(SMALL * TIMES)) / best(read, made(SMALL)))
        if ratio < GROWTH:
            break
    return ratio


def best(read: Callable[[bytes], object], text: bytes) -> float:
    """Return the CPU time of one call, of several the least, and no less than the clock can tell."""
    taken = [1e-5]
    for _ in range(3):
        began = process_time()
        read(text)
        taken.append(process_time() - began)
    return max(min(taken[1:]), taken[0])
