"""The shape that every provider's test has: its data differ, the questions are the same.

A file of `tests/unit/providers/catalogue` holds one class per provider that inherits from `ProviderShape` and sets the
data; the tests below then run for it. What a provider cannot do is said by the data, never by leaving a test out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import msgspec
import pytest

from gateway.core.admission import Admission, Events, Handshake, NeedsKey, Rejected, Request
from gateway.core.compile import compile_source
from gateway.core.event import Event
from gateway.core.expressions import parse_expression
from gateway.core.provider import Provider, Scheme
from gateway.core.source import Secret, SignedRequest, SignRequest, Source, SourceOptions
from gateway.providers.examples import example
from tests.admitting import JSON, NOW_US, PLAIN, SECOND, URL, delivered, request

OTHER = "another test secret"


@dataclass(frozen=True)
class Known:
    """A delivery as the provider's documentation shows it, and what it must be known by.

    `event_id` None means that the provider gives none: the body's digest stands in. `time_us` and `key` are checked
    where they are set.
    """

    body: bytes
    event_id: str | None
    type: str
    time_us: int | None = None
    key: str | None = None
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    query: bytes = b""
    flags: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Batch:
    """A delivery of several events: their ids and types in order, and each one's exact bytes."""

    body: bytes
    ids: tuple[str | None, ...]
    types: tuple[str, ...]
    elements: tuple[bytes, ...]
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A challenge and its answer. `signed` ones are signed by the test first and refused when they are not.

    `headers` of the answer are those that must be there; `pairing` and `visit` as in `Handshake`.
    """

    body: bytes = b""
    method: str = "POST"
    query: bytes = b""
    content_type: str = JSON
    sent: Mapping[str, str] = field(default_factory=dict)
    signed: bool = False
    status: int = 200
    answer: bytes = b""
    answer_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    pairing: str | None = None
    visit: str | None = None
    name: str = ""


class ProviderShape:
    """Inherit and set the data.

    Attributes:
        provider: what is tested.
        secret: a secret of the right kind that can sign, None where keys are fetched or nothing is signed.
        other: another one.
        settings: of the source.
        keys: fetched documents by reference.
        covers: what the proof covers of `body`, `query` and header names, as the documentation says. It is written
            here and not derived, so that a mistake in the data shows.
        known, batches, asked: deliveries and what must come of them.
        at_us: the time at which deliveries are signed and admitted.
        renewed: whether each retry carries a proof of its own, beside what the scheme's timestamp says of it: a token.
        breaks: further ways to break a signed request, by name, for proofs that stand in the body.
    """

    provider: ClassVar[Provider]
    secret: ClassVar[str | None] = PLAIN
    other: ClassVar[str | None] = OTHER
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    keys: ClassVar[Mapping[str, bytes]] = {}
    covers: ClassVar[frozenset[str]] = frozenset({"body"})
    known: ClassVar[tuple[Known, ...]] = ()
    batches: ClassVar[tuple[Batch, ...]] = ()
    asked: ClassVar[tuple[Asked, ...]] = ()
    at_us: ClassVar[int] = NOW_US
    renewed: ClassVar[bool] = False
    breaks: ClassVar[Mapping[str, Callable[[SignedRequest], SignedRequest]]] = {}

    # How a request is made.

    def source(self, *secrets: str | None, **options: Any) -> Source:
        texts = [text for text in (secrets or (self.secret,)) if text is not None]
        options.setdefault("public_url", URL)
        options.setdefault("values", self.settings)
        options.setdefault("allow_unverified", not texts and self.provider.secrets == "optional")
        placed = tuple(Secret(f"s{index}", text) for index, text in enumerate(texts))
        return compile_source(self.provider, name="test", secrets=placed, options=SourceOptions(**options))

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        """Sign as the provider does; overridden where only the provider holds the key."""
        sign = self.source(secret or self.secret).sign
        assert sign is not None, "override `sign` where the source cannot"
        return sign(asked)

    def example(
        self, event_type: str | None = None, *, event_id: str = "evt_1", at_us: int | None = None
    ) -> SignRequest:
        return example(self.provider, event_type, event_id=event_id, now_us=self.at_us if at_us is None else at_us)

    def asking(self, body: bytes, content_type: str = JSON, query: bytes = b"", method: str = "POST") -> SignRequest:
        return SignRequest(
            body=body, now_us=self.at_us, event_id="sent", event_type="sent",
            content_type=content_type, query=query, method=method,
        )  # fmt: skip

    def signed_body(self, body: bytes, content_type: str, query: bytes, headers: Mapping[str, str]) -> Request:
        """Sign that body, with `headers` in place of those that test deliveries are sent with."""
        signed = self.sign(self.asking(body, content_type, query))
        # Those that are the same in every delivery stay: they may be part of the proof.
        sends = self.provider.sends.items()
        named = {name.lower() for name, template in sends if "{" in template and not name.startswith("@")}
        kept = {
            name: value
            for name, value in signed.headers.items()
            if name not in named or f"header:{name}" in self.parts()
        }
        return delivered(replace(signed, headers={**kept, **headers}))

    def parts(self) -> frozenset[str]:
        return frozenset(part for scheme in self.provider.schemes for part in (*scheme.message, *scheme.covers))

    def admit(self, target: Source, arrived: Request, at_us: int | None = None) -> Admission:
        whole = msgspec.structs.replace(arrived, keys=self.keys)
        return target.admit(whole, self.at_us if at_us is None else at_us)

    def genuine(self, **over: Any) -> SignedRequest:
        return self.sign(self.example(**over))

    @property
    def proved(self) -> bool:
        return self.secret is not None or self.provider.secrets == "none"

    @property
    def scheme(self) -> Scheme:
        return self.provider.schemes[-1]

    # What holds for every provider.

    def test_each_of_its_examples_is_admitted_under_a_type_of_its_own(self) -> None:
        target = self.source()
        assert self.provider.examples

        for name in self.provider.examples:
            events = _events(self.admit(target, delivered(self.genuine(event_type=name))), name)
            assert events, name
            assert all(event.type != "unknown" for event in events), name
            assert all("opaque" not in event.flags for event in events), name

    def test_a_part_that_is_broken_is_refused_if_the_proof_covers_it(self) -> None:
        target = self.source()

        for part, broken in self.broken():
            # A key that is not known is asked for; where there is none, the edge refuses.
            refused = isinstance(self.admit(target, broken), Rejected | NeedsKey)
            assert refused is (self.proved and part not in self.uncovered()), part

    def broken(self) -> Iterator[tuple[str, Request]]:
        signed = self.genuine()
        yield "body", delivered(signed, body=_flipped(signed.body))
        yield (
            "query",
            msgspec.structs.replace(delivered(signed), query=signed.query + b"&x=1" if signed.query else b"x=1"),
        )
        for name in {*self.proofs(), *self.covers} & signed.headers.keys():
            yield name, delivered(replace(signed, headers={**signed.headers, name: _other(signed.headers[name])}))
            yield f"{name} missing", delivered(replace(signed, headers=_without(signed.headers, name)))
            if not any(scheme.repeats for scheme in self.provider.schemes):
                yield (
                    f"{name} repeated",
                    msgspec.structs.replace(delivered(signed), repeated=frozenset({name.encode()})),
                )
            yield f"{name} empty", delivered(replace(signed, headers={**signed.headers, name: " "}))
            yield f"{name} garbage", delivered(replace(signed, headers={**signed.headers, name: "\xff=,;. \xfe" * 40}))
        for name, change in self.breaks.items():
            yield name, delivered(change(signed))

    def proofs(self) -> frozenset[str]:
        """Return the headers that hold signature and timestamp."""
        stamps = {scheme.timestamp.header for scheme in self.provider.schemes if scheme.timestamp is not None}
        names = {name for scheme in self.provider.schemes for name in (scheme.header, *scheme.also)}
        return frozenset(name.lower() for name in names | stamps if name)

    def uncovered(self) -> frozenset[str]:
        return frozenset({"body", "query"} - self.covers)

    def test_another_secret_is_refused_and_the_one_that_matched_is_told(self) -> None:
        if self.secret is None:
            assert self.provider.secrets in {"none", "optional"}
            return
        arrived = delivered(self.genuine())

        assert isinstance(self.admit(self.source(self.other), arrived), Rejected)
        rotated = self.admit(self.source(self.other, self.secret), arrived)

        assert isinstance(rotated, Events), rotated
        assert rotated.secret == "s1"

    def test_a_delivery_is_taken_up_to_its_tolerance_and_no_further(self) -> None:
        stamp = self.scheme.timestamp
        if stamp is None:
            assert self.provider.schemes
            return
        target, arrived, second = self.source(), delivered(self.genuine()), 1_500_000

        assert isinstance(self.admit(target, arrived, self.at_us + round(stamp.past * SECOND) - second), Events)
        late = self.admit(target, arrived, self.at_us + round(stamp.past * SECOND) + second)
        early = self.admit(target, arrived, self.at_us - round(stamp.future * SECOND) - second)

        assert isinstance(late, Rejected)
        assert late.reason == "timestamp_stale"
        assert isinstance(early, Rejected)
        assert early.reason == "timestamp_future"

    def test_a_retry_is_the_same_event_and_another_delivery_is_not(self) -> None:
        target = self.source()
        first = _events(self.admit(target, delivered(self.genuine())), "first")
        later = self.at_us + 60 * SECOND
        renewed = self.scheme.timestamp is None or self.scheme.timestamp.refreshed_on_retry
        asked = self.example()
        again = self.sign(replace(asked, now_us=later) if renewed else asked)

        retried = _events(self.admit(target, delivered(again), later), "retry")
        other = msgspec.structs.replace(delivered(self.genuine(event_id="evt_2")), delivery_id="another")
        another = _events(self.admit(target, other), "another")

        assert [event.dedupe_key for event in retried] == [event.dedupe_key for event in first]
        assert {event.dedupe_key for event in another}.isdisjoint(event.dedupe_key for event in first)

    def test_a_retry_with_the_first_signature_is_taken_for_as_long_as_the_provider_retries(self) -> None:
        stamp = self.scheme.timestamp
        if self.renewed or (stamp is not None and stamp.refreshed_on_retry):
            return
        last = self.at_us + round(self.provider.retry_horizon * SECOND)

        admission = self.admit(self.source(), delivered(self.genuine()), last)

        assert isinstance(admission, Events), admission

    def test_a_documented_delivery_is_known_by_its_identity(self) -> None:
        assert self.known
        for known in self.known:
            arrived = self.signed_body(known.body, known.content_type, known.query, known.headers)
            (event,) = _events(self.admit(self.source(), arrived), known.name or known.type)
            _check_known(event, known)

    def test_a_batch_is_split_into_its_events_byte_for_byte(self) -> None:
        splits = any(shape.split for shape in self.provider.shapes)
        assert bool(self.batches) is splits, "a provider that splits needs a batch here, and no other"
        for batch in self.batches:
            arrived = self.signed_body(batch.body, batch.content_type, b"", batch.headers)
            events = _events(self.admit(self.source(), arrived), "batch")
            assert tuple(event.body for event in events) == batch.elements
            assert tuple(event.type for event in events) == batch.types
            assert len({event.dedupe_key for event in events}) == len(events)
            for event, expected in zip(events, batch.ids, strict=True):
                assert event.id == expected or (expected is None and event.id.startswith("sha256:"))

    def test_a_challenge_is_answered_as_prescribed(self) -> None:
        assert bool(self.asked) is bool(self.provider.challenges), "each challenge needs its answer here"
        for asked in self.asked:
            arrived = self._challenge(asked)
            admission = self.admit(self.source(), arrived)
            assert isinstance(admission, Handshake), (asked.name, admission)
            _check_answer(admission, asked)
            if asked.signed:
                assert isinstance(self.admit(self.source(), self.unproved(arrived)), Rejected), asked.name

    def unproved(self, arrived: Request) -> Request:
        """Take the proof away; overridden where it stands in the body."""
        kept = {name: value for name, value in arrived.headers.items() if name == b"content-type"}
        in_url = any(scheme.query for scheme in self.provider.schemes)
        return msgspec.structs.replace(arrived, headers=kept, query=b"" if in_url else arrived.query)

    def _challenge(self, asked: Asked) -> Request:
        if asked.signed:
            signed = self.sign(self.asking(asked.body, asked.content_type, asked.query, asked.method))
            return delivered(replace(signed, headers={**signed.headers, **asked.sent}))
        headers = {"content-type": asked.content_type, **asked.sent} if asked.body else asked.sent
        return request(asked.body, headers, method=asked.method, query=asked.query)

    def test_its_facts_are_told(self) -> None:
        provider = self.provider

        assert provider.docs.startswith("https://")
        assert provider.setup
        assert provider.key_hint

    def test_no_header_that_it_keeps_is_a_proof(self) -> None:
        signatures = {name.lower() for scheme in self.provider.schemes for name in (scheme.header, *scheme.also)}
        assert signatures.isdisjoint(self.provider.keep_headers)
        for shape in self.provider.shapes:
            for join in parse_expression(shape.id):
                assert not any(term.kind == "header" and term.name in self.proofs() for term in join)


def _check_known(event: Event, known: Known) -> None:
    if known.event_id is None:
        assert event.id.startswith("sha256:"), event.id
    else:
        assert event.id == known.event_id
    assert event.type == known.type
    if known.time_us is not None:
        assert event.time_us == known.time_us
    if known.key is not None:
        assert event.key == known.key
    assert set(known.flags) <= set(event.flags)
    assert "opaque" not in event.flags


def _check_answer(admission: Handshake, asked: Asked) -> None:
    ack = admission.ack
    assert (ack.status, ack.body) == (asked.status, asked.answer), asked.name
    assert asked.answer_type in (None, ack.content_type), asked.name
    headers = {name.lower(): value for name, value in ack.headers}
    for name, value in asked.headers.items():
        assert headers.get(name.lower()) == value, (asked.name, name)
    assert (admission.pairing, admission.visit) == (asked.pairing, asked.visit), asked.name


def _events(admission: Admission, what: str) -> tuple[Event, ...]:
    assert isinstance(admission, Events), (what, admission)
    return admission.events


def _flipped(body: bytes) -> bytes:
    """Change one letter of the body, so that JSON and forms stay what they are."""
    for at in range(len(body) // 2, len(body)):
        if body[at : at + 1].isalnum():
            return body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]
    return body + b" "


def _other(value: str) -> str:
    """Change the last letter or digit, so that the value keeps its form."""
    at = next((i for i in range(len(value) - 1, -1, -1) if value[i].isalnum()), None)
    if at is None:
        pytest.fail("a header that is nothing but signs")
    return value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]


def _without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {other: value for other, value in headers.items() if other != name}
