"""Netlify: a JWT that claims the body's digest."""

import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
import pytest

from gateway.core.admission import Rejected
from gateway.providers.netlify import NETLIFY
from tests.admitting import NOW, only, reason, request
from tests.provider_keys import token
from tests.provider_shape import Known, ProviderShape

# As a notification of a deploy looks, shortened.
BODY = (
    b'{"id": "5ebc34bf4fea0b01f02efa3a", "site_id": "fa4dd95a-994e-4f89-8a7a-2d9e9fc36a32", "build_id": '
    b'"5ebc34bf4fea0b01f02efa38", "state": "ready", "name": "www-jvt-me", "created_at": "2020-05-13T17:56:15.346Z", '
    b'"updated_at": "2020-05-13T17:58:56.738Z", "branch": "master"}'
)
SECRET = "a test secret that the library of JWT finds long enough for every algorithm that it has"
DIGEST = hashlib.sha256(BODY).hexdigest()


def _signed(claims: Mapping[str, object], key: Any = SECRET, algorithm: str = "HS256") -> dict[str, str]:
    return {"x-webhook-signature": jwt.encode(dict(claims), key, algorithm=algorithm)}


class TestNetlify(ProviderShape):
    provider = NETLIFY
    secret = SECRET
    covers = frozenset({"body"})
    known = (
        Known(BODY, "5ebc34bf4fea0b01f02efa3a:ready:2020-05-13T17:58:56.738Z", "deploy_created",
              1_589_392_736_738_000, "fa4dd95a-994e-4f89-8a7a-2d9e9fc36a32",
              headers={"x-netlify-event": "deploy_created"}),
        Known(BODY, "5ebc34bf4fea0b01f02efa3a:ready:2020-05-13T17:58:56.738Z", "deploy_ready", name="no header"),
    )  # fmt: skip

    def test_a_token_of_the_usual_library_is_admitted_and_that_reads_ours(self) -> None:
        arrived = request(BODY, _signed({"iss": "netlify", "sha256": DIGEST}))
        signed = self.genuine()

        assert only(self.admit(self.source(), arrived)).verified_by == "s0"
        claims = jwt.decode(signed.headers["x-webhook-signature"], SECRET, algorithms=["HS256"], issuer="netlify")
        assert claims["sha256"] == hashlib.sha256(signed.body).hexdigest()

    @pytest.mark.parametrize(
        "headers, cause",
        [
            (_signed({"iss": "other", "sha256": DIGEST}), "signature_mismatch"),
            (_signed({"sha256": DIGEST}), "signature_mismatch"),
            (_signed({"iss": "netlify"}), "body_digest_mismatch"),
            (_signed({"iss": "netlify", "sha256": DIGEST.upper()}), "body_digest_mismatch"),
            (_signed({"iss": "netlify", "sha256": DIGEST, "exp": NOW - 120}), "timestamp_stale"),
            (_signed({"iss": "netlify", "sha256": DIGEST}, algorithm="HS512"), "signature_mismatch"),
            (_signed({"iss": "netlify", "sha256": DIGEST}, None, "none"), "signature_mismatch"),
            ({"x-webhook-signature": token({"iss": "netlify", "sha256": DIGEST})}, "signature_mismatch"),
            ({"x-webhook-signature": "a.b"}, "signature_malformed"),
        ],
    )
    def test_another_token_is_refused(self, headers: Mapping[str, str], cause: str) -> None:
        """Providers, section 9.21: the algorithm is never the token's choice."""
        admission = self.admit(self.source(), request(BODY, headers))

        assert isinstance(admission, Rejected)
        assert reason(admission) == cause
