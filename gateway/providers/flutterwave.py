"""Flutterwave: the raw body signed (v4), or the secret hash itself in a header (v3)."""

from collections.abc import Mapping

from gateway.core.provider import Example, Mac, Provider, Scheme, Shape
from gateway.providers.families import signed_body


def _unsigned(headers: Mapping[bytes, bytes]) -> bool:
    return b"verif-hash" in headers and b"flutterwave-signature" not in headers


FLUTTERWAVE = Provider(
    name="flutterwave",
    title="Flutterwave",
    category="payments",
    schemes=(
        Scheme(header="verif-hash", when=_unsigned, macs=(Mac(algorithm="none", encoding="raw"),)),
        signed_body("flutterwave-signature", encoding="base64"),
    ),
    shapes=(
        Shape(
            when="json:type",
            id="json:id",
            type="json:type",
            time="json:timestamp",
            time_unit="ms",
            key="json:data.reference | json:data.id",
        ),
        Shape(
            id="json:event + ':' + json:data.id + ':' + json:data.status | body:sha256",
            type="json:event",
            time="json:data.created_at",
            key="json:data.tx_ref | json:data.reference | json:data.id",
        ),
    ),
    key_hint="the secret hash that you entered under Settings > Webhooks; no API key",
    timeout=60.0,
    # 3 retries, 30 minutes apart, if they are switched on.
    retry_horizon=2 * 3_600.0,
    examples={
        "charge.completed": Example(
            '{"data": {"amount": 2500, "currency": "KES", "id": "chg_test", "reference": "order-1", '
            '"status": "succeeded"}, "id": "$id", "timestamp": ${time_s}000, "type": "$type"}'
        ),
        "transfer.disburse": Example(
            '{"data": {"amount": 100, "currency": "NGN", "id": "trf_test", "reference": "payout-1", '
            '"status": "SUCCESSFUL"}, "id": "$id", "timestamp": ${time_s}000, "type": "$type"}'
        ),
    },
    setup=(
        "Under Settings > Webhooks enter the source's URL and a long random secret hash; configure the same text.",
        "Switch on webhook retries there: without them a delivery that fails is lost.",
    ),
    traps=(
        "Version 3 sends the secret hash itself: whoever reads one delivery can forge others.",
        "Confirm what counts with the verification endpoint before value is given.",
        "Version 4 signs the raw body, in base64; older samples of its documentation compare the hash itself.",
        "Only status 200 counts, and a redirect is a failure.",
    ),
    docs="https://developer.flutterwave.com/docs/webhooks",
)
