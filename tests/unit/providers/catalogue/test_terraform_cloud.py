"""HCP Terraform: SHA-512 over the body, the verification, runs and assessments."""

from gateway.core.admission import Rejected
from gateway.providers.terraform_cloud import TERRAFORM_CLOUD
from tests.admitting import request
from tests.provider_shape import Known, ProviderShape

# From "Notification configurations API", shortened.
RUN = (
    b'{"payload_version": 1, "notification_configuration_id": "nc-AeUQ2zfKZzW9TiGZ", "run_id": "run-FwnENkvDnrpyFC7M", '
    b'"workspace_id": "ws-XdeUVMWShTesDMME", "notifications": [{"message": "Run Canceled", "trigger": "run:errored", '
    b'"run_status": "canceled", "run_updated_at": "2019-01-25T18:37:04.000Z", "run_updated_by": "sample-user"}]}'
)
VERIFICATION = (
    b'{"payload_version": 1, "notification_configuration_id": "nc-YfWgs5thoiEteRJj", "run_url": null, "run_id": null, '
    b'"workspace_id": null, "notifications": [{"message": "Verification of tfbuddy", "trigger": "verification", '
    b'"run_status": null, "run_updated_at": null, "run_updated_by": null}]}'
)
DRIFT = (
    b'{"payload_version": "2", "notification_configuration_id": "nc-SZ3V3cLFxK6sqLKn", "trigger": "assessment:drifted"'
    b', "details": {"new_assessment_result": {"id": "asmtres-vRVQxpqq64EA9V5a", "created_at": "2022-06-09T05:23:10Z"}, '
    b'"workspace_id": "ws-m6iAgdPVHrKsUYeK"}}'
)


class TestTerraformCloud(ProviderShape):
    provider = TERRAFORM_CLOUD
    covers = frozenset({"body"})
    known = (
        Known(RUN, "run-FwnENkvDnrpyFC7M:run:errored:2019-01-25T18:37:04.000Z", "run:errored",
              1_548_441_424_000_000, "run-FwnENkvDnrpyFC7M"),
        Known(VERIFICATION, "delivery", "verification"),
        Known(DRIFT, "asmtres-vRVQxpqq64EA9V5a:assessment:drifted", "assessment:drifted", 1_654_752_190_000_000,
              "ws-m6iAgdPVHrKsUYeK"),
    )  # fmt: skip

    def test_an_empty_signature_is_none(self) -> None:
        arrived = request(RUN, {"x-tfe-notification-signature": ""})

        assert isinstance(self.admit(self.source(), arrived), Rejected)
