"""A saved request: an HTTP request as a proxy, a tunnel or `nc` writes it down, or the same as JSON. Pure."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from gateway.core.admission import Request

_SHAPE = (
    "save it as HTTP (POST /path HTTP/1.1, the headers, an empty line, the exact body), "
    'or as JSON with "headers" and "body" or "body_base64"'
)


class SavedRequestError(ValueError):
    """The text is no request; the message says what one looks like."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; {_SHAPE}")


def parse(text: bytes, *, body: bytes | None, received_us: int) -> Request:
    """Return the request that was saved; `body`, if given, takes the place of the one there.

    Raises:
        SavedRequestError: it is none.
    """
    method, target, pairs, saved = _json(text) if text.lstrip().startswith(b"{") else _http(text)
    values: dict[bytes, list[bytes]] = {}
    for name, value in pairs:
        values.setdefault(name.strip().lower(), []).append(value.strip())
    return Request(
        method=method.upper(),
        query=target.partition("?")[2].partition("#")[0].encode("latin-1", "replace"),
        headers={name: b", ".join(several) for name, several in values.items()},
        repeated=frozenset(name for name, several in values.items() if len(several) > 1),
        body=saved if body is None else body,
        received_us=received_us,
        delivery_id="saved",
    )


_Saved = tuple[str, str, list[tuple[bytes, bytes]], bytes]


def _http(text: bytes) -> _Saved:
    head, blank, body = text.partition(b"\r\n\r\n" if b"\r\n\r\n" in text else b"\n\n")
    first, _, rest = head.replace(b"\r\n", b"\n").partition(b"\n")
    words = first.decode("latin-1").split()
    if len(words) not in {2, 3} or not words[0].isalpha():
        raise SavedRequestError("its first line is no request line")
    if not blank:
        body = b""
    pairs = []
    for line in rest.splitlines():
        name, colon, value = line.partition(b":")
        if not colon or not name.strip():
            raise SavedRequestError("a line of its head is no header")
        pairs.append((name, value))
    return words[0], words[1], pairs, body


def _json(text: bytes) -> _Saved:
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError):
        raise SavedRequestError("it begins as JSON and is none") from None
    headers = saved.get("headers") if isinstance(saved, dict) else None
    if not isinstance(headers, Mapping) or not all(isinstance(value, str) for value in headers.values()):
        raise SavedRequestError("it has no headers")
    pairs = [tuple(text.encode("utf-8", "surrogatepass") for text in pair) for pair in headers.items()]
    return _text(saved, "method") or "POST", _text(saved, "url"), pairs, _body(saved)


def _text(saved: Mapping[str, Any], name: str) -> str:
    value = saved.get(name, "")
    return value if isinstance(value, str) else ""


def _body(saved: Mapping[str, Any]) -> bytes:
    if isinstance(saved.get("body_base64"), str):
        try:
            return base64.b64decode(saved["body_base64"], validate=True)
        except binascii.Error:
            raise SavedRequestError("its body_base64 is no base64") from None
    if isinstance(saved.get("body"), str):
        return str(saved["body"]).encode("utf-8", "surrogatepass")
    raise SavedRequestError("it has no body")
