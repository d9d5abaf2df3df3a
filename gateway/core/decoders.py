"""Bodies of other forms as the JSON that expressions read: for `Provider.decode`.

The text is a sender's: every decoder is linear and bounded, never raises, and returns None for what it cannot read.
"""

import binascii
import codecs
import re
from collections.abc import Collection
from xml.parsers import expat

import msgspec

DEEPEST = 64
MOST_ELEMENTS = 50_000
MOST_PARTS = 1_000

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;",]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:\s*form-data([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(rb';\s*name="([^"]*)"', re.IGNORECASE)
_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE)


def xml_json(body: bytes, lists: Collection[str] = ()) -> bytes | None:
    """Return an XML document as JSON: an element with elements in it is an object, any other its text.

    Elements go by their local name, under the root's; several of one name are a list, and those of `lists` always.
    Attributes, and text beside elements, are left out. A document type is refused, so there are no entities but XML's
    own. UTF-8 alone is read, whatever encoding the document claims.
    """
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # expat believes it against what it was told
        return None
    tree = _Tree(lists)
    # A stated encoding goes before the document's own, and a parser made so resolves nothing outside the document.
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003 - the last piece, and the only one
    except (expat.ExpatError, ValueError):
        return None
    return msgspec.json.encode(tree.root)


class _Tree:
    """What a document's elements come to."""

    def __init__(self, lists: Collection[str]) -> None:
        self.root: dict[str, object] = {}
        self._open: list[tuple[dict[str, object], list[str]]] = [(self.root, [])]
        self._lists = frozenset(lists)
        self._left = MOST_ELEMENTS

    def start(self, _name: str, _attributes: object) -> None:
        self._left -= 1
        if self._left < 0 or len(self._open) > DEEPEST:
            raise ValueError("too large")
        self._open.append(({}, []))

    def text(self, text: str) -> None:
        self._open[-1][1].append(text)

    def end(self, name: str) -> None:
        inner, texts = self._open.pop()
        name = name.rpartition(":")[2]
        value = inner or "".join(texts)
        outer = self._open[-1][0]
        there = outer.get(name)
        if isinstance(there, list):
            there.append(value)
        elif there is not None:
            outer[name] = [there, value]
        else:
            outer[name] = [value] if name in self._lists else value


def _refuse(*_: object) -> None:
    raise ValueError("a document type")


def multipart_json(body: bytes, content_type: str) -> bytes | None:
    """Return the text fields of a `multipart/form-data` body as a JSON object of texts."""
    fields = multipart_fields(body, content_type)
    return None if fields is None else msgspec.json.encode(fields)


def multipart_fields(body: bytes, content_type: str) -> dict[str, str] | None:
    """Return the text fields of a `multipart/form-data` body (RFC 7578), of repeated ones the first; no files.

    None where the Content-Type tells no boundary, for more than `MOST_PARTS` parts, and for text that is not UTF-8.
    """
    found = _BOUNDARY.search(content_type) if content_type[:19].lower() == "multipart/form-data" else None
    if found is None:
        return None
    boundary = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
    parts = (b"\r\n" + body).split(boundary, MOST_PARTS + 2)[1:]
    # The last is what stands behind the closing boundary.
    if not 0 < len(parts) <= MOST_PARTS + 1 or not parts[-1].startswith(b"--"):
        return None
    fields: dict[str, str] = {}
    try:
        for part in parts[:-1]:
            name, value = _part(part)
            if name:
                fields.setdefault(name, value.decode())
    except UnicodeDecodeError:
        return None
    return fields


def _part(part: bytes) -> tuple[str, bytes]:
    """Return a part's name and text; no name for a file, and for what is no part of a form."""
    head, _, value = part.partition(b"\r\n\r\n")
    disposition = _DISPOSITION.search(head[:8_192])
    if disposition is None or _FILE.search(disposition[1]):
        return "", b""
    name = _NAME.search(disposition[1])
    return (name[1].decode() if name else ""), value


class _Notification(msgspec.Struct, gc=False):
    Message: str
    TopicArn: str


class _Message(msgspec.Struct, gc=False):
    data: str = ""


class _Push(msgspec.Struct, gc=False):
    message: _Message
    subscription: str


_notifications = msgspec.json.Decoder(_Notification)
_pushes = msgspec.json.Decoder(_Push)
_anything = msgspec.json.Decoder(msgspec.Raw)


def sns_payload(body: bytes) -> str | None:
    """Return the message in an envelope of Amazon SNS, None where there is no such envelope."""
    try:
        return _notifications.decode(body).Message
    except (ValueError, RecursionError):
        return None


def pubsub_payload(body: bytes) -> bytes | None:
    """Return the data in an envelope of Google Pub/Sub, None where there is no such envelope."""
    try:
        return binascii.a2b_base64(_pushes.decode(body).message.data, strict_mode=True)
    except (ValueError, RecursionError):
        return None


def sns_json(body: bytes, _content_type: str) -> bytes | None:
    """Return `{"envelope": ..., "payload": ...}` for an envelope of Amazon SNS; the payload only where it is JSON."""
    message = sns_payload(body)
    return None if message is None else _unwrapped(body, message.encode("utf-8", "surrogatepass"))


def pubsub_json(body: bytes, _content_type: str) -> bytes | None:
    """Return the same for an envelope of Google Pub/Sub, and `{"payload": ...}` for data that came without one."""
    data = pubsub_payload(body)
    if data is not None:
        return _unwrapped(body, data)
    return b'{"payload":' + body + b"}" if _is_json(body) else None


def _unwrapped(envelope: bytes, payload: bytes) -> bytes:
    behind = b',"payload":' + payload if _is_json(payload) else b""
    return b'{"envelope":' + envelope + behind + b"}"


def _is_json(text: bytes) -> bool:
    try:
        _anything.decode(text)
    except (ValueError, RecursionError):
        return False
    return True
