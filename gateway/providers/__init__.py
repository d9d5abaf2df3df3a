"""The providers that a source can name, each in the module of its name. `custom` is made from the configuration.

A provider's module is imported when its name is first looked up: a source costs nothing for those it does not use.
"""

import importlib
from collections.abc import Iterator, Mapping

from gateway.core.provider import Provider

NAMES = (
    "adyen",
    "adyen_platform",
    "aftership",
    "aircall",
    "airtable",
    "alertmanager",
    "asana",
    "auth0",
    "aws_sns",
    "azure_event_grid",
    "azure_event_grid_entra",
    "bigcommerce",
    "bitbucket",
    "box",
    "braintree",
    "brevo",
    "buildkite",
    "cal_com",
    "calendly",
    "chargebee",
    "checkout_com",
    "circle",
    "circleci",
    "clerk",
    "clicksign",
    "cloudevents",
    "coinbase_commerce",
    "contentful",
    "customer_io",
    "datadog",
    "discord",
    "discord_events",
    "docker_hub",
    "docusign",
    "dropbox",
    "dropbox_sign",
    "easypost",
    "elevenlabs",
    "figma",
    "flutterwave",
    "forgejo",
    "front",
    "gitea",
    "github",
    "gitlab",
    "gocardless",
    "google_pubsub",
    "grafana",
    "heroku",
    "hubspot",
    "intercom",
    "jira",
    "juspay",
    "launchdarkly",
    "lemon_squeezy",
    "line",
    "linear",
    "lob",
    "loops",
    "mailchimp",
    "mailgun",
    "make",
    "mandrill",
    "messagebird",
    "meta",
    "microsoft_graph",
    "microsoft_teams",
    "mollie",
    "mollie_classic",
    "monday",
    "mux",
    "netlify",
    "notion",
    "okta",
    "openai",
    "paddle",
    "pagerduty",
    "pandadoc",
    "paypal",
    "paystack",
    "persona",
    "pipedrive",
    "plaid",
    "postmark",
    "quickbooks",
    "razorpay",
    "recurly",
    "replicate",
    "resend",
    "salesforce",
    "sanity",
    "segment",
    "sendgrid",
    "sentry",
    "shopify",
    "slack",
    "square",
    "standard_webhooks",
    "stripe",
    "supabase",
    "svix",
    "tally",
    "telegram",
    "telnyx",
    "terraform_cloud",
    "trello",
    "twilio",
    "twitch",
    "typeform",
    "vercel",
    "vonage",
    "webflow",
    "wise",
    "woocommerce",
    "workos",
    "x",
    "xero",
    "yousign",
    "youtube",
    "zapier",
    "zendesk",
    "zoom",
)


class _Providers(Mapping[str, Provider]):
    """The providers by name, in the order of their names."""

    def __getitem__(self, name: str) -> Provider:
        if name not in NAMES:
            raise KeyError(name)
        found = getattr(importlib.import_module(f"gateway.providers.{name}"), name.upper())
        assert isinstance(found, Provider)  # noqa: S101 - the table above is ours
        return found

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


PROVIDERS: Mapping[str, Provider] = _Providers()


def get(name: str) -> Provider:
    """Return the provider of that name.

    Raises:
        KeyError: there is none.
    """
    return PROVIDERS[name]
