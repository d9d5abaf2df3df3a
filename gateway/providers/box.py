"""Box: the body and the time of delivery signed under two keys at once."""

from collections.abc import Sequence

from gateway.core.admission import RefusedReason, Request
from gateway.core.provider import Example, Mac, Message, MessageRule, MiB, Provider, Scheme, Shape, Terms, Timestamp

_SLASH = "\udc00"  # stands for an escaped slash meanwhile: UTF-8 has no such character
_SHORT = {
    ord(sign): text for sign, text in (("\\", r"\\"), ("\n", r"\n"), ("\r", r"\r"), ("\t", r"\t"), (_SLASH, r"\/"))
}


class _Escapes(dict[int, str]):
    """What each character becomes, made at its first use: a large body of such characters must cost nobody much."""

    def __missing__(self, character: int) -> str:
        sign = chr(character)
        if not " " <= sign <= "~":
            units = sign.encode("utf-16-be")
            sign = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
        self[character] = sign
        return sign


def _rule(_terms: Terms) -> MessageRule:
    def messages(request: Request) -> Sequence[Message] | RefusedReason:
        headers = request.headers
        if headers.get(b"box-signature-version") != b"1" or headers.get(b"box-signature-algorithm") != b"HmacSHA256":
            return "signature_malformed"
        stamp = headers.get(b"box-delivery-timestamp", b"")
        escaped = _escaped(request.body)
        return ((request.body, stamp),) if escaped == request.body else ((request.body, stamp), (escaped, stamp))

    return messages


def _escaped(body: bytes) -> bytes:
    """Return the body as Box signs some: escaped once more, but for slashes that are escaped already."""
    try:
        return body.decode().replace("\\/", _SLASH).translate(_Escapes(_SHORT)).encode()
    except UnicodeDecodeError:
        return body


BOX = Provider(
    name="box",
    title="Box",
    category="productivity",
    schemes=(
        Scheme(
            header="box-signature-primary",
            also=("box-signature-secondary",),
            rule=_rule,
            covers=("body", "header:box-delivery-timestamp"),
            timestamp=Timestamp(header="box-delivery-timestamp", unit="iso", past=600.0, future=60.0),
            macs=(Mac(encoding="base64"),),
        ),
    ),
    shapes=(
        Shape(
            # The header has a new id for each attempt. Two webhooks may tell of one event.
            id="json:webhook.id + ':' + json:id | json:id | body:sha256",
            type="json:trigger",
            time="json:created_at",
            key="json:source.id",
        ),
    ),
    key_hint="the app's primary and secondary signature key, each a secret of its own, from the Developer Console",
    timeout=30.0,
    # Up to 12 attempts in two hours.
    retry_horizon=3 * 3600.0,
    max_body=MiB,
    keep_headers=("box-delivery-id", "box-delivery-timestamp"),
    sends={"box-delivery-id": "{id}", "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"},
    examples={
        "FILE.UPLOADED": Example(
            '{"type": "webhook_event", "id": "$id", "created_at": "$time", "trigger": "$type", '
            '"webhook": {"id": "53", "type": "webhook"}, "source": {"id": "73835521473", "type": "file", '
            '"name": "test.txt"}}'
        ),
    },
    setup=(
        "In the Developer Console generate a primary and a secondary signature key, and configure both.",
        "Make a webhook (V2) for a file or folder with the source's URL.",
        "To rotate, generate one key anew while the other goes on signing.",
    ),
    traps=(
        "Some bodies are signed in escaped form (names beyond ASCII, backslashes): the body is tried both ways.",
        "BOX-DELIVERY-ID is another on every retry; the id in the body stays.",
        "Box does not promise an order, and sends some events twice.",
    ),
    unsettled=(
        "That a retry has a new BOX-DELIVERY-TIMESTAMP, as its delivery id is new; `tolerance: 3h` does without.",
    ),
    docs="https://developer.box.com/guides/webhooks/v2/signatures-v2/",
)
