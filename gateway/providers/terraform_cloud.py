"""HCP Terraform (Terraform Cloud) and Terraform Enterprise: the body signed with SHA-512."""

from gateway.core.provider import Example, Provider, Shape
from gateway.providers.families import signed_body

TERRAFORM_CLOUD = Provider(
    name="terraform_cloud",
    title="HCP Terraform",
    category="developer",
    schemes=(signed_body("x-tfe-notification-signature", algorithm="hmac-sha512"),),
    shapes=(
        Shape(
            id="json:run_id + ':' + json:notifications[0].trigger + ':' + json:notifications[0].run_updated_at | "
            "json:details.new_assessment_result.id + ':' + json:trigger | delivery:id",
            type="json:notifications[0].trigger | json:trigger",
            time="json:notifications[0].run_updated_at | json:details.new_assessment_result.created_at",
            key="json:run_id | json:workspace_id | json:details.workspace_id",
        ),
    ),
    key_hint="the notification's token, as you typed it",
    examples={
        "run:completed": Example(
            '{"payload_version": 1, "notification_configuration_id": "nc-AeUQ2zfKZzW9TiGZ", "run_url": '
            '"https://app.terraform.io/app/acme-org/my-workspace/runs/$id", "run_id": "$id", "run_message": "Test", '
            '"run_created_at": "$time", "run_created_by": "test", "workspace_id": "ws-XdeUVMWShTesDMME", '
            '"workspace_name": "my-workspace", "organization_name": "acme-org", "notifications": [{"message": '
            '"Run Completed", "trigger": "$type", "run_status": "applied", "run_updated_at": "$time", '
            '"run_updated_by": "test"}]}'
        ),
        "verification": Example(
            '{"payload_version": 1, "notification_configuration_id": "$id", "run_url": null, "run_id": null, '
            '"workspace_id": null, "notifications": [{"message": "Verification of test", "trigger": "$type", '
            '"run_status": null, "run_updated_at": null, "run_updated_by": null}]}'
        ),
    },
    setup=(
        "Make up a long token and configure it here.",
        "Under the workspace's Settings > Notifications create one: Webhook, the source's URL, the token, triggers.",
        "It is verified when it is enabled, so start the gateway first; the verification is stored as an event.",
    ),
    traps=(
        "Without a token the signature header is there and empty: refused here.",
        "The signature is SHA-512, 128 digits.",
        "A notification that cannot be verified stays disabled.",
    ),
    unsettled=(
        "Whether failed notifications are tried again.",
        "After how long HCP Terraform gives up on an answer.",
    ),
    docs="https://developer.hashicorp.com/terraform/cloud-docs/api-docs/notification-configurations",
)
