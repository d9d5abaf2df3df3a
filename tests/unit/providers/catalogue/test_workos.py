"""WorkOS: milliseconds, comma and blank."""

import hashlib
import hmac

from gateway.core.admission import Rejected
from gateway.providers.workos import WORKOS
from tests.admitting import NOW, PLAIN, only, request
from tests.provider_shape import Known, ProviderShape

# From "Events", shortened.
BODY = (
    b'{"object": "event", "id": "event_01FKJ843CVE8F7BXQSPFH0M53V", "event": "dsync.user.updated", "data": {"id": '
    b'"directory_user_01E1X1B89NH8Z3SDFJR4H7RGX7", "directory_id": "directory_01ECAZ4NV9QMV47GW873HDCX74"}, '
    b'"created_at": "2021-06-25T19:07:33.155Z", "context": {}}'
)


def _header(at_ms: int) -> dict[str, str]:
    signature = hmac.new(PLAIN.encode(), f"{at_ms}.".encode() + BODY, hashlib.sha256).hexdigest()
    return {"workos-signature": f"t={at_ms}, v1={signature}"}


class TestWorkos(ProviderShape):
    provider = WORKOS
    covers = frozenset({"body"})
    known = (
        Known(BODY, "event_01FKJ843CVE8F7BXQSPFH0M53V", "dsync.user.updated", 1_624_648_053_155_000,
              "directory_user_01E1X1B89NH8Z3SDFJR4H7RGX7"),
    )  # fmt: skip

    def test_the_time_counts_in_milliseconds_behind_a_comma_and_a_blank(self) -> None:
        assert only(self.admit(self.source(), request(BODY, _header(NOW * 1_000)))).type == "dsync.user.updated"
        assert isinstance(self.admit(self.source(), request(BODY, _header(NOW))), Rejected)
