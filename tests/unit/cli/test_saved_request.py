"""Saved requests: read byte for byte, from HTTP or JSON, and what is none says how to save one."""

import json

import pytest

from gateway.cli.saved_request import SavedRequestError, parse

HTTP = b"POST /webhooks/stripe?a=1 HTTP/1.1\r\nHost: h\r\nX-Sig: s\r\nX-Sig: t\r\n\r\nline one\nline two\r\n"


def test_an_http_request_is_read_with_the_exact_body() -> None:
    found = parse(HTTP, body=None, received_us=5)

    assert (found.method, found.query, found.body, found.received_us) == ("POST", b"a=1", b"line one\nline two\r\n", 5)
    assert found.headers == {b"host": b"h", b"x-sig": b"s, t"}
    assert found.repeated == {b"x-sig"}


def test_one_saved_with_unix_line_ends_is_read_likewise() -> None:
    found = parse(b"POST /x HTTP/1.1\nHost: h\n\nbody\n", body=None, received_us=5)

    assert (found.headers, found.body) == ({b"host": b"h"}, b"body\n")


def test_a_body_of_its_own_file_takes_the_place_of_the_saved_one() -> None:
    assert parse(HTTP, body=b"exact", received_us=5).body == b"exact"


@pytest.mark.parametrize("body", [{"body": "text"}, {"body_base64": "dGV4dA=="}])
def test_a_request_saved_as_json_is_read(body) -> None:
    saved = json.dumps({"method": "post", "url": "https://h/x?y=1", "headers": {"X-Sig": "s"}, **body})

    found = parse(saved.encode(), body=None, received_us=5)

    assert (found.method, found.query, found.body, found.headers) == ("POST", b"y=1", b"text", {b"x-sig": b"s"})


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"hello", b"POST /x HTTP/1.1\nno header here\n\n", b"{", b"{}", b'{"headers": {"a": 1}}',
             b'{"headers": {}}', b'{"headers": {}, "body_base64": "***"}'],
)  # fmt: skip
def test_what_is_no_request_says_how_to_save_one(text: bytes) -> None:
    with pytest.raises(SavedRequestError, match="save it as HTTP"):
        parse(text, body=None, received_us=5)
