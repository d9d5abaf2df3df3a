"""Our records as others read them: the `cloudevents` package's Kafka binding, binary content mode."""

from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.base import Format
from cloudevents.core.formats.json import JSONFormat

from gateway.core.event import Event
from gateway.keep.envelope import to_record
from tests.log_builders import make_event


class ExactBytes(Format):
    """Data as it is, whatever its content type."""

    def read(self, *_: Any) -> BaseCloudEvent:
        raise NotImplementedError

    def write(self, *_: Any) -> bytes:
        raise NotImplementedError

    def read_data(self, body: bytes, _: str | None) -> bytes:
        return body

    def write_data(self, *_: Any) -> bytes:
        raise NotImplementedError

    def get_content_type(self) -> str:
        raise NotImplementedError


def read(event: Event, form: Format | None = None) -> BaseCloudEvent:
    record = to_record(event)
    return from_binary(KafkaMessage(dict(record.headers), record.key, record.value), form or ExactBytes())


def test_every_attribute_is_read() -> None:
    event = make_event(
        "evt_1",
        provider="stripe",
        time_us=1_700_000_000_123_456,
        received_us=1_700_000_001_000_000,
        key="customer-7",
        content_type="application/json; charset=utf-8",
        flags=("opaque", "type_unsigned"),
        batch_index=3,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        body=b'{"amount": 100}',
    )

    found = read(event)

    assert found.get_id() == "evt_1"
    assert found.get_source() == "/webhooks/acme"
    assert found.get_type() == "invoice.paid"
    assert found.get_specversion() == "1.0"
    assert found.get_time() == event.time
    assert found.get_datacontenttype() == "application/json; charset=utf-8"
    assert found.get_data() == b'{"amount": 100}'
    assert {name: found.get_extension(name) for name in EXTENSIONS} == {
        "provider": "stripe",
        "receivedat": "2023-11-14T22:13:21.000000Z",
        "deliveryid": "delivery-1",
        "bodysha256": event.body_sha256.hex(),
        "dedupekey": event.dedupe_key.hex(),
        "verifiedby": "new",
        "envelope": "1",
        "partitionkey": "customer-7",
        "batchindex": "3",
        "flags": "opaque,type_unsigned",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }


EXTENSIONS = (
    "provider", "receivedat", "deliveryid", "bodysha256", "dedupekey", "verifiedby", "envelope", "partitionkey",
    "batchindex", "flags", "traceparent",
)  # fmt: skip


def test_what_the_provider_did_not_tell_is_absent() -> None:
    event = make_event(time_us=None, content_type=None, batch_index=None, key="")

    found = read(event)

    assert "ce_time" not in dict(to_record(event).headers)  # the package fills in its own present
    assert found.get_datacontenttype() is None
    assert found.get_extension("batchindex") is None
    assert found.get_extension("flags") is None
    assert found.get_extension("traceparent") is None


def test_the_key_of_an_event_without_an_ordering_key_is_its_id() -> None:
    assert read(make_event("evt_9", key="")).get_extension("partitionkey") == "evt_9"


def test_a_json_body_is_read_as_json() -> None:
    found = read(make_event(body=b'{"amount": 100}', content_type="application/json"), JSONFormat())

    assert found.get_data() == {"amount": 100}


@pytest.mark.parametrize("body", [b"", b"\x00\xff not text", "grüße".encode()])
def test_the_body_is_the_providers_exact_bytes(body: bytes) -> None:
    assert read(make_event(body=body)).get_data() == body


def test_text_beyond_ascii_is_read_as_it_was() -> None:
    found = read(make_event("évt_✓", type="größe.geändert", key="kunde-ß"))

    assert (found.get_id(), found.get_type(), found.get_extension("partitionkey")) == (
        "évt_✓",
        "größe.geändert",
        "kunde-ß",
    )
