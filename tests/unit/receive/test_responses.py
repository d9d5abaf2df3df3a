import json

import pytest

from gateway.core.source import Ack
from gateway.receive import responses
from gateway.receive.responses import answers, prescribed


@pytest.mark.parametrize("answer", answers(), ids=lambda answer: answer.name)
def test_no_answer_makes_a_sender_disable_follow_or_give_up(answer):
    assert answer.status not in {410, 500}
    assert not 300 <= answer.status < 400
    assert answer.headers["gateway-delivery-id"]


@pytest.mark.parametrize("answer", [row for row in answers() if row.status >= 400], ids=lambda answer: answer.name)
def test_a_refusal_says_one_word_of_the_closed_set(answer):
    assert json.loads(answer.body) == {"status": "refused", "reason": answer.reason}


def test_the_statuses_are_those_of_the_design():
    assert {answer.name: answer.status for answer in answers()} == {
        "accepted": 200,
        "duplicate": 200,
        "handshake": 200,
        "malformed": 400,
        "unverified": 401,
        "unknown_source": 404,
        "method": 405,
        "too_large": 413,
        "content_type": 415,
        "rate": 429,
        "unavailable": 503,
    }


@pytest.mark.parametrize("status", [429, 503])
def test_an_answer_that_asks_to_come_again_says_when(status):
    chosen = [answer for answer in answers() if answer.status == status]

    assert all(int(answer.headers["retry-after"]) > 0 for answer in chosen)


def test_an_encoded_answer_is_whole():
    encoded = responses.ACCEPTED.encode(b"abc", keep=True)

    assert encoded == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\n"
        b'gateway-delivery-id: abc\r\n\r\n{"status":"accepted"}'
    )


def test_the_last_answer_of_a_connection_says_so():
    assert b"\r\nconnection: close\r\n\r\n{" in responses.TOO_LARGE.encode(b"abc", keep=False)


def test_an_answer_to_head_keeps_its_length_and_leaves_its_body_out():
    encoded = responses.ACCEPTED.encode(b"abc", keep=True, bodiless=True)

    assert b"content-length: 21" in encoded
    assert encoded.endswith(b"\r\n\r\n")


def test_no_content_has_no_length():
    reply = prescribed(Ack(status=204, content_type=""))

    assert reply.encode(b"abc", keep=True) == b"HTTP/1.1 204 No Content\r\ngateway-delivery-id: abc\r\n\r\n"


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b", "a\nb", "a\x00b"])
def test_a_prescribed_answer_cannot_smuggle_a_header(value):
    with pytest.raises(ValueError, match="control character"):
        prescribed(Ack(headers=(("x-echo", value),)))
