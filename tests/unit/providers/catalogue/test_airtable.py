"""Airtable: a key in base64, a ping without data."""

import base64

from gateway.providers.airtable import AIRTABLE
from tests.provider_shape import Known, ProviderShape


class TestAirtable(ProviderShape):
    provider = AIRTABLE
    secret = base64.b64encode(b"the key of a test").decode()
    other = base64.b64encode(b"the key of another").decode()
    covers = frozenset({"body"})
    known = (
        Known(
            b'{"base": {"id": "app00000000000000"}, "webhook": {"id": "ach00000000000000"}, '
            b'"timestamp": "2022-02-01T21:25:05.663Z"}',
            "ach00000000000000:2022-02-01T21:25:05.663Z",
            "ping",
            1_643_750_705_663_000,
            "ach00000000000000",
        ),
    )
