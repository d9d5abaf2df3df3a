"""ElevenLabs: `t=TIME,v0=SIGNATURE` over time, dot and body."""

from gateway.core.provider import Example, MiB, Provider, Shape
from gateway.providers.families import stamped_list


def _example(data: str) -> Example:
    return Example('{"type": "$type", "event_timestamp": $time_s, "data": ' + data + "}")


ELEVENLABS = Provider(
    name="elevenlabs",
    title="ElevenLabs",
    category="developer",
    # The library's tolerance is 30 minutes.
    schemes=(stamped_list("elevenlabs-signature", tolerance=1_800.0, version="v0"),),
    shapes=(
        Shape(
            # No id: a conversation has one transcript, one recording, one failure.
            id="json:type + ':' + json:data.conversation_id | json:type + ':' + json:data.request_id | body:sha256",
            type="json:type",
            time="json:event_timestamp",
            key="json:data.conversation_id | json:data.request_id | json:data.voice_id",
        ),
    ),
    key_hint="the webhook's shared secret, shown once when it is created",
    # 30 s, 2, 8 and 30 minutes, each up to a tenth longer.
    retry_horizon=2_700.0,
    # Recordings of calls come in base64 in the body.
    max_body=32 * MiB,
    sends={"user-agent": "elevenlabs/1.0"},
    examples={
        "post_call_transcription": _example(
            '{"agent_id": "test", "conversation_id": "$id", "status": "done", "transcript": [{"role": "agent", '
            '"message": "Hello"}], "metadata": {"start_time_unix_secs": $time_s, "call_duration_secs": 22}}'
        ),
        "call_initiation_failure": _example(
            '{"agent_id": "test", "conversation_id": "$id", "failure_reason": "busy", "metadata": {}}'
        ),
    },
    setup=(
        "Under Settings > Webhooks create a webhook with the source's URL and HMAC authentication.",
        "Configure the shared secret; it is shown once.",
        "Switch on its retries, which are off by default; only post_call_transcription has them.",
        "Choose the webhook where it is to be used: post-call webhooks of the agents, speech to text, voice removal.",
    ),
    traps=(
        "The signature's version is v0.",
        "Events have no id of their own: type and conversation stand in.",
        "Recordings (post_call_audio) are large, and sent in chunks without a length.",
        "After ten failures running, with none successful in seven days, the webhook is switched off.",
    ),
    unsettled=(
        "After how long ElevenLabs gives up on an answer.",
        "Whether a retry carries a new time; the last comes after 41 minutes, the tolerance is 30 as in its library.",
    ),
    docs="https://elevenlabs.io/docs/eleven-api/resources/webhooks",
)
