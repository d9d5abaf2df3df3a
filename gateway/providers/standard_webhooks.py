"""Standard Webhooks, and Svix: `id.timestamp.body` signed by HMAC (`v1`) or Ed25519 (`v1a`), under two header families.

The family whose signature is present is the one that is read, id and timestamp included: the other's headers could be
added by anyone.
"""

from collections.abc import Callable, Mapping

from gateway.core.provider import Example, Key, Mac, MiB, Provider, Scheme, Shape, Timestamp

_MACS = (
    Mac(key=Key(encoding="base64", prefix="whsec_", refuses=("whpk_", "whsk_")), encoding="base64", prefix="v1,"),
    Mac(
        algorithm="ed25519",
        key=Key(encoding="base64", prefix="whpk_", prefix_needed=True),
        encoding="base64",
        prefix="v1a,",
    ),
)


def scheme(
    family: str, *, macs: tuple[Mac, ...] = _MACS, when: str | Callable[[Mapping[bytes, bytes]], bool] = ""
) -> Scheme:
    """Return the scheme of the headers `<family>-id`, `<family>-timestamp` and `<family>-signature`."""
    return Scheme(
        header=f"{family}-signature",
        split=" ",
        message=("header:@id", ".", "timestamp", ".", "body"),
        timestamp=Timestamp(header=f"{family}-timestamp"),
        macs=macs,
        when=when,
        aliases={"id": f"{family}-id"},
    )


STANDARD_WEBHOOKS = Provider(
    name="standard_webhooks",
    title="Standard Webhooks",
    category="developer",
    schemes=(scheme("svix", when="svix-signature"), scheme("webhook")),
    shapes=(Shape(id="header:@id", type="json:type", time="json:timestamp", key="json:data.id"),),
    key_hint="the endpoint's secret (whsec_ and base64), or the sender's public key (whpk_ and base64)",
    timeout=15.0,
    # Svix: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h.
    retry_horizon=28 * 3600.0,
    max_body=4 * MiB,
    keep_headers=("webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp"),
    sends={"@id": "{id}"},
    examples={
        "contact.created": Example(
            '{"type": "$type", "timestamp": "$time", "data": {"id": "contact_test", "email": "test@example.com"}}'
        ),
    },
    setup=(
        "Add an endpoint with the source's URL at the sender.",
        "Configure its secret whole, whsec_ included; for v1a signatures the sender's public key, whpk_ included.",
    ),
    traps=(
        "The text behind whsec_ is base64 (at Stripe the same-looking secret is not).",
        "While a secret is rotated the header holds several signatures: any one that matches is enough.",
        "Only the versions of the configured keys count: a v1a entry is nothing to an HMAC secret.",
    ),
    docs="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
)
