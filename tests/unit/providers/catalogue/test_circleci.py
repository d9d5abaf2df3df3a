"""CircleCI: a list of versions over the body."""

from gateway.providers.circleci import CIRCLECI
from tests.provider_shape import Known, ProviderShape

# From "Outbound webhooks", shortened.
BODY = (
    b'{"type": "workflow-completed", "id": "3888f21b-eaa7-38e3-8f3d-75a63bba8895", "happened_at": '
    b'"2021-09-01T22:49:34.317Z", "webhook": {"id": "cf8c4fdd-0587-4da1-b4ca-4846e9640af9", "name": "Sample"}, '
    b'"project": {"id": "84996744-a854-4f5e-aea3-04e2851dc1d2"}, "workflow": {"id": '
    b'"fda08377-fe7e-46b1-8992-3a7aaecac9c3", "status": "success"}}'
)
PING = (
    b'{"type": "ping", "id": "5f0f2b0a-0000-4000-8000-000000000000", "happened_at": "2021-09-01T22:49:34.317Z", '
    b'"webhook": {"id": "cf8c4fdd-0587-4da1-b4ca-4846e9640af9"}}'
)


class TestCircleci(ProviderShape):
    provider = CIRCLECI
    covers = frozenset({"body"})
    known = (
        Known(BODY, "3888f21b-eaa7-38e3-8f3d-75a63bba8895", "workflow-completed", 1_630_536_574_317_000,
              "fda08377-fe7e-46b1-8992-3a7aaecac9c3"),
        Known(PING, "5f0f2b0a-0000-4000-8000-000000000000", "ping"),
    )  # fmt: skip
