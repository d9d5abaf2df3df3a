"""One delivery, many events: each with the exact bytes of its element."""

import json

import pytest

from gateway.core.event import Event
from gateway.core.paths import Skim
from gateway.core.source import SignRequest
from tests.admitting import NOW_US, custom, events, reason, request, source

SCHEME = {"signature": {"header": "x-sign"}}


def _admit(body: bytes, split: str = "json:$[*]", **event: object):
    target = source(custom(SCHEME, {"split": split, "id": "json:id", "type": "json:type"} | event), "a")
    assert target.sign is not None
    sent = target.sign(SignRequest(body=body, now_us=NOW_US, event_id="", event_type=""))
    return target.admit(request(body, sent.headers), NOW_US)


def _summary(event: Event) -> tuple[str, bytes, int | None]:
    return event.id, event.body, event.batch_index


def test_each_element_is_an_event_with_its_exact_bytes() -> None:
    body = b' [ {"id" : "a","n": 1.0} ,\n\t{ "id":"b", "t": "\xc3\xa9\\u00e9" }, {"id":"a"}\r\n] '

    admitted = events(_admit(body))

    assert [_summary(event) for event in admitted] == [
        ("a", b'{"id" : "a","n": 1.0}', 0),
        ("b", b'{ "id":"b", "t": "\xc3\xa9\\u00e9" }', 1),
        ("a", b'{"id":"a"}', 2),
    ]


@pytest.mark.parametrize("split", ["data.events[*]", "json:data.events[*]", "json:$.data.events[*]"])
def test_an_array_below_the_top_is_found(split: str) -> None:
    admitted = events(_admit(b'{"meta": 1, "data": {"events": [{"id": 1}, {"id": 2}]}}', split))

    assert [_summary(event) for event in admitted] == [("1", b'{"id": 1}', 0), ("2", b'{"id": 2}', 1)]


@pytest.mark.parametrize("body, split", [(b"[]", "[*]"), (b'{"events": []}', "events[*]")])
def test_an_empty_batch_is_no_event(body: bytes, split: str) -> None:
    assert events(_admit(body, split)) == ()


@pytest.mark.parametrize(
    "body, split",
    [
        pytest.param(b'{"id": "a"}', "[*]", id="an object at the top"),
        pytest.param(b'{"id": "a", "events": {}}', "events[*]", id="an object below"),
        pytest.param(b'{"id": "a"}', "events[*]", id="nothing below"),
    ],
)
def test_a_body_without_the_array_is_one_event(body: bytes, split: str) -> None:
    (event,) = events(_admit(body, split))

    assert _summary(event) == ("a", body, None)


def test_a_batch_that_does_not_parse_is_one_opaque_event() -> None:
    (event,) = events(_admit(b'[{"id": "a"}, '))

    assert (event.flags, event.batch_index) == (("id_missing", "opaque"), None)


def test_elements_that_are_no_objects_are_events_without_an_id() -> None:
    admitted = events(_admit(b'[1, "x", null, [2]]'))

    assert [event.body for event in admitted] == [b"1", b'"x"', b"null", b"[2]"]
    assert {event.flags for event in admitted} == {("id_missing",)}


def test_a_batch_of_as_many_as_allowed_is_admitted_and_one_more_refused() -> None:
    def batch(count: int) -> bytes:
        return json.dumps([{"id": index} for index in range(count)]).encode()

    assert len(events(_admit(batch(1000)))) == 1000
    assert reason(_admit(batch(1001))) == "batch_too_large"
    assert reason(_admit(batch(3), max_elements=2)) == "batch_too_large"


def test_equal_elements_are_told_apart_by_their_place_where_the_scheme_says_so() -> None:
    admitted = events(_admit(b'[{"a": 1}, {"a": 1}]', id="body:sha256 + '-' + batch:index"))

    assert [event.id[-2:] for event in admitted] == ["-0", "-1"]


def test_elements_may_be_known_by_the_delivery_that_brought_them() -> None:
    admitted = events(_admit(b'[{"a": 1}, {"a": 1}]', id="json:id | delivery:id + '-' + batch:index"))

    assert [event.id for event in admitted] == ["delivery-0", "delivery-1"]


def test_what_stands_around_the_elements_is_read_once_and_not_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a delivery of a thousand changes in one entry would stop the edge for as long as a thousand parses."""
    changes = [{"field": "feed", "value": {"number": number}} for number in range(50)]
    entries = [{"id": name, "time": 1, "changes": changes} for name in ("a", "b")]
    target = source("meta")
    assert target.sign is not None
    body = json.dumps({"object": "page", "entry": entries}).encode()
    sent = target.sign(SignRequest(body=body, now_us=NOW_US, event_id="", event_type=""))
    read, decode = list[int](), Skim.decode

    def counted(skim: Skim, text: bytes) -> object:
        read.append(len(text))
        return decode(skim, text)

    monkeypatch.setattr(Skim, "decode", counted)

    admitted = events(target.admit(request(body, sent.headers), NOW_US))

    assert [event.headers["meta-entry-id"] for event in admitted] == ["a"] * 50 + ["b"] * 50
    assert sum(read) < 10 * len(body)
