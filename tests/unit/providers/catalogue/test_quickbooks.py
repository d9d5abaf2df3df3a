"""QuickBooks: CloudEvents in an array, and the notifications of before."""

from gateway.core.admission import Events
from gateway.providers.quickbooks import QUICKBOOKS
from tests.admitting import delivered
from tests.provider_shape import Batch, Known, ProviderShape

CLOUD = (
    b'{"specversion":"1.0","id":"88cd52aa-33b6-4351-9aa4-47572edbd068","source":"intuit.dsnBgbse=","type":'
    b'"qbo.account.created.v1","datacontenttype":"application/json","time":"2025-09-10T21:31:25.179851517Z",'
    b'"intuitentityid":"1234","intuitaccountid":"310687","data":{}}'
)
SECOND_CLOUD = CLOUD.replace(b"88cd52aa", b"99cd52aa").replace(b"account.created", b"account.updated")
ACCOUNT = b'{"id":"1234","operation":"Create","name":"Account","lastUpdated":"2025-09-08T20:52:31.657Z"}'
CUSTOMER = b'{"id":"1","operation":"Update","name":"Customer","lastUpdated":"2025-09-08T20:52:32.000Z"}'


def former(*entities: bytes, realm: bytes = b"310687") -> bytes:
    return b'{"realmId":"' + realm + b'","dataChangeEvent":{"entities":[' + b",".join(entities) + b"]}}"


def notifications(*realms: bytes) -> bytes:
    return b'{"eventNotifications":[' + b",".join(realms) + b"]}"


ACCOUNT_ID = "310687:Account:1234:Create:2025-09-08T20:52:31.657Z"


class TestQuickBooks(ProviderShape):
    provider = QUICKBOOKS
    known = (
        Known(b"[" + CLOUD + b"]", "88cd52aa-33b6-4351-9aa4-47572edbd068", "qbo.account.created.v1",
              1_757_539_885_179_851, "310687:qbo.account.created.v1:1234", name="CloudEvents"),
        Known(notifications(former(ACCOUNT)), ACCOUNT_ID, "Account.Create", 1_757_364_751_657_000,
              "310687:Account:1234", name="former"),
    )  # fmt: skip
    batches = (
        Batch(b"[" + CLOUD + b"," + SECOND_CLOUD + b"]",
              ("88cd52aa-33b6-4351-9aa4-47572edbd068", "99cd52aa-33b6-4351-9aa4-47572edbd068"),
              ("qbo.account.created.v1", "qbo.account.updated.v1"), (CLOUD, SECOND_CLOUD)),
        Batch(notifications(former(ACCOUNT, CUSTOMER), former(ACCOUNT, realm=b"7")),
              (ACCOUNT_ID, "310687:Customer:1:Update:2025-09-08T20:52:32.000Z", ACCOUNT_ID.replace("310687", "7")),
              ("Account.Create", "Customer.Update", "Account.Create"), (ACCOUNT, CUSTOMER, ACCOUNT)),
    )  # fmt: skip

    def test_a_former_event_tells_its_company_in_a_header(self) -> None:
        signed = self.sign(self.asking(self.batches[1].body))
        admission = self.admit(self.source(), delivered(signed))

        assert isinstance(admission, Events)
        assert [event.headers["realm-id"] for event in admission.events] == ["310687", "310687", "7"]
