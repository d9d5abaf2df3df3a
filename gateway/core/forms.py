"""Form fields of a body or a query string, byte for byte. The text is unverified: linear, capped, never raising."""

from urllib.parse import unquote_to_bytes

MAX_FIELDS = 1000


def form_fields(text: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return the decoded (name, value) pairs in order, empty values kept; None for more than `MAX_FIELDS` of them."""
    if text.count(b"&") >= MAX_FIELDS:
        return None
    fields = []
    for pair in text.split(b"&"):
        if pair:
            name, _, value = pair.replace(b"+", b" ").partition(b"=")
            fields.append((unquote_to_bytes(name), unquote_to_bytes(value)))
    return fields


def is_form(content_type: bytes | None) -> bool:
    """Return whether the Content-Type says `application/x-www-form-urlencoded`."""
    return content_type is not None and content_type[:33].lower() == b"application/x-www-form-urlencoded"
