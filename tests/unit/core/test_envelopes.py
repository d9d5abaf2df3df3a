"""Envelopes of Amazon SNS and Google Pub/Sub: what is read of them on the way in, and what a handler unwraps."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.decoders import pubsub_json, sns_json
from gateway.core.event import Event
from tests.admitting import events, request, source

DEEP = "[" * 100_000


def _sns(message: object) -> bytes:
    return json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": message}).encode()


def _pubsub(data: bytes) -> bytes:
    message = {"data": base64.b64encode(data).decode(), "messageId": "1"}
    return json.dumps({"message": message, "subscription": "s"}).encode()


def _event(body: bytes) -> Event:
    target = source("cloudevents")
    (event,) = events(target.admit(request(body, {"ce-id": "1"}, query=b"access_token=a%20test%20secret"), 0))
    return event


@pytest.mark.parametrize(
    "body, payload",
    [
        (_sns('{"a": 1}'), {"a": 1}),
        (_sns("Hello"), "Hello"),
        (_sns(""), ""),
        (_sns(DEEP), DEEP),
        (_pubsub(b'{"a": 1}'), {"a": 1}),
        (_pubsub(b"\x00\xff"), b"\x00\xff"),
        (b'{"message": {"attributes": {"a": "b"}, "messageId": "1"}, "subscription": "s"}', b""),
        (b'{"a": 1}', {"a": 1}),
        (b"\x00\xff", b"\x00\xff"),
        (_sns({"not": "a text"}), {"Type": "Notification", "TopicArn": "arn", "Message": {"not": "a text"}}),
        (b'{"message": {"data": "*"}, "subscription": "s"}', {"message": {"data": "*"}, "subscription": "s"}),
    ],
)
def test_a_handler_unwraps_the_payload(body: bytes, payload: Any) -> None:
    assert _event(body).unwrap() == payload


@pytest.mark.parametrize(
    "body, read",
    [
        (_sns('{"a": 1}'), {"envelope": json.loads(_sns('{"a": 1}')), "payload": {"a": 1}}),
        (_sns("Hello"), {"envelope": json.loads(_sns("Hello"))}),
        (_sns('{"a": 1}}, "envelope": {"Type": "forged"'), {"envelope": ...}),
        (b'{"Message": 1, "TopicArn": "arn"}', None),
        (b"Hello", None),
        (DEEP.encode(), None),
    ],
)
def test_of_an_sns_envelope_the_message_is_read_beside_it(body: bytes, read: Any) -> None:
    found = sns_json(body, "")

    if read is not None and read["envelope"] is ...:
        read = {"envelope": json.loads(body)}
    assert (None if found is None else json.loads(found)) == read


@pytest.mark.parametrize(
    "body, read",
    [
        (_pubsub(b'{"a": 1}'), {"envelope": json.loads(_pubsub(b'{"a": 1}')), "payload": {"a": 1}}),
        (_pubsub(b"\x00"), {"envelope": json.loads(_pubsub(b"\x00"))}),
        (b'{"a": 1}', {"payload": {"a": 1}}),
        (b"text", None),
        (b'{"a": 1}, "envelope": {}', None),
    ],
)
def test_of_a_pubsub_envelope_the_data_is_read_beside_it(body: bytes, read: Any) -> None:
    found = pubsub_json(body, "")

    assert (None if found is None else json.loads(found)) == read


@given(body=st.binary(max_size=200) | st.text(max_size=50).map(_sns) | st.binary(max_size=50).map(_pubsub))
def test_any_bytes_are_read_as_json_or_not_at_all(body: bytes) -> None:
    for decode in (sns_json, pubsub_json):
        found = decode(body, "")
        assert found is None or isinstance(json.loads(found), dict)


def test_xml_is_read_as_names_and_texts() -> None:
    event = _event(b'<a xmlns="x"><b>1</b><b>2</b><c d="e">&lt;</c></a>')

    assert event.xml() == {"a": {"b": ["1", "2"], "c": "<"}}


@pytest.mark.parametrize("body", [b"{}", b"<a>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_what_is_no_xml_or_holds_a_document_type_raises(body: bytes) -> None:
    with pytest.raises(ValueError, match="not XML"):
        _event(body).xml()
