"""Salesforce outbound messages: SOAP, nothing signed, and an acknowledgement in XML."""

from gateway.core.decoders import xml_json
from gateway.core.provider import DAY, Example, Provider, Shape
from gateway.core.source import Ack
from gateway.providers.families import token_in_url

_ACK = (
    b'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">'
    b'<soapenv:Body><notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>"
)
_MESSAGES = "Envelope.Body.notifications"


def _decode(body: bytes, _content_type: str) -> bytes | None:
    return xml_json(body, lists=("Notification",))


SALESFORCE = Provider(
    name="salesforce",
    title="Salesforce",
    category="crm",
    schemes=(token_in_url(),),
    shapes=(
        Shape(
            id="json:Id",
            type="root:Envelope.Body.notifications.ActionId",
            time="json:sObject.LastModifiedDate | json:sObject.SystemModstamp",
            key="json:sObject.Id",
            split=f"{_MESSAGES}.Notification[*]",
            context={
                "x-salesforce-organization-id": f"root:{_MESSAGES}.OrganizationId",
                "x-salesforce-action-id": f"root:{_MESSAGES}.ActionId",
            },
        ),
    ),
    key_hint="a secret of your own, behind ?token= in the endpoint URL",
    secrets="optional",
    decode=_decode,
    accepted=Ack(body=_ACK, content_type="text/xml"),
    timeout=60.0,
    retry_horizon=DAY,
    sends={"soapaction": '""'},
    examples={
        "04k000000000001AAA": Example(
            '<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope '
            'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi='
            '"http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications '
            'xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00D000000000001AAA</OrganizationId>'
            '<ActionId>$type</ActionId><SessionId xsi:nil="true"/><EnterpriseUrl>https://example.my.salesforce.com/'
            "services/Soap/c/60.0/00D000000000001</EnterpriseUrl><PartnerUrl>https://example.my.salesforce.com/"
            "services/Soap/u/60.0/00D000000000001</PartnerUrl><Notification><Id>$id</Id><sObject "
            'xsi:type="sf:Account" xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>001000000000001AAA</sf:Id>'
            "<sf:LastModifiedDate>$time</sf:LastModifiedDate><sf:Name>Test</sf:Name></sObject></Notification>"
            "</notifications></soapenv:Body></soapenv:Envelope>",
            "text/xml; charset=UTF-8",
        ),
    },
    setup=(
        "Make up a long token and configure it here.",
        "Create an outbound message with the source's URL and ?token=TOKEN as endpoint URL; leave Send Session ID off.",
        "Add it to a flow or workflow rule as an action.",
        "For more than a token require Salesforce's client certificate at the proxy in front.",
    ),
    traps=(
        "Nothing is signed; the organisation's id is no secret. Mutual TLS at the proxy proves more than the token.",
        "The answer must be the SOAP acknowledgement: with any other, 2xx or not, all is sent again for 24 hours.",
        "One message may hold up to 100 notifications; each is an event, its body JSON with the fields' names.",
        "Send Session ID would put a credential into each message.",
        "A message tells the record as it is when it is sent, not as it was: several changes may read the same.",
    ),
    docs="https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_om_outboundmessaging.htm",
)
