"""GitHub: the raw body, and identity in headers that nothing covers."""

from urllib.parse import quote_plus

from gateway.providers.github import GITHUB
from tests.admitting import FORM
from tests.provider_shape import Known, ProviderShape

# From "Webhook events and payloads", shortened.
OPENED = (
    b'{"action": "opened", "issue": {"id": 73464126, "number": 2, "title": "Spelling error in the README file"}, '
    b'"repository": {"id": 35129377, "full_name": "baxterthehacker/public-repo"}}'
)
HEADERS = {
    "x-github-event": "issues",
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
    "x-github-hook-id": "292430182",
}


class TestGitHub(ProviderShape):
    provider = GITHUB
    covers = frozenset({"body"})
    known = (
        Known(OPENED, "292430182:72d3162e-cc78-11e3-81ab-4c9367dc0958", "issues.opened", None, "35129377",
              headers=HEADERS, flags=("type_unsigned",), name="json"),
        Known(b"payload=" + quote_plus(OPENED).encode(), "292430182:72d3162e-cc78-11e3-81ab-4c9367dc0958",
              "issues.opened", None, "35129377", FORM, HEADERS, name="form"),
    )  # fmt: skip
