"""Azure Event Grid: validation, both schemas, a token in the URL or one of Microsoft Entra's."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.core.admission import Handshake, NeedsKey
from gateway.core.compile import compile_source
from gateway.core.source import SignedRequest, SignRequest
from gateway.providers.azure_event_grid import AZURE_EVENT_GRID
from gateway.providers.azure_event_grid_entra import AZURE_EVENT_GRID_ENTRA
from gateway.providers.entra import KEYS, KEYS_2
from tests.admitting import NOW, SECOND, delivered, only, reason, request
from tests.provider_keys import keyset, token
from tests.provider_shape import Asked, Batch, Known, ProviderShape

TENANT, APP = "84bd8158-6d4d-4958-8b9f-9d6445542f95", "8e460676-ae3f-4b1e-8790-ee0fb5d6148f"
EVENT_GRID = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
# From "Azure Event Grid event schema" and "Blob Storage as Event Grid source".
BLOB = (
    b'{"topic": "/subscriptions/s/resourceGroups/Storage/providers/Microsoft.Storage/storageAccounts/my", "subject": '
    b'"/blobServices/default/containers/test/blobs/new-file.txt", "eventType": "Microsoft.Storage.BlobCreated", '
    b'"eventTime": "2017-06-26T18:41:00.9584103Z", "id": "831e1650-001e-001b-66ab-eeb76e069631", '
    b'"data": {"api": "PutBlockList"}, "dataVersion": "", "metadataVersion": "1"}'
)
BLOB_ID = (
    "/subscriptions/s/resourceGroups/Storage/providers/Microsoft.Storage/storageAccounts/my"
    "|831e1650-001e-001b-66ab-eeb76e069631"
)
CLOUD = (
    b'{"specversion": "1.0", "type": "Microsoft.Storage.BlobDeleted", "source": "/subscriptions/s", '
    b'"id": "9aeb0fdf-c01e-0131-0922-9eb54906e209", "time": "2019-11-18T15:13:39.4589254Z", '
    b'"subject": "blobServices/default", "data": {}}'
)
VALIDATION = (
    b'[{"id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66", "topic": "/subscriptions/x", "subject": "", "data": '
    b'{"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "https://rp-eastus2.eventgrid'
    b'.azure.net:553/x"}, "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", '
    b'"eventTime": "2018-01-25T22:12:19.4556811Z", "metadataVersion": "1", "dataVersion": "1"}]'
)
CODE = b'{"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}'
ORIGIN = {"webhook-request-origin": "eventgrid.azure.net", "webhook-request-rate": "120"}
ALLOWED = {"webhook-allowed-origin": "eventgrid.azure.net", "webhook-allowed-rate": "120", "allow": "POST"}
OPTIONS = Asked(method="OPTIONS", sent=ORIGIN, headers=ALLOWED, name="options")


class Shared(ProviderShape):
    """What both have in common."""

    covers = frozenset()
    known = (
        Known(BLOB, BLOB_ID, "Microsoft.Storage.BlobCreated", 1_498_502_460_958_410,
              "/blobServices/default/containers/test/blobs/new-file.txt", name="alone"),
        Known(b"[" + BLOB + b"]", BLOB_ID, "Microsoft.Storage.BlobCreated", name="event grid's schema"),
        Known(CLOUD, "/subscriptions/s|9aeb0fdf-c01e-0131-0922-9eb54906e209", "Microsoft.Storage.BlobDeleted",
              1_574_090_019_458_925, "blobServices/default", "application/cloudevents+json", name="cloudevents"),
    )  # fmt: skip
    batches = (
        Batch(
            b"[" + BLOB + b", " + CLOUD + b"]",
            (BLOB_ID, "/subscriptions/s|9aeb0fdf-c01e-0131-0922-9eb54906e209"),
            ("Microsoft.Storage.BlobCreated", "Microsoft.Storage.BlobDeleted"),
            (BLOB, CLOUD),
        ),
    )

    def test_the_validation_is_answered_with_200(self) -> None:
        """Providers, section 9.12."""
        asked = self.sign(self.asking(VALIDATION))
        headers = {**asked.headers, "aeg-event-type": "SubscriptionValidation"}

        admission = self.admit(self.source(), request(asked.body, headers, query=asked.query))

        assert isinstance(admission, Handshake)
        assert (admission.ack.status, admission.ack.body) == (200, CODE)


class TestAzureEventGrid(Shared):
    provider = AZURE_EVENT_GRID
    asked = (
        Asked(
            VALIDATION, sent={"aeg-event-type": "SubscriptionValidation"}, signed=True, answer=CODE,
            answer_type="application/json", name="validation",
        ),
        OPTIONS,
    )  # fmt: skip
    breaks = {
        "token": lambda signed: replace(signed, query=b"token=other"),
        "token twice": lambda signed: replace(signed, query=signed.query + b"&token=x"),
        "no token": lambda signed: replace(signed, query=b""),
    }

    def test_without_a_token_it_must_be_allowed(self) -> None:
        with pytest.raises(ValueError, match="allow_unverified"):
            compile_source(self.provider, name="test", secrets=())


class TestAzureEventGridEntra(Shared):
    provider = AZURE_EVENT_GRID_ENTRA
    secret = None
    settings = {"tenant": (TENANT,), "audience": (APP, "api://webhook")}
    keys = {KEYS: keyset(), KEYS_2: keyset("second")}
    renewed = True
    asked = (
        Asked(
            VALIDATION, sent={"aeg-event-type": "SubscriptionValidation"}, answer=CODE,
            answer_type="application/json", name="validation",
        ),
        OPTIONS,
    )  # fmt: skip

    def sign(self, asked: SignRequest, secret: str | None = None) -> SignedRequest:
        assert secret is None
        at = asked.now_us // SECOND
        return self.bearing(asked, {"iat": at, "nbf": at, "exp": at + 3_600})

    def bearing(self, asked: SignRequest, over: Mapping[str, object], *, key: str = "provider") -> SignedRequest:
        issuer = f"https://sts.windows.net/{TENANT}/"
        claims = {"aud": APP, "iss": issuer, "iat": NOW, "exp": NOW + 3_600, "appid": EVENT_GRID, **over}
        headers = {"content-type": asked.content_type, "authorization": f"Bearer {token(claims, name=key)}"}
        return SignedRequest(method=asked.method, query=asked.query, headers=headers, body=asked.body)

    @pytest.mark.parametrize(
        "over",
        [
            {"aud": "another"},
            {"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"},
            {"iss": "https://evil.example/"},
            {"appid": "00000000-0000-0000-0000-000000000000"},
            {"azp": "00000000-0000-0000-0000-000000000000"},
        ],
    )
    def test_a_token_for_another_is_refused(self, over: Mapping[str, object]) -> None:
        arrived = delivered(self.bearing(self.example(), over))

        assert reason(self.admit(self.source(), arrived)) == "signature_mismatch"

    def test_a_token_of_the_second_version_counts_too(self) -> None:
        issuer = f"https://login.microsoftonline.com/{TENANT}/v2.0"
        over = {"ver": "2.0", "iss": issuer, "appid": "", "azp": EVENT_GRID, "aud": "api://webhook"}

        arrived = delivered(self.bearing(self.example(), over, key="second"))

        assert only(self.admit(self.source(), arrived)).verified_by == "fetched"

    @pytest.mark.parametrize("version, key, asked_at", [("1.0", "provider", KEYS), ("2.0", "second", KEYS_2)])
    def test_each_version_of_tokens_has_keys_of_its_own(self, version: str, key: str, asked_at: str) -> None:
        arrived = delivered(self.bearing(self.example(), {"ver": version}, key=key))
        crossed = delivered(self.bearing(self.example(), {"ver": version}, key="another"))

        assert only(self.admit(self.source(), arrived)).verified_by == "fetched"
        assert reason(self.admit(self.source(), crossed)) == "signature_mismatch"
        assert self.source().admit(arrived, self.at_us) == NeedsKey(asked_at)

    def test_keys_are_asked_for_at_microsoft(self) -> None:
        source = self.source()

        assert source.admit(delivered(self.genuine()), self.at_us) == NeedsKey(KEYS)
        assert source.key_request is not None
        assert source.key_request(KEYS).url.startswith("https://login.microsoftonline.com/")
