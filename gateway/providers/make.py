"""Make (its HTTP app): a body of the operator's own making, and a token in a header or the URL."""

from dataclasses import replace

from gateway.providers.zapier import ZAPIER

MAKE = replace(
    ZAPIER,
    name="make",
    title="Make",
    timeout=40.0,
    sends={"user-agent": "Make/production"},
    setup=(
        "Make up a long secret and configure it here.",
        "Add the module HTTP > Make a request: POST, the source's URL, body type Raw, content type JSON.",
        "Add the header Authorization with Bearer SECRET.",
        "Send a type, and a header Idempotency-Key with the bundle's id, so that a run tried again is known.",
    ),
    unsettled=("For how long an incomplete execution is tried again: that depends on the scenario's settings.",),
    docs="https://apps.make.com/http",
)
