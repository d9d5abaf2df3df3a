"""Buildkite: a signature with its time in one header, or the token in another."""

import hmac

from gateway.core.admission import Events, Rejected
from gateway.providers.buildkite import BUILDKITE
from tests.admitting import NOW, PLAIN, request
from tests.provider_shape import Known, ProviderShape

BODY = b'{"event": "build.running", "build": {"id": "f62a1b4d", "started_at": "2023-11-14T22:13:20.000Z"}}'


class TestBuildkite(ProviderShape):
    provider = BUILDKITE
    covers = frozenset({"body"})
    known = (
        # Before and after a block a build says the same: each delivery is an event.
        Known(BODY, "delivery", "build.running", 1_700_000_000_000_000, "f62a1b4d"),
        Known(b'{"event": "job.started", "job": {"id": "j1"}, "build": {"id": "b1"}}', "delivery", "job.started",
              key="b1"),
        Known(b'{"agent": {"id": "a1"}}', "delivery", "agent.lost", key="a1",
              headers={"x-buildkite-event": "agent.lost"},
              flags=("type_unsigned",)),
    )  # fmt: skip

    def test_a_signature_as_the_documentation_makes_it_is_admitted(self) -> None:
        digest = hmac.new(PLAIN.encode(), f"{NOW}.".encode() + BODY, "sha256").hexdigest()
        arrived = request(BODY, {"x-buildkite-signature": f"timestamp={NOW},signature={digest}"})

        assert isinstance(self.admit(self.source(), arrived), Events)

    def test_the_token_itself_is_admitted_and_covers_no_body(self) -> None:
        for body in (BODY, b"{}"):
            assert isinstance(self.admit(self.source(), request(body, {"x-buildkite-token": PLAIN})), Events)
        assert isinstance(self.admit(self.source(), request(BODY, {"x-buildkite-token": "another"})), Rejected)

    def test_a_bad_signature_beside_no_token_is_refused(self) -> None:
        bad = {"x-buildkite-signature": f"timestamp={NOW},signature={'0' * 64}"}

        assert isinstance(self.admit(self.source(), request(BODY, bad)), Rejected)
