"""Meta: challenge by verify token; changes and messages in nested arrays."""

import hashlib
import hmac

import pytest

from gateway.core.admission import Rejected
from gateway.providers.meta import META
from tests.admitting import PLAIN, events, only, request
from tests.provider_shape import Asked, Batch, Known, ProviderShape

PHOTOS = b'{"field": "photos", "value": {"verb": "update", "object_id": "10211885744794461"}}'
USER = (
    b'{"object": "user", "entry": [{"time": 1520383571, "changes": [%s], "id": "10210299214172187", '
    b'"uid": "10210299214172187"}]}' % PHOTOS
)
TEXT = (
    b'{"value": {"messaging_product": "whatsapp", "metadata": {"display_phone_number": "15550783881", '
    b'"phone_number_id": "106540352242922"}, "contacts": [{"profile": {"name": "Sheena Nelson"}, "wa_id": '
    b'"16505551234"}], '
    b'"messages": [{"from": "16505551234", "id": "wamid.HBgLMTY1MDM4Nzk0MzkV", "timestamp": "1749416383", "type": '
    b'"text", '
    b'"text": {"body": "Does it come in another color?"}}]}, "field": "messages"}'
)
STATUS = (
    b'{"value": {"messaging_product": "whatsapp", "statuses": [{"id": "wamid.HBgLMTY1", "status": "delivered", '
    b'"timestamp": "1750263773", "recipient_id": "16505551234"}]}, "field": "messages"}'
)
WHATSAPP = b'{"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [%s]}]}'
MESSAGE = (
    b'{"sender": {"id": "6432135"}, "recipient": {"id": "1067"}, "timestamp": 1458692752478, '
    b'"message": {"mid": "mid.1457764197618:41d102a3e1ae206a38", "text": "hello, world!"}}'
)
POSTBACK = (
    b'{"sender": {"id": "6432135"}, "recipient": {"id": "1067"}, "timestamp": 1458692752479, '
    b'"postback": {"mid": "m_MESSAGE", "title": "TITLE", "payload": "USER_DEFINED_PAYLOAD"}}'
)
READ = b'{"sender": {"id": "6432135"}, "timestamp": 1458668856463, "read": {"watermark": 1458668856253}}'
PAGE = b'{"object": "page", "entry": [{"id": "1067", "time": 1458692752478, "messaging": [%s]}]}'
FEED = b'{"field": "feed", "value": {"message": "h\\u00e9llo", "from": {"id": "7"}, "created_time": 1700000001}}'
LEAD = b'{"field": "leadgen", "value": {"leadgen_id": "444444444444", "page_id": "1067", "created_time": 1700000002}}'
TOKEN = "meatyhamhock"
ASKED = b"hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock"


def _digest(element: bytes) -> str:
    return "sha256:" + hashlib.sha256(element).hexdigest()


