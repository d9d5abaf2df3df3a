"""Salesforce: SOAP with several notifications, and the acknowledgement in XML."""

import msgspec

from gateway.core.decoders import xml_json
from gateway.providers.salesforce import SALESFORCE
from tests.admitting import delivered, events
from tests.provider_breaks import in_url
from tests.provider_shape import Batch, Known, ProviderShape

# As "Understanding outbound messaging" and the WSDL tell it.
HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<soapenv:Envelope '
    b'xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><notifications '
    b'xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00Dx0000000BV7z</OrganizationId>'
    b"<ActionId>04kx0000000CaJ1</ActionId><SessionId>00Dx0000000BV7z!secret</SessionId>"
)
FIRST = (
    b'<Notification><Id>04lx0000000BlZ1AAK</Id><sObject xsi:type="sf:Account" '
    b'xmlns:sf="urn:sobject.enterprise.soap.sforce.com"><sf:Id>001x000xxx</sf:Id><sf:LastModifiedDate>2023-11-14T22:13:20.000Z</sf:LastModifiedDate>'
    b"<sf:Name>A &amp; B</sf:Name></sObject></Notification>"
)
SECOND = b'<Notification><Id>04lx0000000BlZ2AAK</Id><sObject><sf:Id xmlns:sf="u">002</sf:Id></sObject></Notification>'
TAIL = b"</notifications></soapenv:Body></soapenv:Envelope>"
XML = "text/xml; charset=utf-8"
FIRST_JSON = {
    "Id": "04lx0000000BlZ1AAK",
    "sObject": {"Id": "001x000xxx", "LastModifiedDate": "2023-11-14T22:13:20.000Z", "Name": "A & B"},
}
SECOND_JSON = {"Id": "04lx0000000BlZ2AAK", "sObject": {"Id": "002"}}


class TestSalesforce(ProviderShape):
    provider = SALESFORCE
    covers = frozenset()
    known = (
        Known(HEAD + FIRST + TAIL, "04lx0000000BlZ1AAK", "04kx0000000CaJ1", 1_700_000_000_000_000, "001x000xxx", XML),
    )
    batches = (
        Batch(
            HEAD + FIRST + SECOND + TAIL,
            ("04lx0000000BlZ1AAK", "04lx0000000BlZ2AAK"),
            ("04kx0000000CaJ1", "04kx0000000CaJ1"),
            (msgspec.json.encode(FIRST_JSON), msgspec.json.encode(SECOND_JSON)),
            XML,
        ),
    )
    breaks = in_url()

    def test_the_answer_is_the_acknowledgement(self) -> None:
        """Providers, section 10."""
        accepted = self.source().accepted

        assert accepted is not None
        assert (accepted.status, accepted.content_type) == (200, "text/xml")
        assert xml_json(accepted.body) == b'{"Envelope":{"Body":{"notificationsResponse":{"Ack":"true"}}}}'

    def test_the_session_is_kept_nowhere_and_the_organisation_is(self) -> None:
        arrived = delivered(self.sign(self.asking(HEAD + FIRST + TAIL, XML)))

        (event,) = events(self.admit(self.source(), arrived))

        assert event.headers["x-salesforce-organization-id"] == "00Dx0000000BV7z"
        assert "secret" not in str(event)

    def test_a_document_type_is_never_read(self) -> None:
        bomb = b'<!DOCTYPE a [<!ENTITY b "c">]>' + (HEAD + FIRST + TAIL).partition(b"\n")[2]
        arrived = delivered(self.sign(self.asking(bomb, XML)))

        (event,) = events(self.admit(self.source(), arrived))

        assert {"opaque", "id_missing"} <= set(event.flags)
