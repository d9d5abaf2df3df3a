import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import EnvelopeError
from gateway.core.event import Event, identity_digest
from gateway.keep.envelope import decode, encode, from_record, to_record
from tests.log_builders import make_event

TEXT = st.text(st.characters(), max_size=40)  # lone surrogates included
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
DIGESTS = st.binary(min_size=16, max_size=16)
YEARS_1_TO_9999 = st.integers(
    int(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 10**6, int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 10**6
)

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@st.composite
def events(draw: st.DrawFn) -> Event:
    source, event_id = draw(NAMES), draw(TEXT)
    return make_event(
        event_id,
        source=source,
        body=draw(st.binary(max_size=200)),
        provider=draw(NAMES),
        type=draw(TEXT),
        time_us=draw(st.none() | YEARS_1_TO_9999),
        received_us=draw(st.integers(0, 2**52)),
        key=draw(TEXT),
        headers=draw(st.dictionaries(NAMES, TEXT, max_size=4)),
        content_type=draw(st.none() | TEXT),
        verified_by=draw(TEXT),
        flags=tuple(sorted(draw(st.sets(st.sampled_from(["opaque", "id_missing", "type_unsigned"]))))),
        delivery_id=draw(TEXT),
        batch_index=draw(st.none() | st.integers(0, 10_000)),
        identity=identity_digest(source, event_id),
        dedupe_key=draw(DIGESTS),
        traceparent=draw(st.none() | st.just(TRACE)),
    )


@given(events())
def test_a_head_and_its_body_give_back_the_event(event: Event) -> None:
    assert decode(encode(event), event.body) == event


@given(events())
def test_a_record_gives_back_the_event(event: Event) -> None:
    assert from_record(*to_record(event)) == event


@given(st.binary(max_size=300))
def test_any_bytes_for_a_head_are_an_event_or_an_envelope_error(head: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode(head, b"")


@given(st.dictionaries(st.sampled_from([name for name, _ in to_record(make_event()).headers]), st.binary(max_size=30)))
def test_any_bytes_for_headers_are_an_event_or_an_envelope_error(over: dict[str, bytes]) -> None:
    record = to_record(make_event(time_us=5, flags=("opaque",)))
    headers = dict(record.headers) | over

    try:
        found = from_record(record.key, record.value, headers.items())
    except EnvelopeError:
        return

    assert found.body == record.value


@pytest.mark.parametrize("missing", ["v", "id", "identity", "flags", "batch_index"])
def test_a_head_without_an_attribute_is_an_envelope_error(missing: str) -> None:
    head = json.loads(encode(make_event()))
    del head[missing]

    with pytest.raises(EnvelopeError):
        decode(json.dumps(head).encode(), b"")


def test_a_head_of_a_newer_version_is_an_envelope_error_that_says_so() -> None:
    head = json.loads(encode(make_event())) | {"v": 2}

    with pytest.raises(EnvelopeError, match="envelope version 2"):
        decode(json.dumps(head).encode(), b"")


def test_a_head_is_plain_json_without_the_body() -> None:
    event = make_event("evt_1", traceparent=TRACE, body=b"the body", headers={"x-kind": "a"})

    head = json.loads(encode(event))

    assert head.keys() == {"v", *Event.__struct_fields__} - {"body"}
    assert (head["v"], head["id"], head["headers"]) == (1, "evt_1", {"x-kind": "a"})
    assert base64.b64decode(head["body_sha256"]) == event.body_sha256


def test_a_record_is_in_the_binary_mode_of_cloudevents() -> None:
    event = make_event(
        "evt_1", source="acme", type="invoice.paid", time_us=1_700_000_000_123_456, received_us=1_700_000_001_000_000
    )

    record = to_record(event)

    headers = dict(record.headers)
    assert record.key == b"customer-1"
    assert record.value is event.body
    assert (
        headers.items()
        >= {
            "ce_specversion": b"1.0",
            "ce_id": b"evt_1",
            "ce_source": b"/webhooks/acme",
            "ce_type": b"invoice.paid",
            "ce_time": b"2023-11-14T22:13:20.123456Z",
            "ce_receivedat": b"2023-11-14T22:13:21.000000Z",
            "ce_provider": b"custom",
            "ce_partitionkey": b"customer-1",
            "ce_envelope": b"1",
            "content-type": b"application/json",
            "http-x-acme-kind": b"invoice",
        }.items()
    )
    assert "ce_batchindex" not in headers


def test_a_record_without_an_ordering_key_lies_under_its_event_id() -> None:
    assert to_record(make_event("evt_1", key="")).key == b"evt_1"


def test_a_time_no_calendar_has_is_written_as_unknown() -> None:
    record = to_record(make_event(time_us=10**18))

    assert "ce_time" not in dict(record.headers)
    assert from_record(*record).time_us is None


def test_what_an_earlier_gateway_wrote_has_no_trace() -> None:
    event = make_event("evt_1", traceparent=None)
    record = to_record(event)

    assert b"traceparent" not in encode(event)
    assert "ce_traceparent" not in dict(record.headers)
    assert decode(encode(event), event.body) == from_record(*record) == event


def test_an_earlier_gateway_reads_a_head_with_an_attribute_that_it_does_not_know() -> None:
    event = make_event("evt_1")
    head = encode(event)[:-1] + b',"of_the_future":1}'

    assert decode(head, event.body) == event


def test_a_foreign_records_trace_that_is_none_is_left_out() -> None:
    key, value, headers = to_record(make_event("evt_1", traceparent=TRACE))
    spoiled = [(name, b"x" * 10_000 if name == "ce_traceparent" else text) for name, text in headers]

    assert from_record(key, value, headers).traceparent == TRACE
    assert from_record(key, value, spoiled).traceparent is None