class TestMeta(ProviderShape):
    provider = META
    settings = {"verify_token": (TOKEN,)}
    known = (
        Known(USER, "10210299214172187:1520383571:" + _digest(PHOTOS), "user.photos", 1_520_383_571_000_000,
              "10210299214172187", name="a user's change"),
        Known(WHATSAPP % TEXT, "messages:wamid.HBgLMTY1MDM4Nzk0MzkV", "whatsapp_business_account.messages",
              1_749_416_383_000_000, "102290129340398:16505551234", name="a WhatsApp message"),
        Known(WHATSAPP % STATUS, "messages:wamid.HBgLMTY1:delivered:1750263773", "whatsapp_business_account.messages",
              1_750_263_773_000_000, "102290129340398:16505551234", name="a WhatsApp status"),
        Known(PAGE % MESSAGE, "1067:mid.1457764197618:41d102a3e1ae206a38:1458692752478", "page.messaging",
              1_458_692_752_478_000, "1067:6432135", name="a Messenger message"),
        Known(PAGE.replace(b"messaging", b"standby") % MESSAGE,
              "1067:mid.1457764197618:41d102a3e1ae206a38:1458692752478", "page.standby",
              1_458_692_752_478_000, "1067:6432135", name="a message on standby"),
    )  # fmt: skip
    batches = (
        Batch(
            b'{"object": "page", "entry": [{"id": "1", "time": 1700000000, "changes": [%s, %s]}, '
            b'{"id": "2", "time": 1700000000, "changes": [%s]}]}' % (FEED, LEAD, FEED),
            ("1:1700000000:" + _digest(FEED), "leadgen:444444444444", "2:1700000000:" + _digest(FEED)),
            ("page.feed", "page.leadgen", "page.feed"),
            (FEED, LEAD, FEED),
        ),
        Batch(
            PAGE % b", ".join((MESSAGE, POSTBACK, READ)),
            (
                "1067:mid.1457764197618:41d102a3e1ae206a38:1458692752478",
                "1067:m_MESSAGE:1458692752479",
                "1067:1458692752478:" + _digest(READ),
            ),
            ("page.messaging",) * 3,
            (MESSAGE, POSTBACK, READ),
        ),
    )
    asked = (Asked(method="GET", query=ASKED, answer=b"1158201444", answer_type="text/plain",
                   headers={"x-content-type-options": "nosniff"}),)  # fmt: skip

    @pytest.mark.parametrize(
        "query",
        [
            ASKED.replace(TOKEN.encode(), b"another"),
            ASKED.replace(TOKEN.encode(), b""),
            ASKED.replace(b"subscribe", b"unsubscribe"),
            b"hub.mode=subscribe&hub.verify_token=meatyhamhock",
            b"hub.challenge=1158201444",
            ASKED + b"&x=" + b"x" * 5000,
        ],
    )
    def test_a_challenge_without_the_verify_token_is_refused(self, query: bytes) -> None:
        assert isinstance(self.admit(self.source(), request(method="GET", query=query)), Rejected)

    def test_the_app_secret_is_no_verify_token(self) -> None:
        query = ASKED.replace(TOKEN.encode(), PLAIN.replace(" ", "+").encode())

        assert isinstance(self.admit(self.source(), request(method="GET", query=query)), Rejected)

    def test_an_event_knows_the_object_and_the_entry_around_it(self) -> None:
        event = only(self.admit(self.source(), self.signed_body(USER, "application/json", b"", {})))

        assert event.headers == {
            "meta-object": "user",
            "meta-entry-id": "10210299214172187",
            "meta-entry-time": "1520383571",
        }

    def test_escaped_text_is_signed_as_it_came(self) -> None:
        body = b'{"object":"page","entry":[{"id":"1","time":1,"changes":[{"field":"feed","value":{"m":"h\\u00e9"}}]}]}'
        mark = hmac.new(PLAIN.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={mark}"}

        assert events(self.admit(self.source(), request(body, headers)))
        written = body.decode().encode().replace(b"\\u00e9", "é".encode())
        assert isinstance(self.admit(self.source(), request(written, headers)), Rejected)

    def test_a_message_between_two_pages_is_an_event_of_each(self) -> None:
        echo = MESSAGE.replace(b'"text": "hello', b'"is_echo": true, "text": "hello')
        body = (
            b'{"object": "page", "entry": [{"id": "1067", "time": 1, "messaging": [%s]}, '
            b'{"id": "6432135", "time": 1, "messaging": [%s]}]}' % (MESSAGE, echo)
        )

        received, sent = events(self.admit(self.source(), self.signed_body(body, "application/json", b"", {})))

        assert received.id != sent.id

    def test_the_same_change_at_another_time_is_another_event(self) -> None:
        later = USER.replace(b"1520383571", b"1520383572")

        first, second = (
            only(self.admit(self.source(), self.signed_body(body, "application/json", b"", {})))
            for body in (USER, later)
        )

        assert first.dedupe_key != second.dedupe_key
