"""CloudEvents: the three modes, both places for the token, and the handshake."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.http import from_http_event, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from gateway.core.admission import Handshake, Rejected
from gateway.providers.cloudevents import CLOUDEVENTS
from tests.admitting import NOW, NOW_US, PLAIN, only, request
from tests.provider_shape import Asked, Batch, Known, ProviderShape

# From the HTTP protocol binding and the JSON format, version 1.0.2.
BINARY = {
    "ce-specversion": "1.0",
    "ce-type": "com.example.someevent",
    "ce-time": "2018-04-05T03:56:24Z",
    "ce-id": "1234-1234-1234",
    "ce-source": "/mycontext/subcontext",
    "ce-subject": "thing",
}
FIRST = (
    b'{"specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext/4", "id": "B234-1234-1234", '
    b'"time": "2018-04-05T17:31:00Z", "comexampleextension1": "value", "datacontenttype": "application/xml", '
    b'"data": "<much wow=\\"xml\\"/>"}'
)
SECOND_EVENT = (
    b'{"specversion": "1.0", "type": "com.example.someotherevent", "source": "/mycontext/9", "id": "C234-1234-1234", '
    b'"time": "2018-04-05T17:31:05Z", "data": {"appinfoA": "abc", "appinfoB": 123}}'
)
STRUCTURED, BATCHED = "application/cloudevents+json; charset=UTF-8", "application/cloudevents-batch+json"
ASKING = {"webhook-request-origin": "eventemitter.example.com", "webhook-request-rate": "120"}


class TestCloudevents(ProviderShape):
    provider = CLOUDEVENTS
    covers = frozenset()
    known = (
        Known(b'{"appinfoA": "abc"}', "/mycontext/subcontext|1234-1234-1234", "com.example.someevent",
              1_522_900_584_000_000, "thing", headers=BINARY, name="binary"),
        Known(b"\x00\xff", "/mycontext/subcontext|1234-1234-1234", "com.example.someevent",
              content_type="application/octet-stream", headers=BINARY, name="binary data"),
        Known(FIRST, "/mycontext/4|B234-1234-1234", "com.example.someevent", 1_522_949_460_000_000,
              content_type=STRUCTURED, name="structured"),
    )  # fmt: skip
    batches = (
        Batch(
            b"[" + FIRST + b", " + SECOND_EVENT + b"]",
            ("/mycontext/4|B234-1234-1234", "/mycontext/9|C234-1234-1234"),
            ("com.example.someevent", "com.example.someotherevent"),
            (FIRST, SECOND_EVENT),
            BATCHED,
        ),
    )
    asked = (
        Asked(
            method="OPTIONS", sent=ASKING, name="asked with a rate",
            headers={"webhook-allowed-origin": "eventemitter.example.com", "webhook-allowed-rate": "120",
                     "allow": "POST"},
        ),
        Asked(
            method="OPTIONS", sent={"webhook-request-origin": "a.example"}, name="asked without",
            headers={"webhook-allowed-origin": "a.example", "webhook-allowed-rate": "*", "allow": "POST"},
        ),
    )  # fmt: skip
    breaks = {
        "token": lambda signed: replace(signed, query=b"access_token=other"),
        "token twice": lambda signed: replace(signed, query=signed.query + b"&access_token=x"),
        "no token": lambda signed: replace(signed, query=b""),
        "a bearer token beside": lambda signed: replace(signed, headers={"authorization": "Bearer other"}),
    }

    @pytest.mark.parametrize(
        "authorization, taken",
        [(f"Bearer {PLAIN}", True), ("Bearer other", False), (PLAIN, False), (f"Basic {PLAIN}", False)],
    )
    def test_a_bearer_token_counts_too(self, authorization: str, taken: object) -> None:
        arrived = request(FIRST, {"content-type": STRUCTURED, "authorization": authorization})

        assert isinstance(self.admit(self.source(), arrived), Rejected) is not taken

    @pytest.mark.parametrize(
        "headers", [{}, {"webhook-request-origin": "other.example"}, {"webhook-request-origin": "a.example\r\nx: y"}]
    )
    def test_an_origin_that_is_not_listed_is_not_allowed(self, headers: dict[str, str]) -> None:
        source = self.source(values={"origins": ("a.example",)})

        admission = self.admit(source, request(headers=headers, method="OPTIONS"))

        assert isinstance(admission, Handshake)
        assert admission.ack.headers == (("allow", "POST"),)

    def test_what_the_library_of_the_specification_makes_is_admitted(self) -> None:
        attributes = {"id": "1", "source": "/é %", "type": "com.example.x", "specversion": "1.0"}
        event = CloudEvent(attributes | {"time": datetime.fromtimestamp(NOW, UTC)}, {"a": 1})

        for made, source in ((to_binary_event(event), "/%C3%A9%20%25"), (to_structured_event(event), "/é %")):
            arrived = request(bytes(made.body), {**made.headers, "authorization": f"Bearer {PLAIN}"})
            found = only(self.admit(self.source(), arrived))
            assert (found.id, found.type, found.time_us) == (f"{source}|1", "com.example.x", NOW_US)

    def test_that_library_reads_what_we_send(self) -> None:
        signed = self.genuine()

        event = from_http_event(type("Message", (), {"headers": dict(signed.headers), "body": signed.body})())

        assert (event.get_id(), event.get_type()) == ("evt_1", "com.example.someevent")
