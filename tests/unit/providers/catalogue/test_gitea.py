"""Gitea and Forgejo: the payload signed, in either content type."""

import hashlib
import hmac
from typing import ClassVar
from urllib.parse import quote_plus

import pytest

from gateway.core.admission import Rejected
from gateway.providers.forgejo import FORGEJO
from gateway.providers.gitea import GITEA
from tests.admitting import FORM, PLAIN, only, request
from tests.provider_shape import Known, ProviderShape

# From "Webhooks", shortened.
PUSH = (
    b'{"ref": "refs/heads/develop", "before": "28e1879d029cb852e4844d9c718537df08844e03", '
    b'"repository": {"id": 140, "full_name": "gitea/webhooks"}, "head_commit":'
    b' {"timestamp": "2017-03-13T13:52:11-04:00"}}'
)
ISSUE = b'{"action": "opened", "issue": {"id": 7, "updated_at": "2020-01-01T00:00:00Z"}, "repository": {"id": 140}}'
GUID = "f6266f16-1bf3-46a5-9ea4-602e06ead473"
DIGEST = hmac.new(PLAIN.encode(), PUSH, hashlib.sha256).hexdigest()


class Shared(ProviderShape):
    covers = frozenset({"body"})
    family: ClassVar[str]

    def form(self, body: bytes) -> object:
        headers = {
            "content-type": FORM,
            f"x-{self.family}-signature": DIGEST,
            f"x-{self.family}-delivery": GUID,
            f"x-{self.family}-event": "push",
        }
        return self.admit(self.source(), request(body, headers))

    def test_of_a_form_the_payload_is_signed(self) -> None:
        event = only(self.form(b"payload=" + quote_plus(PUSH).encode()))  # type: ignore[arg-type] # it is an admission

        assert (event.id, event.type, event.key) == (GUID, "push", "140")

    @pytest.mark.parametrize("more", [b"&x=1", b"&payload=1", b""])
    def test_a_form_with_anything_that_is_not_signed_is_refused(self, more: bytes) -> None:
        first = b"x=1&" if not more else b""

        assert isinstance(self.form(first + b"payload=" + quote_plus(PUSH).encode() + more), Rejected)


def _known(family: str) -> tuple[Known, ...]:
    def headers(event: str) -> dict[str, str]:
        return {f"x-{family}-delivery": GUID, f"x-{family}-event": event}

    return (
        Known(PUSH, GUID, "push", 1_489_427_531_000_000, "140", headers=headers("push"), flags=("type_unsigned",)),
        Known(ISSUE, GUID, "issues.opened", 1_577_836_800_000_000, "140", headers=headers("issues")),
    )


class TestGitea(Shared):
    family = "gitea"
    provider = GITEA
    known = _known("gitea")


class TestForgejo(Shared):
    family = "forgejo"
    provider = FORGEJO
    known = _known("forgejo")
