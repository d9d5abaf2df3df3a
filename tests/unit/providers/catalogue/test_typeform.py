"""Typeform: base64 behind `sha256=`."""

from gateway.providers.typeform import TYPEFORM
from tests.provider_shape import Known, ProviderShape


class TestTypeform(ProviderShape):
    provider = TYPEFORM
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"event_id": "LtWXD3crgy", "event_type": "form_response", "form_response": {"form_id": "lT4Z3j", '
            b'"submitted_at": "2018-01-18T18:17:02Z"}}',
            "LtWXD3crgy",
            "form_response",
            1_516_299_422_000_000,
            "lT4Z3j",
        ),
    )
