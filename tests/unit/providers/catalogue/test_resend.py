"""Resend: Svix's headers."""

from gateway.providers.resend import RESEND
from tests.admitting import WHSEC
from tests.provider_shape import Known, ProviderShape

BOUNCED = (
    b'{"created_at": "2024-11-22T23:41:12.126Z", "data": {"created_at": "2024-11-22T23:41:11.894719+00:00", '
    b'"email_id": '
    b'"56761188-7520-42d8-8898-ff6fc54ce618", "from": "Acme <onboarding@resend.dev>"}, "type": "email.bounced"}'
)


class TestResend(ProviderShape):
    provider = RESEND
    secret = WHSEC
    other = "whsec_" + "QUFB" * 8
    covers = frozenset({"body", "svix-id", "svix-timestamp"})
    known = (Known(BOUNCED, "sent", "email.bounced", 1_732_318_872_126_000, "56761188-7520-42d8-8898-ff6fc54ce618"),)
