"""Azure Event Grid with Microsoft Entra: each delivery bears a token of Event Grid's for the webhook's application."""

from dataclasses import replace

from gateway.core.admission import NeedsKey, Rejected, Request, Verified
from gateway.core.compile import FETCHED
from gateway.core.jwt import Token
from gateway.core.keysets import bearer_token
from gateway.core.provider import Prover, Scheme, Setting, Terms
from gateway.providers.azure_event_grid import AZURE_EVENT_GRID, VALIDATION
from gateway.providers.cloudevents import OPTIONS, origins
from gateway.providers.entra import GUID, checked, issuers, keys_request, party

_EVENT_GRID = "4962773b-9cdb-44cf-a8bf-237846a00ab7"


def _prover(terms: Terms) -> Prover:
    audiences = frozenset(terms.values.get("audience", ()))
    trusted = issuers(terms.values.get("tenant", ()))

    def allows(token: Token) -> bool:
        return (
            party(token) == _EVENT_GRID and token.text("iss") in trusted and not audiences.isdisjoint(token.audiences())
        )

    def prove(request: Request, now_us: int) -> Verified | Rejected | NeedsKey:
        text = bearer_token(request)
        token = text if isinstance(text, Rejected) else checked(text, request, now_us, allows)
        return Verified(FETCHED, None) if isinstance(token, Token) else token

    return prove


AZURE_EVENT_GRID_ENTRA = replace(
    AZURE_EVENT_GRID,
    name="azure_event_grid_entra",
    title="Azure Event Grid with Microsoft Entra",
    schemes=(Scheme(header="authorization", prover=_prover, covers=()),),
    key_hint="none: Microsoft Entra signs with keys that are fetched",
    secrets="none",
    settings={
        "tenant": Setting(hint="the Microsoft Entra tenant's id, a GUID", many=True, pattern=GUID),
        "audience": Setting(
            hint="the application (client) id of the webhook's application, or its application id URI", many=True
        ),
        **origins(),
    },
    key_request=keys_request,
    # Whether the validation bears a token is not documented; what it echoes is harmless.
    challenges=(replace(VALIDATION, signed=False), OPTIONS),
    setup=(
        "Register an application for the webhook; give Event Grid its role AzureEventGridSecureWebhookSubscriber.",
        "Configure the tenant's id and the application's id here, and start the gateway.",
        "Create the event subscription with the source's URL, and Microsoft Entra authentication with the same ids.",
    ),
    traps=(
        "Any application of the tenant can have a token for the audience, so the token must be Event Grid's own.",
        "The token covers no body: whoever sees one can send others until it expires.",
        "Validation must be answered with 200 and the code; 202 is a failure.",
        "400, 401, 403 and 413 are not retried: the event goes to the subscription's dead letters or is lost.",
        "An application with signing keys of its own (claims mapping) has its tokens refused.",
        "Clouds of their own (China, US government) have other issuers and are not known here.",
    ),
    unsettled=("Whether the subscription's validation bears a token, too.",),
    docs="https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery",
)
