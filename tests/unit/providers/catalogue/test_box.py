"""Box: two keys sign at once, names beyond ASCII are signed in escaped form."""

from gateway.core.admission import Events, Rejected
from gateway.providers.box import BOX
from tests.admitting import JSON, delivered
from tests.provider_shape import Known, ProviderShape


class TestBox(ProviderShape):
    provider = BOX
    covers = frozenset({"body", "box-delivery-timestamp"})
    known = (
        Known(
            b'{"type": "webhook_event", "id": "eb0c4e06", "created_at": "2016-07-11T10:10:33-07:00", '
            b'"trigger": "FILE.UPLOADED", "webhook": {"id": "53", "type": "webhook"}, "source": {"id": "73835521473"}}',
            "53:eb0c4e06",
            "FILE.UPLOADED",
            1_468_257_033_000_000,
            "73835521473",
        ),
        # The header is another on every retry.
        Known(b'{"trigger": "FILE.COPIED"}', None, "FILE.COPIED", headers={"box-delivery-id": "f96bb54b"}),
    )

    def test_either_key_is_enough(self) -> None:
        arrived = delivered(self.genuine())
        signature = arrived.headers[b"box-signature-primary"]
        arrived.headers[b"box-signature-primary"] = b"AAAA" + signature[4:]
        arrived.headers[b"box-signature-secondary"] = signature

        assert isinstance(self.admit(self.source(), arrived), Events)

    def test_another_version_or_algorithm_is_refused(self) -> None:
        for name in ("box-signature-version", "box-signature-algorithm"):
            arrived = delivered(self.genuine())
            arrived.headers[name.encode()] = b"2"
            assert isinstance(self.admit(self.source(), arrived), Rejected), name

    def test_a_name_beyond_ascii_is_taken_raw_too(self) -> None:
        arrived = self.signed_body('{"id": "1", "trigger": "T", "name": "スクリーン"}'.encode(), JSON, b"", {})

        assert isinstance(self.admit(self.source(), arrived), Events)
