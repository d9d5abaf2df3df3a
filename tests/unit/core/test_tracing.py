"""The trace context of a delivery: kept where it is one, and never trusted further."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tracing import traceparent
from tests.admitting import admitted, only

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "header, kept",
    [
        pytest.param(TRACE, TRACE, id="of the present version"),
        pytest.param("cc" + TRACE[2:], "cc" + TRACE[2:], id="of a later version"),
        pytest.param("cc" + TRACE[2:] + "-what-the-future-holds", "cc" + TRACE[2:], id="of a later version, longer"),
        pytest.param("cc" + TRACE[2:] + ".what", None, id="of a later version, with something else behind"),
        pytest.param(TRACE + "-more", None, id="longer than its version"),
        pytest.param(TRACE[:-1], None, id="short"),
        pytest.param("ff" + TRACE[2:], None, id="of the version that is none"),
        pytest.param(TRACE.upper(), None, id="in upper case"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", None, id="without a trace"),
        pytest.param(f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", None, id="without a parent"),
        pytest.param(f" {TRACE}", None, id="behind a space"),
        pytest.param(f"{TRACE}\n", None, id="before a line's end"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_header_is_kept_if_it_is_valid(header: str, kept: str | None) -> None:
    assert traceparent(header.encode()) == kept


@given(st.none() | st.binary(max_size=80))
def test_whatever_a_sender_writes_is_kept_capped_or_not_at_all(header: bytes | None) -> None:
    kept = traceparent(header)

    assert kept is None or (len(kept) == 55 and kept.encode() == (header or b"")[:55])


def test_an_event_has_the_trace_of_its_delivery() -> None:
    assert only(admitted("stripe", b'{"id":"evt_1"}', traceparent=TRACE)).traceparent == TRACE
    assert only(admitted("stripe", b'{"id":"evt_1"}', traceparent="none")).traceparent is None
    assert only(admitted("stripe", b'{"id":"evt_1"}')).traceparent is None
