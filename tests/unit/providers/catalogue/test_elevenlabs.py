"""ElevenLabs: version v0, 30 minutes, no event id."""

import hashlib
import hmac

from gateway.core.admission import Rejected
from gateway.providers.elevenlabs import ELEVENLABS
from tests.admitting import NOW, PLAIN, only, request
from tests.provider_shape import Known, ProviderShape

# From "Post-call webhooks", shortened.
TRANSCRIPT = (
    b'{"type": "post_call_transcription", "event_timestamp": 1739537297, "data": {"agent_id": "xyz", '
    b'"conversation_id": "abc", "status": "done", "transcript": []}}'
)
REMOVED = (
    b'{"type": "voice_removal_notice", "event_timestamp": 1739537297, "data": {"voice_id": "v1", "notice_period": 0}}'
)


class TestElevenlabs(ProviderShape):
    provider = ELEVENLABS
    covers = frozenset({"body"})
    known = (
        Known(TRANSCRIPT, "post_call_transcription:abc", "post_call_transcription", 1_739_537_297_000_000, "abc"),
        Known(REMOVED, None, "voice_removal_notice", 1_739_537_297_000_000, "v1"),
    )

    def test_only_signatures_of_version_0_count(self) -> None:
        digest = hmac.new(PLAIN.encode(), b"%d." % NOW + TRANSCRIPT, hashlib.sha256).hexdigest()

        right, wrong = (request(TRANSCRIPT, {"elevenlabs-signature": f"t={NOW},v{n}={digest}"}) for n in (0, 1))

        assert only(self.admit(self.source(), right)).type == "post_call_transcription"
        assert isinstance(self.admit(self.source(), wrong), Rejected)
