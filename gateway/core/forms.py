"""Form fields of a body or a query string, byte for byte. The text is unverified: linear, capped, never raising."""

import binascii
import re

MAX_FIELDS = 1000
MAX_STRAY = 1000

_STRAY = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def form_fields(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return the decoded (name, value) pairs in order, empty values kept.

    None for more than `MAX_FIELDS` of them, or more than `MAX_STRAY` percent signs that begin no escape; fewer stay.
    """
    if text.count(b"&") >= MAX_FIELDS:
        return None
    text, stray = _STRAY.subn(b"%25", text, count=MAX_STRAY + 1)
    if stray > MAX_STRAY:
        return None
    fields = []
    for pair in text.split(b"&"):
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            fields.append((_decoded(name), _decoded(value)))
    return fields


def _decoded(text: bytes) -> bytes:
    """Return a text of valid escapes without them.

    The standard library takes 0.1 s for a MiB of escapes, which would be anyone's to spend: nothing is verified yet.
    Written as quoted-printable, which `binascii` reads, it is a tenth of that.
    """
    return binascii.a2b_qp(text.replace(b"=", b"%3D").replace(b"%", b"=")) if b"%" in text else text


def is_form(content_type: bytes | None) -> bool:
    """Return whether the Content-Type says `application/x-www-form-urlencoded`."""
    return content_type is not None and content_type[:33].lower() == b"application/x-www-form-urlencoded"
